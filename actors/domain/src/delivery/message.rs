//! The bodies of messages between stages. MessagePack with named fields; unknown fields are ignored, new ones defaulted.

use serde::{Deserialize, Serialize};

use crate::id::{OrderId, TaskId, VideoId};
use crate::order::lane::Lane;

/// Schema version written into every body.
pub const VERSION: u32 = 1;

/// On `video.uploads.raw.<video>`: an upload is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Schema version.
    pub v: u32,
    /// Which video.
    pub video: VideoId,
    /// Which order to plan.
    pub number: u32,
    /// Lane of its tasks.
    #[serde(default)]
    pub lane: Lane,
    /// Names another source by storage key: opens the next order.
    #[serde(default)]
    pub source: Option<String>,
    /// The file begins like no container that is taken ([`crate::delivery::signature`]): it waits while other uploads do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecognised: bool,
}

impl Uploaded {
    /// The announcement of what was uploaded for an order.
    #[must_use]
    pub fn new(video: VideoId, number: u32, lane: Lane) -> Self {
        Self { v: VERSION, video, number, lane, source: None, unrecognised: false }
    }
}

/// On `video.encode.…`: do this task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeTask {
    /// Schema version.
    pub v: u32,
    /// Whose.
    pub order: OrderId,
    /// Which.
    pub task: TaskId,
    /// Lane it was released in.
    pub lane: Lane,
    /// Key of the plan object.
    pub plan: String,
    /// SHA-256 of the plan object.
    pub plan_sha256: String,
}

/// On `video.publish.…`, and for every stage whose messages name an order and nothing else: look at this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluate {
    /// Schema version.
    pub v: u32,
    /// Which.
    pub order: OrderId,
}
