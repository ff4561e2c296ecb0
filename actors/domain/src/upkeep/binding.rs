//! Which store belongs to which broker.
//!
//! State says what is to be in the store, so a broker and a store belong together: what another broker's videos are made of looks like
//! orphans, and a node that writes elsewhere writes what nobody finds. An id, made once, lies in both.
//!
//! Invariants: the id of a store never changes; a broker names one store; only a person lets it name another.

use serde::{Deserialize, Serialize};

use crate::order::state::{Status, Video};
use crate::words::failure::Failure;

/// Key of the mark in the store.
pub const KEY: &str = "jetreel-store.json";
/// Schema version of both marks.
pub const VERSION: u32 = 1;
/// Objects that are looked for, before a store is taken for another one.
const NAMED_MAX: usize = 40;

/// The object at [`KEY`], JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMark {
    /// Schema version.
    pub v: u32,
    /// Id of the store.
    pub id: String,
    /// When the state of the broker was born that the store was marked for: lets a start go on that was cut short between the two
    /// marks.
    #[serde(default)]
    pub broker: String,
}

/// The document in the bucket `store`, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerMark {
    /// Schema version.
    pub v: u32,
    /// Id of the store that belongs to the broker.
    pub store: String,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: they belong together, by this id.
    Bound(String),
    /// Neither has a mark: the store gets one.
    MarkStore,
    /// The store was marked for this broker, which gets its own mark: this id.
    MarkBroker(String),
}

/// They do not belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The broker names a store, and this one has no id.
    Unmarked {
        /// What the broker names.
        wanted: String,
    },
    /// The store has an id, and the broker names none.
    Stranger {
        /// Id of the store.
        store: String,
    },
    /// Neither has a mark, and nothing of what the broker's videos name is in the store.
    Elsewhere {
        /// The newest of what is missing.
        missing: String,
    },
    /// Neither has a mark, and the store holds what no video of the broker's names: it has none.
    Occupied {
        /// Something that the store holds.
        found: String,
    },
    /// The broker names another store.
    Different {
        /// What the broker names.
        wanted: String,
        /// Id of the store.
        store: String,
    },
}

/// Judges by both marks. `birth` tells when the broker's state was born.
///
/// # Errors
/// When the two do not belong together.
pub fn judge(
    store: Option<&StoreMark>,
    broker: Option<&BrokerMark>,
    birth: &str,
) -> Result<Step, Mismatch> {
    match (store, broker) {
        (None, None) => Ok(Step::MarkStore),
        (Some(store), None) if store.broker == birth => Ok(Step::MarkBroker(store.id.clone())),
        (Some(store), None) => Err(Mismatch::Stranger { store: store.id.clone() }),
        (None, Some(broker)) => Err(Mismatch::Unmarked { wanted: broker.store.clone() }),
        (Some(store), Some(broker)) if store.id == broker.store => {
            Ok(Step::Bound(store.id.clone()))
        }
        (Some(store), Some(broker)) => {
            Err(Mismatch::Different { wanted: broker.store.clone(), store: store.id.clone() })
        }
    }
}

/// What the states of videos name that must be in their store, newest first as the videos are; only the first [`NAMED_MAX`].
#[must_use]
pub fn named(videos: &[Video]) -> Vec<&str> {
    let there = videos.iter().filter(|video| !video.is_deleted());
    there.flat_map(named_by).take(NAMED_MAX).collect()
}

fn named_by(video: &Video) -> impl Iterator<Item = &str> {
    // What was cancelled is cleared away.
    let orders = video.orders.iter().rev().filter(|order| order.status != Status::Cancelled);
    orders.flat_map(|order| {
        let set = order.published.as_ref().map(|published| published.manifest.key.as_str());
        let plan = order.plan.as_ref().map(|plan| plan.object.key.as_str());
        let part = video.source_of(order.number).parts.first().map(|part| part.key.as_str());
        // A finished set names what playback needs; its plan may have gone.
        set.or(plan).into_iter().chain(part)
    })
}

impl From<Mismatch> for Failure {
    fn from(mismatch: Mismatch) -> Self {
        let happened = match mismatch {
            Mismatch::Unmarked { wanted } => format!(
                "The broker belongs to the store {wanted}, and the store of this node has no id: it is another folder or bucket, or a \
                 disk that is not mounted. Let the section [store] name the store of the other nodes."
            ),
            Mismatch::Stranger { store } => format!(
                "The store {store} belongs to another broker: this one names no store. Let nats.url name the broker that the store \
                 belongs to."
            ),
            Mismatch::Elsewhere { missing } => format!(
                "The broker has videos, and the store of this node holds nothing of them, such as {missing}: it is another folder or \
                 bucket, or a disk that is not mounted. Let the section [store] name the store of the videos."
            ),
            Mismatch::Occupied { found } => format!(
                "The broker has no videos, and the store of this node holds some, such as {found}: they are another broker's. Let \
                 nats.url name the broker that the store belongs to."
            ),
            Mismatch::Different { wanted, store } => format!(
                "The broker belongs to the store {wanted}, and the store of this node is {store}. Let the section [store] and \
                 nats.url name what belongs together."
            ),
        };
        let remedy = "Where the broker or the store was replaced, `jetreel store adopt` binds the broker to this store.";
        Self::permanent("store-mismatch", format!("{happened} {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::lane::Lane;
    use crate::order::ledger::Object;
    use crate::order::state::{Part, Published};

    const BIRTH: &str = "2026-11-30T03:00:00Z";

    fn store(id: &str, broker: &str) -> StoreMark {
        StoreMark { v: VERSION, id: id.into(), broker: broker.into() }
    }

    fn broker(store: &str) -> BrokerMark {
        BrokerMark { v: VERSION, store: store.into() }
    }

    #[test]
    fn two_that_have_no_mark_get_theirs_one_after_the_other() {
        assert_eq!(judge(None, None, BIRTH), Ok(Step::MarkStore));
        let marked = store("a", BIRTH);
        assert_eq!(judge(Some(&marked), None, BIRTH), Ok(Step::MarkBroker("a".into())));
        assert_eq!(judge(Some(&marked), Some(&broker("a")), BIRTH), Ok(Step::Bound("a".into())));
        let moved = judge(Some(&marked), Some(&broker("a")), "later");
        assert_eq!(moved, Ok(Step::Bound("a".into())), "a restored broker names its store");
    }

    #[test]
    fn only_what_is_to_be_in_the_store_tells_whether_it_is_the_one() {
        let video = |status, parts: &[&str]| {
            let id = VideoId::from_bits(1);
            let mut video = Video::receiving(id, String::new(), Lane::Normal, 0);
            video.orders[0].status = status;
            let part = |key: &&str| Part { key: (*key).to_owned(), bytes: 1 };
            video.source.parts = parts.iter().map(part).collect();
            video
        };
        let key = |key: &str| Object { key: key.to_owned(), bytes: 1, sha256: String::new() };
        let mut finished = video(Status::Completed, &["raw/1/00000", "raw/1/00001"]);
        let manifest = key("out/1/1/set/manifest.json");
        finished.orders[0].published = Some(Published { prefix: String::new(), manifest });
        assert_eq!(named(&[finished]), ["out/1/1/set/manifest.json", "raw/1/00000"]);
        let nothing = [
            video(Status::Failed, &[]),
            video(Status::Cancelled, &["x"]),
            video(Status::Queued, &[]),
        ];
        assert!(named(&nothing).is_empty());
        let many = vec![video(Status::Queued, &["x"]); NAMED_MAX + 1];
        assert_eq!(named(&many).len(), NAMED_MAX);
    }

    #[test]
    fn what_does_not_belong_together_is_told_with_what_to_do() {
        let (old, named) = (store("a", "earlier"), broker("b"));
        for (store, broker, ids) in [
            (Some(&old), None, vec!["a"]),
            (None, Some(&named), vec!["b"]),
            (Some(&old), Some(&named), vec!["a", "b"]),
        ] {
            let failure = Failure::from(judge(store, broker, BIRTH).unwrap_err());
            assert_eq!(failure.code, "store-mismatch");
            assert!(failure.message.contains("jetreel store adopt"), "{failure}");
            assert!(
                ids.iter().all(|id| failure.message.contains(&format!("store {id}"))
                    || failure.message.contains(&format!("is {id}"))),
                "{failure}"
            );
        }
    }
}
