//! The claim of a task as its holder sees it.

use jetreel_domain::claim::{self, Claim, Verdict};
use jetreel_domain::failure::Failure;
use jetreel_domain::id::{OrderId, TaskId};

use crate::event::Event;
use crate::ports::{Ports, Swap};

/// Rounds of the claiming loop: far more than there can be rivals.
const ROUNDS_MAX: usize = 16;

/// A claim held by this worker.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Whose.
    pub(super) order: OrderId,
    /// Which.
    pub(super) task: TaskId,
    /// The document as written.
    pub(super) claim: Claim,
    /// Its revision: the fence.
    pub(super) revision: u64,
}

/// Takes the claim of a task for the message `sequence`. `None`: this delivery is a duplicate.
pub(super) async fn take(
    ports: &Ports,
    node: &str,
    order: &OrderId,
    task: TaskId,
    sequence: u64,
) -> Result<Option<Held>, Failure> {
    for _ in 0..ROUNDS_MAX {
        let found = ports.broker.claim(order, task).await?;
        let (old, revision) = match found {
            Some(found) => (Some(found.value), found.revision),
            None => (None, 0),
        };
        if is_duplicate(ports, old.as_ref(), sequence).await? {
            return Ok(None);
        }
        let claim = claim::take(old, ports.environment.uuid(), node.to_owned(), sequence);
        match ports.broker.swap_claim(order, task, &claim, revision).await? {
            Swap::Done(revision) => {
                return Ok(Some(Held { order: order.clone(), task, claim, revision }));
            }
            Swap::Conflict => ports.environment.emit(Event::SwapConflict { bucket: "claims" }),
        }
    }
    Err(Failure::dependency("claim-contended", "the claim of the task is changed too often"))
}

async fn is_duplicate(ports: &Ports, old: Option<&Claim>, sequence: u64) -> Result<bool, Failure> {
    let Some(old) = old.filter(|old| old.sequence != sequence) else { return Ok(false) };
    let other_queued = ports.broker.is_queued(old.sequence).await?;
    Ok(claim::decide(Some(old), sequence, other_queued) == Verdict::Duplicate)
}

impl Held {
    /// Gives the claim up, with the error that ended the attempt, or uncharged. `false`: another holds it now.
    pub(super) async fn release(
        &self,
        ports: &Ports,
        error: Option<&Failure>,
        uncharged: bool,
    ) -> Result<bool, Failure> {
        let mut claim = self.claim.clone();
        claim.released = true;
        claim.attempts -= u32::from(uncharged);
        claim.errors.extend(error.map(|failure| failure.code.clone()));
        let swapped =
            ports.broker.swap_claim(&self.order, self.task, &claim, self.revision).await?;
        Ok(matches!(swapped, Swap::Done(_)))
    }
}
