//! Settings that say which tasks a node may take: labels, needs of groups, hours.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_domain::delivery::eligibility::{LaneHours, Offer, Rules};
use jetreel_domain::delivery::hours::{Hours, Zone};
use jetreel_domain::delivery::label::Label;
use jetreel_domain::id::{BadId, Group};
use jetreel_domain::order::lane::Lane;
use serde::Deserialize;

use super::{Settings, SettingsError};

/// Most labels of a node or a group.
const LABELS_MAX: usize = 16;

/// `[hours]`: what the hours of lanes, groups and nodes have in common.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HoursSettings {
    /// Name of a time zone in the IANA database.
    pub time_zone: String,
}

/// `[lanes.<lane>]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LaneSettings {
    /// Windows. Empty: always.
    pub hours: Vec<String>,
    /// Whether what playback needs first is taken at every time.
    pub first_seconds_always: bool,
}

/// `[groups.<group>]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GroupSettings {
    /// Labels that a node needs for its tasks.
    pub needs: Vec<String>,
    /// Windows. Empty: always.
    pub hours: Vec<String>,
}

/// The lanes by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, LaneSettings>")]
pub struct Lanes(pub BTreeMap<Lane, LaneSettings>);

impl TryFrom<BTreeMap<String, LaneSettings>> for Lanes {
    type Error = BadId;

    fn try_from(words: BTreeMap<String, LaneSettings>) -> Result<Self, BadId> {
        let lanes = words.into_iter().map(|(word, lane)| Ok((word.parse()?, lane)));
        lanes.collect::<Result<_, _>>().map(Self)
    }
}

/// The groups by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, GroupSettings>")]
pub struct Groups(pub BTreeMap<Group, GroupSettings>);

impl TryFrom<BTreeMap<String, GroupSettings>> for Groups {
    type Error = BadId;

    fn try_from(words: BTreeMap<String, GroupSettings>) -> Result<Self, BadId> {
        let groups = words.into_iter().map(|(word, group)| Ok((word.parse()?, group)));
        groups.collect::<Result<_, _>>().map(Self)
    }
}

impl Settings {
    /// What groups need, and when lanes and groups are taken.
    ///
    /// # Errors
    /// A label, a window or the time zone is wrong. The error names the key.
    pub fn rules(&self) -> Result<Rules, SettingsError> {
        let zone = zone("hours.time-zone", &self.hours.time_zone)?;
        let mut rules = Rules::default();
        for (lane, LaneSettings { hours: windows, first_seconds_always }) in &self.lanes.0 {
            let first_seconds_always = *first_seconds_always;
            let found = hours(&format!("lanes.{lane}.hours"), windows, &zone)?;
            let found = found.map(|hours| LaneHours { hours, first_seconds_always });
            rules.lanes.extend(found.map(|hours| (*lane, hours)));
        }
        for (group, GroupSettings { needs, hours: windows }) in &self.groups.0 {
            let found = hours(&format!("groups.{group}.hours"), windows, &zone)?;
            rules.groups.extend(found.map(|hours| (*group, hours)));
            let needs = labels(&format!("groups.{group}.needs"), needs)?;
            rules.needs.extend((!needs.is_empty()).then_some((*group, needs)));
        }
        Ok(rules)
    }

    /// Labels and hours of this node.
    ///
    /// # Errors
    /// A label, a window or the time zone is wrong. The error names the key.
    pub fn offer(&self) -> Result<Offer, SettingsError> {
        let zone = match self.node.time_zone.as_str() {
            "" => zone("hours.time-zone", &self.hours.time_zone)?,
            own => zone("node.time-zone", own)?,
        };
        let labels = labels("node.labels", &self.node.labels)?;
        Ok(Offer { labels, hours: hours("node.hours", &self.node.hours, &zone)? })
    }
}

fn invalid(key: &str, problem: String) -> SettingsError {
    SettingsError::Invalid { key: key.to_owned(), problem }
}

fn zone(key: &str, name: &str) -> Result<Zone, SettingsError> {
    name.parse().map_err(|problem| invalid(key, problem))
}

fn hours(key: &str, windows: &[String], zone: &Zone) -> Result<Option<Hours>, SettingsError> {
    Hours::parse(windows, zone.clone()).map_err(|problem| invalid(key, problem))
}

fn labels(key: &str, words: &[String]) -> Result<BTreeSet<Label>, SettingsError> {
    if words.len() > LABELS_MAX {
        return Err(invalid(key, format!("{LABELS_MAX} labels are the most")));
    }
    let labels = words.iter().map(|word| word.parse());
    labels.collect::<Result<_, _>>().map_err(|problem| invalid(key, problem))
}

#[cfg(test)]
mod tests {
    use jetreel_domain::delivery::dispatch::TaskQueue;

    use super::*;
    use crate::settings::Sources;

    fn settings(overrides: &[(&str, &str)]) -> Settings {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let overrides = overrides.iter().map(own).collect();
        let sources = Sources { overrides, no_usual_places: true, ..Sources::default() };
        Settings::load(&sources).unwrap()
    }

    #[test]
    fn by_default_every_node_takes_every_task_at_every_time() {
        let defaults = settings(&[]);
        assert_eq!(defaults.rules().unwrap(), Rules::default());
        assert_eq!(defaults.offer().unwrap(), Offer::default());
        assert!(
            defaults.lanes.0.into_keys().eq(Lane::ALL)
                && defaults.groups.0.into_keys().eq(Group::ALL)
        );
    }

    #[test]
    fn settings_become_rules_and_the_offer_of_a_node() {
        let set = settings(&[
            ("node.labels", "gpu, big-memory"),
            ("node.hours", "20:00-06:00"),
            ("node.time-zone", "America/New_York"),
            ("groups.main.needs", "big-memory"),
            ("groups.top.hours", "sat-sun 00:00-24:00"),
            ("lanes.low.hours", "mon-fri 20:00-06:00,sat-sun 00:00-24:00"),
            ("lanes.low.first-seconds-always", "true"),
            ("hours.time-zone", "Europe/Berlin"),
        ]);
        let (rules, offer) = (set.rules().unwrap(), set.offer().unwrap());
        assert!(
            rules.is_able(&offer, Group::Main) && !rules.is_able(&Offer::default(), Group::Main)
        );
        assert!(rules.lanes[&Lane::Low].first_seconds_always);
        assert_eq!(
            rules.lanes[&Lane::Low].hours.to_string(),
            "mon-fri 20:00-06:00, sat-sun 00:00-24:00 (Europe/Berlin)"
        );
        assert_eq!(offer.hours.as_ref().unwrap().to_string(), "20:00-06:00 (America/New_York)");
        // Monday, 2026-11-30, 12:00 UTC.
        let low_main = TaskQueue::new(Lane::Low, Group::Main);
        assert!(!rules.takes(&Offer::default(), low_main, 1_796_040_000));
    }
}
