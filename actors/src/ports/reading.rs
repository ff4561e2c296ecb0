//! Results of reading states of videos from a revision on. The bucket may have been created anew or restored since the last read.

use std::pin::Pin;

use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;

/// A document with the revision it was read at.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    pub value: T,
    /// Revision in the bucket.
    pub revision: u64,
}

/// Identity and end of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// When the bucket was created, in nanoseconds since the Unix epoch.
    pub born: i64,
    /// Sequence of the newest write.
    pub last: u64,
}

impl Extent {
    /// Whether the bucket was created anew or restored since it was read. `born` is when it was created at that time, `read` the revision
    /// up to which it was read. If so, what was read of it is void.
    #[must_use]
    pub fn is_another(&self, born: i64, read: u64) -> bool {
        read > 0 && (self.born != born || self.last < read)
    }
}

/// A state that changed.
#[derive(Debug, Clone)]
pub struct Changed {
    pub id: VideoId,
    pub revision: u64,
    /// The state as written. `None` if the video was removed, an error if the state cannot be decoded.
    pub state: Result<Option<Video>, Failure>,
}

/// Changed states in the order of their writes. Only the last state of a video is kept.
#[derive(Debug, Clone)]
pub struct Changes {
    pub changed: Vec<Changed>,
    /// Revision up to which the bucket was read.
    pub read: u64,
    /// Whether more changes may follow.
    pub more: bool,
    /// Extent of the bucket before the read.
    pub extent: Extent,
}

/// States of videos that changed.
#[derive(Debug, Clone)]
pub struct States {
    /// The states, ascending by revision.
    pub videos: Vec<Versioned<Video>>,
    /// Revision up to which the bucket was read, including writes that are no states.
    pub read: u64,
    /// Whether more states follow.
    pub more: bool,
    /// Extent of the bucket before the read.
    pub extent: Extent,
}

/// States as their writers send them. They are hints: a state may be missing, come late, or have been refused by the broker.
pub trait Overheard: Send {
    /// The next state. Waits for it.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Video> + Send + '_>>;
}
