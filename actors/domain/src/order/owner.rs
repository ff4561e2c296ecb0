//! Finds the owner of a stored object by its key.

use crate::id::{OrderId, TaskId, VideoId};

/// Folder of the small objects that a probe of the store writes, reads and removes.
pub const PROBES: &str = "probe/";

/// Folder of the signs of nodes: small objects that show whether nodes have the same store.
pub const SIGNS: &str = "nodes/";

/// Folders that Jetreel writes.
pub const FOLDERS: [&str; 4] = ["raw/", "out/", PROBES, SIGNS];

/// Length of a UUID with hyphens. A probe's name is a UUID, and so is the id of a start of a node.
const UUID_LENGTH: usize = 36;

/// Owner of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A part of a video's original.
    Original(VideoId),
    /// Output of an order.
    Order(OrderId),
    /// A probe that its node left behind when it died.
    Probe,
    /// The signs of a node, by the id of its start.
    Node(String),
}

impl Owner {
    /// The owner of the object at `key`; `None` if Jetreel does not write such keys.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        if let Some(name) = key.strip_prefix(PROBES) {
            return is_probe(name).then_some(Self::Probe);
        }
        if let Some(sign) = key.strip_prefix(SIGNS) {
            let (id, name) = sign.split_once('/')?;
            return (is_start_id(id) && !name.contains('/')).then(|| Self::Node(id.to_owned()));
        }
        let mut words = key.split('/');
        match (words.next()?, words.next()?, words.next()?) {
            ("raw", video, _) => Some(Self::Original(video.parse().ok()?)),
            ("out", video, number) => {
                words.next()?;
                Some(Self::Order(OrderId::new(video.parse().ok()?, number.parse().ok()?)))
            }
            _ => None,
        }
    }

    /// The video; `None` for a probe.
    #[must_use]
    pub fn video(&self) -> Option<&VideoId> {
        match self {
            Self::Original(video) => Some(video),
            Self::Order(order) => Some(&order.video),
            Self::Probe | Self::Node(_) => None,
        }
    }

    /// Common prefix of the owner's keys.
    #[must_use]
    pub fn prefix(&self) -> String {
        match self {
            Self::Original(video) => format!("raw/{video}/"),
            Self::Order(order) => format!("out/{}/{}/", order.video, order.number),
            Self::Probe => PROBES.to_owned(),
            Self::Node(id) => format!("{SIGNS}{id}/"),
        }
    }

    /// The task whose attempt wrote the object; `None` for plans, finished sets and originals.
    #[must_use]
    pub fn task(key: &str) -> Option<TaskId> {
        key.strip_prefix("out/")?.split('/').nth(2)?.parse().ok()
    }
}

/// Whether the object is a probe, complete or still being written: `.<name>.<something>.part`.
fn is_probe(name: &str) -> bool {
    is_start_id(name.strip_prefix('.').and_then(|left| left.split('.').next()).unwrap_or(name))
}

/// Whether a text has the form of an id of a start of a node: a UUID.
#[must_use]
pub fn is_start_id(name: &str) -> bool {
    name.len() == UUID_LENGTH && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
