//! Status of an order, and the moves between statuses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// The upload is arriving.
    Receiving,
    /// The upload is stored and waits for ingest.
    Queued,
    /// The upload is being probed and planned.
    Ingesting,
    /// Tasks are being encoded.
    Encoding,
    /// Every task is finished. Playlists and manifest are being written.
    Publishing,
    /// The output is published. Final.
    Completed,
    /// A task is dead.
    Failed,
    /// The order was cancelled. Final.
    Cancelled,
}

impl Status {
    /// All statuses, in order.
    pub const ALL: [Self; 8] = [
        Self::Receiving,
        Self::Queued,
        Self::Ingesting,
        Self::Encoding,
        Self::Publishing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Name of the status as users see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "RECEIVING",
            Self::Queued => "QUEUED",
            Self::Ingesting => "INGESTING",
            Self::Encoding => "ENCODING",
            Self::Publishing => "PUBLISHING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether the order rests: it changes only by a request.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether the order is closed for good: its tasks are acknowledged without work.
    #[must_use]
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Whether an order may move from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Completed | Self::Cancelled => false,
            Self::Failed => matches!(next, Self::Encoding | Self::Queued | Self::Cancelled),
            Self::Receiving
            | Self::Queued
            | Self::Ingesting
            | Self::Encoding
            | Self::Publishing => {
                next > self && (next != Self::Completed || self == Self::Publishing)
            }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A move that the state machine refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from} cannot become {to}")]
pub struct IllegalMove {
    /// Current status.
    pub from: Status,
    /// Requested status.
    pub to: Status,
}
