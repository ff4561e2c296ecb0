//! Decides which store belongs to which broker.
//!
//! The state on the broker names the objects in the store, so broker and store belong together. Objects that another broker's videos name
//! would look like orphans, and objects written to another store would never be found. Therefore both carry the same id, made once.
//!
//! Invariants: the id of a store never changes. A broker names one store. Only an operator changes which store it names.

use serde::{Deserialize, Serialize};

use crate::order::state::{Status, Video};
use crate::words::failure::Failure;

/// Key of the mark in the store.
pub const KEY: &str = "jetreel-store.json";
/// Schema version of both marks.
pub const VERSION: u32 = 1;
/// Objects that are looked up before a store counts as another one.
const NAMED_MAX: usize = 40;

/// The object at [`KEY`], JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMark {
    /// Schema version.
    pub v: u32,
    /// Id of the store.
    pub id: String,
    /// When the state of the broker was created for which the store was marked. With it, a start that was interrupted between the two marks
    /// can continue.
    #[serde(default)]
    pub broker: String,
}

/// The document in the bucket `store`, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerMark {
    /// Schema version.
    pub v: u32,
    pub store: String,
}

/// Next step of the binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do: the two are bound by this id.
    Bound(String),
    /// Neither has a mark. The store is marked first.
    MarkStore,
    /// The store is marked for this broker. The broker gets a mark with this id.
    MarkBroker(String),
}

/// Why store and broker do not belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The broker names a store, and this store has no id.
    Unmarked {
        /// Id in the broker's mark.
        wanted: String,
    },
    /// The store has an id, and the broker has no mark.
    Stranger {
        /// Id of the store.
        store: String,
    },
    /// Neither has a mark, and the store holds none of the objects that the broker's videos name.
    Elsewhere {
        /// The newest of the missing objects.
        missing: String,
    },
    /// Neither has a mark, the broker has no videos, and the store holds media.
    Occupied {
        /// An object in the store.
        found: String,
    },
    /// The broker names another store.
    Different {
        /// Id in the broker's mark.
        wanted: String,
        /// Id of the store.
        store: String,
    },
}

/// Compares both marks. `birth` is when the broker's state was created.
///
/// # Errors
/// The two do not belong together.
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

/// Keys of objects that the states of videos name and the store must hold, newest first as the videos are. Only the first [`NAMED_MAX`].
#[must_use]
pub fn named(videos: &[Video]) -> Vec<&str> {
    let there = videos.iter().filter(|video| !video.is_deleted());
    there.flat_map(named_by).take(NAMED_MAX).collect()
}

fn named_by(video: &Video) -> impl Iterator<Item = &str> {
    // The output of a cancelled order is removed.
    let orders = video.orders.iter().rev().filter(|order| order.status != Status::Cancelled);
    orders.flat_map(|order| {
        let set = order.published.as_ref().map(|published| published.manifest.key.as_str());
        let plan = order.plan.as_ref().map(|plan| plan.object.key.as_str());
        let part = video.source_of(order.number).parts.first().map(|part| part.key.as_str());
        // The finished set names what playback needs. The plan may be gone.
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
