//! Which store belongs to which broker.
//!
//! State says what is to be in the store, so a broker and a store belong together: what another broker's videos are made of looks like
//! orphans, and a node that writes elsewhere writes what nobody finds. An id, made once, lies in both.
//!
//! Invariants: the id of a store never changes; a broker names one store; only a person lets it name another.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Key of the mark in the store.
pub const KEY: &str = "jetreel-store.json";
/// Schema version of both marks.
pub const VERSION: u32 = 1;

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
