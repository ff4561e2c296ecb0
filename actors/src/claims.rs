//! Claims as their holders use them. A claim counts the attempts at a message of an order and fences its worker.
//!
//! Invariant: a claim changes only by compare-and-set, and each change is a new revision. Only the holder of the newest revision settles
//! the message.

use std::time::Duration;

use jetreel_domain::delivery::claim::{self, Claim, Verdict};
use jetreel_domain::delivery::stage::Unit;
use jetreel_domain::id::OrderId;
use jetreel_domain::words::failure::Failure;

use crate::config::Context;
use crate::event::Event;
use crate::lease::{InHand, Lost};
use crate::ports::{Ports, Swap, Versioned};

/// Rounds of the claiming loop. There are far fewer rivals.
const ROUNDS_MAX: usize = 16;

/// Delay of a message whose task is being moved to another lane. Usually that takes some milliseconds.
const TRANSFER_WAIT: Duration = Duration::from_secs(2);

/// A claim held by this worker.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) order: OrderId,
    pub(crate) unit: Unit,
    /// The claim as it was written.
    pub(crate) claim: Claim,
    /// Revision of the claim. It is the fence.
    pub(crate) revision: u64,
    /// Whether there was no claim at the first delivery: nobody has begun the work, so there is no checkpoint of it.
    pub(crate) is_first: bool,
}

/// The node that claims, and the message that it claims.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimant<'a> {
    /// Name of this node.
    pub(crate) node: &'a str,
    /// Id of this start of it.
    pub(crate) start: &'a str,
    /// Stream sequence of the message.
    pub(crate) sequence: u64,
}

impl<'a> Claimant<'a> {
    /// This node as it claims the message at `sequence`.
    pub(crate) fn new(context: &'a Context, sequence: u64) -> Self {
        Self { node: &context.config.node, start: context.start(), sequence }
    }
}

/// Takes a claim from whatever worker held it, and charges an attempt.
pub(crate) async fn take(
    ports: &Ports,
    by: Claimant<'_>,
    order: &OrderId,
    unit: &Unit,
) -> Result<Held, Failure> {
    for _ in 0..ROUNDS_MAX {
        let found = ports.broker.claim(order, unit).await?;
        if let Some(held) = try_take(ports, by, (order, unit), found).await? {
            return Ok(held);
        }
    }
    Err(contended())
}

/// What came of claiming the message of a delivery in hand.
pub(crate) enum Taken {
    Held(Box<Held>),
    /// The message is not needed: its result exists, or its task is claimed for another message that is still queued in another lane, or its
    /// stage for a newer message.
    Unneeded,
    /// Nobody has taken the task, and another message of it is queued. Which of them is needed is decided by then.
    Waits(Duration),
    /// The work must stop. The claim may be another worker's by now.
    Lost(Lost),
}

/// Creates the claim of a message that nobody has claimed. `None` if there is a claim.
pub(crate) async fn create(
    ports: &Ports,
    by: Claimant<'_>,
    what: (&OrderId, &Unit),
    hand: &InHand,
) -> Result<Option<Taken>, Failure> {
    if let Some(lost) = hand.lost_now() {
        return Ok(Some(Taken::Lost(lost)));
    }
    let held = try_take(ports, by, what, None).await?;
    Ok(held.map(|held| Taken::Held(Box::new(Held { is_first: true, ..held }))))
}

/// Takes a claim as [`take`] does, for a delivery in hand. Its lease may end while the claim is read.
pub(crate) async fn take_in_hand(
    ports: &Ports,
    by: Claimant<'_>,
    (order, unit): (&OrderId, &Unit),
    hand: &InHand,
) -> Result<Taken, Failure> {
    for _ in 0..ROUNDS_MAX {
        let found = ports.broker.claim(order, unit).await?;
        let old = found.as_ref().map(|found| &found.value);
        let outdated = unit.task().is_none() && claim::is_outdated(old, by.sequence);
        if outdated {
            return Ok(Taken::Unneeded);
        }
        let verdict = match unit.task() {
            Some(_) => verdict(ports, old, by.sequence).await?,
            None => Verdict::Take,
        };
        match verdict {
            Verdict::Take => {}
            Verdict::Duplicate => return Ok(Taken::Unneeded),
            Verdict::Wait => return Ok(Taken::Waits(TRANSFER_WAIT)),
        }
        if let Some(lost) = hand.lost_now() {
            return Ok(Taken::Lost(lost));
        }
        if let Some(held) = try_take(ports, by, (order, unit), found).await? {
            return Ok(Taken::Held(Box::new(held)));
        }
    }
    Err(contended())
}

fn contended() -> Failure {
    Failure::dependency("claim-contended", "The claim of the task is changed too often. Try again.")
}

/// One round. `None` after a conflict.
async fn try_take(
    ports: &Ports,
    by: Claimant<'_>,
    (order, unit): (&OrderId, &Unit),
    found: Option<Versioned<Claim>>,
) -> Result<Option<Held>, Failure> {
    let (old, revision) = found.map_or((None, 0), |found| (Some(found.value), found.revision));
    let Claimant { node, start, sequence } = by;
    let environment = &ports.environment;
    let claim = claim::take(old, environment.uuid(), node.to_owned(), sequence, environment.now());
    swap(ports, (order, unit), claim.by_start(start), revision).await
}

async fn swap(
    ports: &Ports,
    (order, unit): (&OrderId, &Unit),
    claim: Claim,
    revision: u64,
) -> Result<Option<Held>, Failure> {
    match ports.broker.swap_claim(order, unit, &claim, revision).await? {
        Swap::Done(new) => {
            let (order, unit) = (order.clone(), unit.clone());
            Ok(Some(Held { order, unit, claim, revision: new, is_first: false }))
        }
        Swap::Conflict => {
            ports.environment.emit(Event::SwapConflict { bucket: "claims" });
            Ok(None)
        }
    }
}

async fn verdict(ports: &Ports, old: Option<&Claim>, sequence: u64) -> Result<Verdict, Failure> {
    let Some(old) = old.filter(|old| old.sequence != sequence) else { return Ok(Verdict::Take) };
    let other_queued = ports.broker.is_queued(old.sequence).await?;
    Ok(claim::decide(Some(old), sequence, other_queued))
}

/// Resets the attempt count of a replayed message.
pub(crate) async fn reset(ports: &Ports, order: &OrderId, unit: &Unit) -> Result<(), Failure> {
    for _ in 0..ROUNDS_MAX {
        let Some(found) = ports.broker.claim(order, unit).await? else { return Ok(()) };
        let claim = found.value.replayed(ports.environment.uuid());
        if swap(ports, (order, unit), claim, found.revision).await?.is_some() {
            return Ok(());
        }
    }
    Err(contended())
}

impl Held {
    /// Releases the claim. `failure` is the failure that ended the attempt, if any; `charged` says whether the attempt counts. Returns the
    /// released claim, or `None` if another worker holds it.
    pub(crate) async fn give_up(
        &self,
        ports: &Ports,
        failure: Option<&Failure>,
        charged: bool,
    ) -> Result<Option<Self>, Failure> {
        let claim = self.claim.given_up(failure, charged);
        swap(ports, (&self.order, &self.unit), claim, self.revision).await
    }

    /// Replaces the claim. `None` if another worker holds it.
    pub(crate) async fn change(
        &self,
        ports: &Ports,
        claim: Claim,
    ) -> Result<Option<Self>, Failure> {
        swap(ports, (&self.order, &self.unit), claim, self.revision).await
    }

    /// Ends the claim after successful work and forgets earlier failures. It is no error if another worker holds the claim or the claim was
    /// removed with its order.
    pub(crate) async fn done(&self, ports: &Ports) -> Result<(), Failure> {
        swap(ports, (&self.order, &self.unit), self.claim.done(), self.revision).await.map(|_| ())
    }

    /// Whether the claim is unchanged.
    pub(crate) async fn is_current(&self, ports: &Ports) -> Result<bool, Failure> {
        let found = ports.broker.claim(&self.order, &self.unit).await?;
        Ok(found.is_some_and(|found| found.revision == self.revision))
    }

    /// Checkpoints of a task.
    pub(crate) async fn checkpoints(&self, ports: &Ports) -> Result<u32, Failure> {
        let Some(task) = self.unit.task() else { return Ok(0) };
        let (entries, _) = ports.broker.entries(&self.order, 0).await?;
        let parts =
            entries.iter().filter(|entry| entry.task == task && entry.part.is_some()).count();
        Ok(u32::try_from(parts).unwrap_or(u32::MAX))
    }
}
