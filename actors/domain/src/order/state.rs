//! The state of a video: the source of truth. Messages are hints.
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
use crate::id::{OrderId, VideoId};
use crate::order::lane::Lane;
use crate::order::ledger::Object;
use crate::order::takeover::Takeover;
use crate::order::unknown::Unknown;
use crate::plan::Class;
use crate::words::failure::Failure;

/// Schema version written into every state. 2: the parts of an original are listed in an object.
pub const VERSION: u32 = 2;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Bytes are arriving.
    Receiving,
    /// All bytes are stored; waits for ingest.
    Queued,
    /// Being probed and planned.
    Ingesting,
    /// Tasks are released.
    Encoding,
    /// Every task is finished; playlists and manifest are being written.
    Publishing,
    /// Done. Final.
    Completed,
    /// A task is dead.
    Failed,
    /// Cancelled. Final.
    Cancelled,
}

impl Status {
    /// All words, in order.
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

    /// The word users see.
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

    /// Nothing more will happen by itself.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The order is closed for good: tasks of it are acknowledged unseen.
    #[must_use]
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Whether an order may go from `self` to `next`.
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

/// A move the state machine refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from} cannot become {to}")]
pub struct IllegalMove {
    /// Where it stands.
    pub from: Status,
    /// Where somebody wanted it.
    pub to: Status,
}

/// The document at `videos/<video>`, JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Schema version.
    pub v: u32,
    /// Which.
    pub id: VideoId,
    /// Name given by the uploader, for people only.
    #[serde(default)]
    pub title: String,
    /// Seconds since the Unix epoch.
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
    /// When it was deleted, seconds since the Unix epoch: what is left of it is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
    /// What a newer program wrote into it.
    #[serde(skip)]
    pub unknown: Unknown,
}

/// The original as stored: parts in order, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Source {
    /// Bytes in all.
    pub bytes: u64,
    /// The parts in order, in a state of before there were lists. Empty in others, and still written: older programs ask for it.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// The list of the parts, see [`crate::order::parts::PartList`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Object>,
}

/// A part of the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Key in the store.
    pub key: String,
    /// Size.
    pub bytes: u64,
}

/// One plan and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Counted from 1.
    pub number: u32,
    /// Where it stands.
    pub status: Status,
    /// Lane of its tasks.
    #[serde(default)]
    pub lane: Lane,
    /// Seconds since the Unix epoch.
    pub created: i64,
    /// Seconds since the Unix epoch.
    #[serde(default)]
    pub ended: Option<i64>,
    /// The plan, once there is one.
    #[serde(default)]
    pub plan: Option<PlanRef>,
    /// Tasks that are dead: why, and the sequence of the message. FAILED ⇔ not empty.
    #[serde(default)]
    pub dead: BTreeMap<Unit, Dead>,
    /// What was replayed, with the sequence of the message that brought it back: an older death of it is none.
    #[serde(default)]
    pub revived: BTreeMap<Unit, u64>,
    /// What is known about the order, in the order in which it became known.
    #[serde(default)]
    pub facts: Vec<Known>,
    /// Where the finished set is, once COMPLETED.
    #[serde(default)]
    pub published: Option<Published>,
    /// A later order took over.
    #[serde(default)]
    pub superseded: bool,
    /// Why a later order took over. Earlier versions did not say, and knew only of seams.
    #[serde(default)]
    pub takeover: Option<Takeover>,
    /// Number of the order that took over.
    #[serde(default)]
    pub successor: Option<u32>,
    /// Plan it as class B whatever the probe says: an earlier order's chunks did not fit together.
    #[serde(default)]
    pub sequential: bool,
    /// Source of this order, where it is another than the video's.
    #[serde(default)]
    pub source: Option<Source>,
    /// When its user last asked for what is dead of it to be tried again, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
    /// Key that a message named to have the video made once more; the source is what that key stands for.
    #[serde(default)]
    pub reopened: Option<String>,
}

/// Where a plan is, and its summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRef {
    /// The plan object.
    pub object: Object,
    /// How the source is cut.
    pub class: Class,
    /// Names of the tiers, largest first.
    pub tiers: Vec<String>,
    /// How many tasks.
    pub tasks: u32,
    /// How many chunks.
    pub chunks: u32,
}

/// A dead task (or stage, under its own name: `ingest`, `publish`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// Stream sequence of the message that died.
    pub sequence: u64,
    /// Why.
    pub failure: Failure,
    /// Its dead letter; 0 where there is none: media that was refused, or a letter that is gone for good.
    #[serde(default)]
    pub letter: u64,
}

/// A fact with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Number within the video, from 1, without gaps.
    pub seq: u64,
    /// What became known.
    pub fact: Fact,
    /// Seconds since the Unix epoch.
    pub at: i64,
}

/// Something subscribers are told. Written as `playable`, `tier-720p`, `completed`, `failed-1`, `cancelled`, `deleted`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// A viewer can start.
    Playable,
    /// This tier is complete.
    Tier(String),
    /// The order is complete.
    Completed,
    /// The order failed; counted, because replay can make it fail again.
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
    /// Key prefix under which the playlists lie: `out/<video>/<number>/final-<uuid>`.
    pub prefix: String,
    /// `manifest.json`, which lists every object.
    pub manifest: Object,
}

impl Video {
    /// A video whose bytes are arriving, with its first order.
    #[must_use]
    pub fn receiving(id: VideoId, title: String, lane: Lane, now: i64) -> Self {
        Self {
            v: VERSION,
            id,
            title,
            created: now,
            source: Source::default(),
            orders: vec![Order::new(1, Status::Receiving, lane, now)],
            seq: 0,
            announced: 0,
            deleted: None,
            unknown: Unknown::default(),
        }
    }

    /// The order of that number.
    #[must_use]
    pub fn order(&self, number: u32) -> Option<&Order> {
        self.orders.iter().find(|order| order.number == number)
    }

    /// The order of that number, to change it.
    pub fn order_mut(&mut self, number: u32) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.number == number)
    }

    /// The id of an order of this video.
    #[must_use]
    pub fn order_id(&self, number: u32) -> OrderId {
        OrderId::new(self.id.clone(), number)
    }

    /// The order that playback resolves to: the newest completed one, else the newest that is not superseded.
    #[must_use]
    pub fn playback_order(&self) -> Option<&Order> {
        let newest = |wanted: fn(&Order) -> bool| self.orders.iter().rev().find(|o| wanted(o));
        newest(|order| order.status == Status::Completed).or_else(|| newest(|o| !o.superseded))
    }

    /// Whether its upload was given up before all bytes had come: there was never anything to work on.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.source == Source::default()
            && self.orders.iter().all(|order| order.status == Status::Cancelled)
    }

    /// The source that an order reads.
    #[must_use]
    pub fn source_of(&self, number: u32) -> &Source {
        self.order(number).and_then(|order| order.source.as_ref()).unwrap_or(&self.source)
    }

    /// Moves an order.
    ///
    /// # Errors
    /// When the state machine has no such move; the video is unchanged then.
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

    /// Records a fact of an order, once; a repeated one changes nothing.
    pub fn learn(&mut self, number: u32, fact: Fact, now: i64) {
        let seq = self.seq + 1;
        let Some(order) = self.order_mut(number) else { return };
        if order.facts.iter().any(|known| known.fact == fact) {
            return;
        }
        order.facts.push(Known { seq, fact, at: now });
        self.seq = seq;
    }

    /// Marks a task (or a stage) of an order as dead and the order as FAILED, with its fact.
    ///
    /// # Errors
    /// When the order is closed, or the task was replayed since the message that died.
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
            order.dead.insert(unit.clone(), dead);
        }
        Ok(())
    }

    /// Takes a dead task (or stage) of an order back to life, for the message at `sequence`: the order goes on once nothing of it is
    /// dead. `false`: it is not dead, or died of this very message.
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

    /// The death of a task, or of a stage under its own name.
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
        }
    }

    /// No task of it is to be run any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.superseded || self.status.is_closed()
    }

    /// Whether a fact is known.
    #[must_use]
    pub fn knows(&self, fact: &Fact) -> bool {
        self.facts.iter().any(|known| known.fact == *fact)
    }

    /// Why it failed: the first dead task's failure.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.dead.values().next().map(|dead| &dead.failure)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
