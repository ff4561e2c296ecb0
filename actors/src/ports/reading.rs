//! What is read of the states of videos: from some place on, of a bucket that may have become another.

use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;

/// A document with the revision it was read at.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// Revision in its bucket.
    pub revision: u64,
}

/// Which bucket there is, and how far it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// When it was made, nanoseconds since the Unix epoch.
    pub born: i64,
    /// The last sequence that was ever written.
    pub last: u64,
}

impl Extent {
    /// Whether somebody made the bucket anew, or restored it, since it was read: when it was `born` then, and up to where it was read.
    /// What was read of it counts no more.
    #[must_use]
    pub fn is_another(&self, born: i64, read: u64) -> bool {
        read > 0 && (self.born != born || self.last < read)
    }
}

/// A state that was written.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Of which video.
    pub id: VideoId,
    /// Its revision.
    pub revision: u64,
    /// What was written; `None`: the video is gone. An error where it cannot be read.
    pub state: Result<Option<Video>, Failure>,
}

/// States in the order in which they were written; of a video only the last one is kept.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The states.
    pub changed: Vec<Changed>,
    /// Revision up to which all was read.
    pub read: u64,
    /// Whether there may be more.
    pub more: bool,
    /// The bucket, as it was before it was read.
    pub extent: Extent,
}

/// States of videos as they changed.
#[derive(Debug, Clone)]
pub struct States {
    /// The states, by ascending revision.
    pub videos: Vec<Versioned<Video>>,
    /// Revision up to which all was read, what is no state included.
    pub read: u64,
    /// There are more.
    pub more: bool,
    /// The bucket, as it was before it was read.
    pub extent: Extent,
}
