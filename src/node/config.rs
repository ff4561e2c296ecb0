//! What the settings say to the stages.

use std::time::Duration;

use jetreel_actors::config::Config;
use jetreel_domain::upkeep::relations::LEASE;

use crate::settings::{Settings, SettingsError};

/// Longest wait of a pull, and so of a redelivered task for a free slot.
const PULL_WAIT: Duration = Duration::from_secs(2);

/// Settings of the stages.
///
/// # Errors
/// A label, an hour or a time zone is wrong.
pub fn config(settings: &Settings) -> Result<Config, SettingsError> {
    let slots = settings.node.slots_here();
    Ok(Config {
        node: settings.node.name_here(),
        roles: settings.node.roles.words().map(ToOwned::to_owned).collect(),
        slots,
        slots_for_high: settings.node.reserved_high,
        task_threads: settings.node.task_threads_here(),
        group_slots: settings.node.group_slots.limits(),
        rules: settings.rules()?,
        offer: settings.offer()?,
        ingest_slots: slots.div_ceil(2),
        policy: settings.plan_policy(),
        limits: settings.limits.clone(),
        sources: settings.store.sources.clone(),
        lease: LEASE,
        pull_wait: PULL_WAIT,
        retry: (&settings.retry).into(),
        bury_refused: settings.retry.bury_refused,
        sweep_every: Duration::from_secs(settings.retry.sweep_seconds),
        reconciler: settings.reconciler.clone(),
    })
}

#[cfg(test)]
mod tests {
    use jetreel_domain::id::Group;

    use super::*;
    use crate::settings::Sources;

    fn configured(overrides: &[(&str, &str)]) -> Config {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let overrides = overrides.iter().map(own).collect();
        let sources = Sources { overrides, no_usual_places: true, ..Sources::default() };
        config(&Settings::load(&sources).unwrap()).unwrap()
    }

    #[test]
    fn no_slot_is_reserved_unless_a_setting_says_so() {
        assert_eq!(configured(&[("node.slots", "16")]).slots_for_high, 0);
        let reserved = configured(&[("node.slots", "4"), ("node.reserved-high", "1")]);
        assert_eq!(reserved.slots_for_high, 1);
    }

    #[test]
    fn a_group_may_take_every_slot_unless_a_setting_says_otherwise() {
        assert!(configured(&[]).group_slots.is_empty());
        let limited = configured(&[("node.group-slots.main", "2")]);
        assert_eq!(limited.group_slots.into_iter().collect::<Vec<_>>(), [(Group::Main, 2)]);
    }
}
