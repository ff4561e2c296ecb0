//! The state of a video. It is the source of truth; messages are hints.
//!
//! ```text
//! RECEIVING → QUEUED → INGESTING → ENCODING → PUBLISHING → COMPLETED
//!     │          └────────┴──────────┴────────────┴──────→ FAILED   (a task of the order is dead)
//!     └──────────┴────────┴──────────┴────────────┴──────→ CANCELLED
//! ```
//! Invariant: an order moves only forward, except FAILED → ENCODING by replay. COMPLETED and CANCELLED never change.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::delivery::stage::Unit;
use crate::delivery::trace::TraceParent;
use crate::id::{OrderId, VideoId};
use crate::order::lane::Lane;
use crate::order::ledger::Object;
use crate::order::owner_name::OwnerName;
use crate::order::takeover::Takeover;
use crate::order::unknown::Unknown;
use crate::plan::Class;
use crate::plan::shares::Shares;
use crate::words::failure::Failure;

pub use crate::order::source::{Part, Source};
pub use crate::order::status::{IllegalMove, Status};

/// Schema version written into every state. Since version 2 an object lists the parts of an original.
pub const VERSION: u32 = 2;

/// The document at `videos/<video>`, JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Schema version.
    pub v: u32,
    pub id: VideoId,
    /// Title given by the uploader. For display only.
    #[serde(default)]
    pub title: String,
    /// Who shares the slots with whom. Given by the uploader.
    #[serde(default, skip_serializing_if = "OwnerName::is_empty")]
    pub owner: OwnerName,
    /// Creation time in seconds since the Unix epoch.
    pub created: i64,
    /// The original.
    pub source: Source,
    /// Orders by ascending number; at least one.
    pub orders: Vec<Order>,
    /// Last number given to a fact of this video.
    #[serde(default)]
    pub seq: u64,
    /// Facts up to this number are on PROGRESS.
    #[serde(default)]
    pub announced: u64,
    /// Span of the upload, to which all work on the video belongs: see [`crate::delivery::trace`]. Empty if it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// Deletion time in seconds since the Unix epoch. Its remains are being removed. `None` while the video exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
    /// Fields of a newer program.
    #[serde(skip)]
    pub unknown: Unknown,
}

/// An order: one plan for a video, and its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Number of the order, from 1.
    pub number: u32,
    pub status: Status,
    /// Lane of its tasks.
    #[serde(default)]
    pub lane: Lane,
    /// Creation time in seconds since the Unix epoch.
    pub created: i64,
    /// End time in seconds since the Unix epoch; `None` while the order is open.
    #[serde(default)]
    pub ended: Option<i64>,
    /// The plan; `None` before it is written.
    #[serde(default)]
    pub plan: Option<PlanRef>,
    /// Dead tasks with failure and message sequence. Not empty exactly when the order is FAILED. A death takes some 300 bytes, and the
    /// details of the first [`DETAILS_MAX`] take up to 1 KiB each; so the state grows with the number of tasks that are released at once.
    #[serde(default)]
    pub dead: BTreeMap<Unit, Dead>,
    /// Replayed tasks with the sequence of the message that revived each. An older death of such a task is ignored.
    #[serde(default)]
    pub revived: BTreeMap<Unit, u64>,
    /// Facts of the order in the order in which they became known.
    #[serde(default)]
    pub facts: Vec<Known>,
    /// The finished set; `None` before COMPLETED.
    #[serde(default)]
    pub published: Option<Published>,
    /// Whether a later order took over.
    #[serde(default)]
    pub superseded: bool,
    /// Why a later order took over. Older versions did not record it; their only reason was a seam mismatch.
    #[serde(default)]
    pub takeover: Option<Takeover>,
    /// Number of the order that took over.
    #[serde(default)]
    pub successor: Option<u32>,
    /// Whether the order must be planned as class B whatever the probe finds, because an earlier order's chunks did not fit together.
    #[serde(default)]
    pub sequential: bool,
    /// Source of this order; `None` if it reads the video's original.
    #[serde(default)]
    pub source: Option<Source>,
    /// When the user last requested a retry of the dead tasks, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
    /// Key of the source that a message named to reopen the video.
    #[serde(default)]
    pub reopened: Option<String>,
    /// Whether all of a long order's bulk was released.
    #[serde(default)]
    pub tail: bool,
    /// Work of the plan by group.
    #[serde(default, skip_serializing_if = "Shares::is_empty")]
    pub work: Shares,
}

/// Reference to a plan, with its summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRef {
    /// The plan object.
    pub object: Object,
    /// Whether the source is cut into chunks or decoded in one go.
    pub class: Class,
    /// Names of the tiers, largest first.
    pub tiers: Vec<String>,
    /// Number of tasks.
    pub tasks: u32,
    /// Number of chunks.
    pub chunks: u32,
    /// Number of tasks that playback needs first. 0 in states of older versions.
    #[serde(default)]
    pub urgent: u32,
    /// Number of the other tasks that need no task of the order. `None` in states of older versions.
    #[serde(default)]
    pub bulk: Option<u32>,
}

/// Deaths of an order whose details its state keeps. Letters hold the details of all.
pub const DETAILS_MAX: usize = 1;

/// A dead task, or a dead stage under its own name: `ingest`, `publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// Stream sequence of the message that died.
    pub sequence: u64,
    pub failure: Failure,
    /// Sequence of its dead letter. 0 if there is none: the media was refused, or the letter is gone.
    #[serde(default)]
    pub letter: u64,
}

/// A fact with its number and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Number within the video, from 1, without gaps.
    pub seq: u64,
    pub fact: Fact,
    /// When it became known, in seconds since the Unix epoch.
    pub at: i64,
}

/// A fact that subscribers receive. Written as `playable`, `tier-720p`, `completed`, `failed-1`, `cancelled` or `deleted`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Playback can start.
    Playable,
    /// The tier with this name is complete.
    Tier(String),
    /// The order is complete.
    Completed,
    /// The order failed for the n-th time, from 1: it can fail again after a replay.
    Failed(u32),
    /// The order was cancelled.
    Cancelled,
    /// The video was deleted.
    Deleted,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playable => f.write_str("playable"),
            Self::Tier(name) => write!(f, "tier-{name}"),
            Self::Completed => f.write_str("completed"),
            Self::Failed(count) => write!(f, "failed-{count}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Deleted => f.write_str("deleted"),
        }
    }
}

/// The finished set of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Key prefix of the playlists: `out/<video>/<number>/final-<uuid>`.
    pub prefix: String,
    /// `manifest.json`, which lists every object.
    pub manifest: Object,
}

impl Video {
    /// A new video whose upload is arriving, with its first order.
    #[must_use]
    pub fn receiving(id: VideoId, title: String, lane: Lane, now: i64) -> Self {
        Self {
            v: VERSION,
            id,
            title,
            owner: OwnerName::default(),
            created: now,
            source: Source::default(),
            orders: vec![Order::new(1, Status::Receiving, lane, now)],
            seq: 0,
            announced: 0,
            trace: String::new(),
            deleted: None,
            unknown: Unknown::default(),
        }
    }

    /// The order with this number.
    #[must_use]
    pub fn order(&self, number: u32) -> Option<&Order> {
        self.orders.iter().find(|order| order.number == number)
    }

    /// The order with this number, to change it.
    pub fn order_mut(&mut self, number: u32) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.number == number)
    }

    /// Id of an order of this video.
    #[must_use]
    pub fn order_id(&self, number: u32) -> OrderId {
        OrderId::new(self.id.clone(), number)
    }

    /// The span of the upload.
    #[must_use]
    pub fn traced(&self) -> Option<TraceParent> {
        self.trace.parse().ok()
    }

    /// The order that playback uses: the newest completed one, else the newest that is not superseded.
    #[must_use]
    pub fn playback_order(&self) -> Option<&Order> {
        let newest = |wanted: fn(&Order) -> bool| self.orders.iter().rev().find(|o| wanted(o));
        newest(|order| order.status == Status::Completed).or_else(|| newest(|o| !o.superseded))
    }

    /// The source of an order.
    #[must_use]
    pub fn source_of(&self, number: u32) -> &Source {
        self.order(number).and_then(|order| order.source.as_ref()).unwrap_or(&self.source)
    }

    /// Moves an order to another status.
    ///
    /// # Errors
    /// The state machine has no such move. The video is unchanged then.
    pub fn advance(&mut self, number: u32, to: Status, now: i64) -> Result<(), IllegalMove> {
        let Some(order) = self.order_mut(number) else {
            return Err(IllegalMove { from: Status::Cancelled, to });
        };
        if !order.status.may_become(to) {
            return Err(IllegalMove { from: order.status, to });
        }
        order.status = to;
        order.ended = to.is_ended().then_some(now);
        Ok(())
    }

    /// Records a fact of an order once. A repeated fact changes nothing.
    pub fn learn(&mut self, number: u32, fact: Fact, now: i64) {
        let seq = self.seq + 1;
        let Some(order) = self.order_mut(number) else { return };
        if order.facts.iter().any(|known| known.fact == fact) {
            return;
        }
        order.facts.push(Known { seq, fact, at: now });
        self.seq = seq;
    }

    /// Marks a task or stage of an order as dead and the order as FAILED, and records the fact.
    ///
    /// # Errors
    /// The order is closed, or the task was replayed after the message that died.
    pub fn bury(
        &mut self,
        number: u32,
        unit: &Unit,
        dead: Dead,
        now: i64,
    ) -> Result<(), IllegalMove> {
        let status = self.order(number).map_or(Status::Cancelled, |order| order.status);
        let replayed =
            |order: &Order| order.revived.get(unit).is_some_and(|at| dead.sequence < *at);
        if self.order(number).is_some_and(|order| order.superseded || replayed(order)) {
            return Err(IllegalMove { from: status, to: Status::Failed });
        }
        if status != Status::Failed {
            self.advance(number, Status::Failed, now)?;
            let failures = self.order(number).map_or(0, |order| {
                order.facts.iter().filter(|known| matches!(known.fact, Fact::Failed(_))).count()
            });
            self.learn(number, Fact::Failed(failures as u32 + 1), now);
        }
        if let Some(order) = self.order_mut(number) {
            let detailed =
                |(of, dead): &(&Unit, &Dead)| *of != unit && !dead.failure.detail.is_empty();
            let mut dead = dead;
            if order.dead.iter().filter(detailed).count() >= DETAILS_MAX {
                dead.failure.detail.clear();
            }
            order.dead.insert(unit.clone(), dead);
        }
        Ok(())
    }

    /// Revives a dead task or stage of an order for the message at `sequence`. The order continues once nothing of it is dead. `false` if
    /// the task is not dead, or died of this very message.
    pub fn revive(&mut self, number: u32, unit: &Unit, sequence: u64) -> bool {
        let Some(order) = self.order_mut(number) else { return false };
        if order.superseded || order.dead.get(unit).is_none_or(|dead| dead.sequence >= sequence) {
            return false;
        }
        order.dead.remove(unit);
        order.revived.insert(unit.clone(), sequence);
        if order.dead.is_empty() && order.status == Status::Failed {
            order.status = if order.plan.is_some() { Status::Encoding } else { Status::Queued };
            order.ended = None;
        }
        true
    }

    /// The death of a task or stage.
    #[must_use]
    pub fn death(&self, number: u32, unit: &Unit) -> Option<&Dead> {
        self.order(number).and_then(|order| order.dead.get(unit))
    }
}

impl Order {
    /// A new order.
    #[must_use]
    pub fn new(number: u32, status: Status, lane: Lane, now: i64) -> Self {
        Self {
            number,
            status,
            lane,
            created: now,
            ended: None,
            plan: None,
            dead: BTreeMap::new(),
            revived: BTreeMap::new(),
            facts: Vec::new(),
            published: None,
            superseded: false,
            takeover: None,
            successor: None,
            sequential: false,
            source: None,
            asked: None,
            reopened: None,
            tail: false,
            work: Shares::default(),
        }
    }

    /// Whether no task of the order may run any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.superseded || self.status.is_closed()
    }

    /// Whether a fact is known.
    #[must_use]
    pub fn knows(&self, fact: &Fact) -> bool {
        self.facts.iter().any(|known| known.fact == *fact)
    }

    /// Failure of the order: that of its first dead task.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.dead.values().next().map(|dead| &dead.failure)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
