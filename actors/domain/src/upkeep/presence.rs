//! Node reports, and orders whose plan pins a codec build that no node has any more.
//!
//! One build carries out a plan, so that every worker makes the same bytes. After an upgrade such an order would wait forever, so it is
//! planned anew.
//!
//! Invariants: a node counts as gone when a listener read all reports for the whole patience and met none of the node. Clocks of different
//! nodes are never compared, and a listener that was disconnected starts anew. Nothing is planned anew while the new plan could again pin a
//! missing build.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::eligibility::{Offer, Rules};
use crate::delivery::stage::Stage;

/// Heartbeats of a node within the patience. Many may be lost before the node counts as gone.
const WORDS_PER_PATIENCE: u32 = 20;

/// Longest time between two heartbeats of a node. Far below the age at which the bucket removes its report.
const INTERVAL_MAX: Duration = Duration::from_secs(30);

/// Slots of one node that count at most. Settings allow fewer.
const SLOTS_MAX: usize = 4096;

/// Time between two heartbeats of a node.
#[must_use]
pub fn interval(patience_seconds: u64) -> Duration {
    (Duration::from_secs(patience_seconds) / WORDS_PER_PATIENCE).min(INTERVAL_MAX)
}

/// The report of a node in the bucket `nodes`, under an id that is new with every start. Times are by the node's own clock, for display.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Schema version.
    pub v: u32,
    /// Name of the node, for display. Two nodes may have the same name.
    pub node: String,
    /// Names of its roles as in the settings.
    pub roles: BTreeSet<String>,
    /// Build of its codec. `None` if its roles need no codec, or the codec does not work.
    #[serde(default)]
    pub codec_build: Option<String>,
    /// Tasks that the node encodes at once. 0 outside of its hours.
    #[serde(default)]
    pub slots: usize,
    /// Whether the node releases tasks of orders whose turn has come: it publishes, follows the line and is neither draining nor held up.
    #[serde(default)]
    pub releases: bool,
    /// Tasks that the node has in hand.
    #[serde(default)]
    pub busy: usize,
    /// Its labels and hours.
    #[serde(default)]
    pub offer: Offer,
    /// The rules of its settings.
    #[serde(default)]
    pub rules: Rules,
    /// When the node started, in seconds since the Unix epoch.
    pub since: i64,
    /// When the node wrote this report, in seconds since the Unix epoch.
    pub at: i64,
    /// Number of the newest sign in the node's store. `None` if the node's version is older, or the sign could not be written.
    #[serde(default)]
    pub sign: Option<u64>,
    /// Whether the node is still starting: it checks that its store holds the signs of the other nodes.
    #[serde(default)]
    pub arriving: bool,
    /// Whether the node doubts that its store is the right one.
    #[serde(default)]
    pub astray: bool,
}

/// The last report of a node, with its place and time in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Id of the start of the node.
    pub id: String,
    /// When the broker stored it, by the broker's clock, in seconds since the Unix epoch.
    pub at: i64,
    /// Sequence in the stream of the bucket.
    pub sequence: u64,
    /// The report.
    pub presence: Presence,
}

/// The fields that matter in a report of an unknown form.
#[derive(Deserialize)]
struct Odd {
    codec_build: String,
}

impl Presence {
    /// The report of a node in place of one of an unknown form, for example of a newer version. If the document names a codec build, that
    /// build exists and is not missing. The node counts for no plan.
    #[must_use]
    pub fn of_unknown_form(node: &str, document: &[u8]) -> Option<Self> {
        let Odd { codec_build } = serde_json::from_slice(document).ok()?;
        let (node, roles) = (node.to_owned(), [Stage::Encode.as_str().to_owned()].into());
        Some(Self { node, roles, codec_build: Some(codec_build), ..Self::default() })
    }

    /// Whether the node works and does not doubt its store.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.arriving && !self.astray
    }

    /// Whether the node plans orders.
    #[must_use]
    pub fn plans(&self) -> bool {
        self.roles.contains(Stage::Ingest.as_str())
    }

    /// Its slots, bounded: a report may name any number.
    #[must_use]
    pub fn slots_counted(&self) -> usize {
        self.slots.min(SLOTS_MAX)
    }

    /// Whether the node encodes tasks.
    #[must_use]
    pub fn encodes(&self) -> bool {
        self.roles.contains(Stage::Encode.as_str())
    }
}

/// The codec builds of some nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builds {
    planning: BTreeSet<String>,
    encoding: BTreeSet<String>,
}

impl Builds {
    /// The builds of `nodes`.
    #[must_use]
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a Presence>) -> Self {
        let mut builds = Self::default();
        for node in nodes {
            let Some(build) = &node.codec_build else { continue };
            if node.plans() {
                builds.planning.insert(build.clone());
            }
            if node.encodes() {
                builds.encoding.insert(build.clone());
            }
        }
        builds
    }

    /// Builds of nodes that encode.
    #[must_use]
    pub fn encoding(&self) -> &BTreeSet<String> {
        &self.encoding
    }

    /// Builds of nodes that plan orders, without a node that encodes.
    #[must_use]
    pub fn in_vain(&self) -> BTreeSet<&str> {
        self.planning.difference(&self.encoding).map(String::as_str).collect()
    }

    /// Whether an order planned with `build` can never be encoded, while every order planned now can, whichever node plans it.
    #[must_use]
    pub fn strand(&self, build: &str) -> bool {
        !self.encoding.contains(build) && !self.planning.is_empty() && self.in_vain().is_empty()
    }
}

/// Nodes with a recent heartbeat. Times are in seconds since any fixed moment.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// Since when the reports were read without a gap.
    since: Option<u64>,
    /// When the reports were last read.
    listened: u64,
    heard: BTreeMap<String, (u64, Presence)>,
    builds: Builds,
}

impl Roster {
    /// Records the reports written since the last call, by id of the node.
    pub fn hear(
        &mut self,
        now: u64,
        said: impl IntoIterator<Item = (String, Presence)>,
        patience_seconds: u64,
    ) {
        let gap = now.saturating_sub(self.listened) > patience_seconds / 2;
        let since = self.since.filter(|_| !gap).unwrap_or(now);
        (self.since, self.listened) = (Some(since), now);
        self.heard.extend(said.into_iter().map(|(id, presence)| (id, (now, presence))));
        self.heard.retain(|_, (at, _)| now.saturating_sub(*at) < patience_seconds);
        if self.heard.is_empty() {
            // No report arrived, not even this node's own: the connection is broken. When it works again, the first node that reports may be
            // one of many.
            self.since = None;
        }
        let long = now.saturating_sub(since) >= patience_seconds;
        let nodes = self.heard.values().filter(|_| long).map(|(_, presence)| presence);
        self.builds = Builds::of(nodes);
    }

    /// Records that the reports could not be read. The builds are unknown until they can be read again.
    pub fn miss(&mut self) {
        self.builds = Builds::default();
    }

    /// Whether an order planned with `build` must be planned anew, as far as the nodes show. `false` before the reports were read for the
    /// whole patience.
    #[must_use]
    pub fn strands(&self, build: &str) -> bool {
        self.builds.strand(build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: u64 = 600;

    fn node(roles: &str, build: Option<&str>) -> Presence {
        Presence {
            v: 1,
            node: "one".to_owned(),
            roles: roles.split(',').map(ToOwned::to_owned).collect(),
            codec_build: build.map(ToOwned::to_owned),
            slots: 1,
            ..Presence::default()
        }
    }

    #[test]
    fn an_order_is_planned_anew_only_where_that_helps() {
        for (nodes, strands) in [
            (vec![("ingest,encode", Some("old"))], false),
            (vec![("ingest,encode", Some("new"))], true),
            (vec![("ingest", Some("new")), ("encode", Some("new"))], true),
            // A node still has the build.
            (vec![("ingest,encode", Some("new")), ("encode", Some("old"))], false),
            // No node plans, no node encodes, or no node's codec works.
            (vec![("encode", Some("new"))], false),
            (vec![("ingest", Some("new"))], false),
            (vec![("ingest,encode", None)], false),
            (vec![("publish", Some("new"))], false),
            (vec![], false),
            // The new plan would, or could, pin a missing build again.
            (vec![("ingest", Some("old")), ("encode", Some("new"))], false),
            (vec![("ingest,encode", Some("new")), ("ingest", Some("old"))], false),
            (vec![("ingest,encode", Some("new")), ("ingest", Some("newer"))], false),
            (vec![("ingest,encode", Some("new")), ("ingest,encode", Some("newer"))], true),
        ] {
            let said: Vec<Presence> = nodes.iter().map(|(roles, b)| node(roles, *b)).collect();
            assert_eq!(Builds::of(&said).strand("old"), strands, "{nodes:?}");
        }
    }

    /// Reads the reports of these nodes every ten seconds up to `until`.
    fn listen(roster: &mut Roster, from: u64, until: u64, nodes: &[(&str, &str)]) {
        for now in (from..=until).step_by(10) {
            let said = nodes
                .iter()
                .map(|(id, build)| ((*id).to_owned(), node("ingest,encode", Some(build))));
            roster.hear(now, said, PATIENCE);
        }
    }

    #[test]
    fn a_build_is_missing_when_nobody_had_it_for_the_whole_patience() {
        let mut roster = Roster::default();
        listen(&mut roster, 1000, 1000, &[("a", "old"), ("b", "new")]);
        listen(&mut roster, 1010, 1590, &[("b", "new")]);
        assert!(!roster.strands("old"));
        listen(&mut roster, 1600, 1600, &[("b", "new")]);
        assert!(roster.strands("old") && !roster.strands("new"));
        listen(&mut roster, 1610, 1610, &[("b", "new"), ("c", "old")]);
        assert!(!roster.strands("old"), "a node with it is back");
    }

    #[test]
    fn who_has_just_begun_to_listen_misses_nobody() {
        let mut roster = Roster::default();
        listen(&mut roster, 5000, 5590, &[("b", "new")]);
        assert!(!roster.strands("old"));
        listen(&mut roster, 5600, 5600, &[("b", "new")]);
        assert!(roster.strands("old"));
    }

    #[test]
    fn who_could_not_listen_starts_anew() {
        let mut roster = Roster::default();
        listen(&mut roster, 0, 700, &[("a", "old"), ("b", "new")]);
        // All nodes were disconnected from the broker, and one reconnects before the other.
        listen(&mut roster, 1400, 1990, &[("b", "new")]);
        assert!(!roster.strands("old"));
        listen(&mut roster, 2000, 2000, &[("b", "new")]);
        assert!(roster.strands("old"));
    }

    #[test]
    fn a_node_that_says_nothing_any_more_is_no_reason_to_plan_anew() {
        let mut roster = Roster::default();
        listen(&mut roster, 0, 600, &[("b", "new")]);
        assert!(roster.strands("old"));
        listen(&mut roster, 610, 1200, &[]);
        assert!(!roster.strands("old"), "nobody is there who could plan");
        listen(&mut roster, 1210, 1800, &[("b", "new")]);
        assert!(!roster.strands("old"), "others may speak a little later");
        listen(&mut roster, 1810, 1810, &[("b", "new")]);
        assert!(roster.strands("old"));
        roster.miss();
        assert!(!roster.strands("old"), "nobody knows");
    }

    #[test]
    fn nodes_talk_far_more_often_than_they_are_missed() {
        assert_eq!(interval(PATIENCE), Duration::from_secs(30));
        assert_eq!(interval(10), Duration::from_millis(500));
        assert_eq!(interval(1 << 40), INTERVAL_MAX);
    }

    #[test]
    fn a_node_of_an_unknown_form_has_its_build_all_the_same() {
        let text = br#"{"v":9,"codec_build":"new","roles":"encode and ingest"}"#;
        let found = Presence::of_unknown_form("n", text).unwrap();
        assert!(!Builds::of([&found, &node("ingest,encode", Some("other"))]).strand("new"));
        assert!(!Builds::of([&found]).strand("old"), "nobody is known who could plan");
        for text in ["{}", "of another form", "{\"codec_build\":7}"] {
            assert_eq!(Presence::of_unknown_form("n", text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_document_of_another_version_is_understood() {
        let text = r#"{"v":2,"node":"n","roles":["encode"],"since":1,"at":2,"mood":"good"}"#;
        let read: Presence = serde_json::from_str(text).unwrap();
        assert!(read.encodes() && !read.plans() && read.codec_build.is_none());
        assert!(read.sign.is_none() && read.is_settled());
    }
}
