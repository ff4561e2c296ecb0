//! Bodies of messages between stages: MessagePack with named fields. Unknown fields are ignored, new fields have defaults.

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
    pub video: VideoId,
    /// Number of the order to plan.
    pub number: u32,
    /// Lane of its tasks.
    #[serde(default)]
    pub lane: Lane,
    /// Storage key of another source, which opens the next order. `None` for the original.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether the file begins like no supported container ([`crate::delivery::signature`]). Such an upload waits while others do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecognised: bool,
}

impl Uploaded {
    /// The announcement of an order's completed upload.
    #[must_use]
    pub fn new(video: VideoId, number: u32, lane: Lane) -> Self {
        Self { v: VERSION, video, number, lane, source: None, unrecognised: false }
    }
}

/// On `video.encode.…`: a task to encode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeTask {
    /// Schema version.
    pub v: u32,
    pub order: OrderId,
    pub task: TaskId,
    /// Lane that the task was released to.
    pub lane: Lane,
    /// Key of the plan object.
    pub plan: String,
    /// SHA-256 of the plan object.
    pub plan_sha256: String,
}

/// On `video.publish.…`: a request to evaluate an order. Also the body of every stage whose messages name an order and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluate {
    /// Schema version.
    pub v: u32,
    pub order: OrderId,
}
