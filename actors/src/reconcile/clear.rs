//! Deletes the objects of an owner that no document names.

use jetreel_domain::order::owner::Owner;
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use super::foreign::Foreign;
use super::named::named;
use crate::crash;
use crate::event::{Event, Reconciled};
use crate::ports::Met;

/// Objects of one owner listed at a time.
pub(super) const OBJECTS_PER_PAGE: usize = 1000;

/// Walks through the objects of a cancelled order if folders could not be read.
const CLEARING_WALKS_MAX: usize = 3;

/// Code of a failure that the store denies the request.
const DENIED: &str = "storage-denied";

/// Deletes every object of an owner that no document names, whatever its age. The order was cancelled, and its workers have stopped.
pub(super) async fn unnamed(args: &Args, foreign: &Foreign, owner: &Owner) -> Result<(), Failure> {
    args.bound.holds(args.binding.as_ref(), args.context.ports.store.as_ref()).await?;
    for _ in 0..CLEARING_WALKS_MAX {
        if clear_once(args, foreign, owner).await? {
            return Ok(());
        }
    }
    // Objects in folders that could not be read are orphans from now on.
    Ok(())
}

/// Returns whether all folders could be read.
async fn clear_once(args: &Args, foreign: &Foreign, owner: &Owner) -> Result<bool, Failure> {
    let mut walk = args.context.ports.store.walk(&owner.prefix()).await?;
    loop {
        let page = walk.page(OBJECTS_PER_PAGE).await?;
        if let Some(named) = named(args, owner, &page).await? {
            let unnamed = |met: &&Met| !named.has(&met.key) && !foreign.has(&met.key);
            for met in page.iter().filter(unnamed) {
                delete(args, met).await?;
            }
        }
        if page.len() < OBJECTS_PER_PAGE {
            return Ok(walk.unread().is_empty());
        }
    }
}

/// Deletes an object. An object that the store refuses to delete stays, and the sweep continues.
pub(super) async fn delete(args: &Args, met: &Met) -> Result<(), Failure> {
    match args.context.ports.store.delete(&met.key).await {
        Err(failure) if failure.code == DENIED => {
            let event = Event::StageFault { stage: "reconcile", failure };
            args.context.ports.environment.emit(event);
            return Ok(());
        }
        deleted => deleted?,
    }
    crash::point("sweep-after-delete");
    let event =
        Event::Reconciled(Reconciled::OrphanDeleted { key: met.key.clone(), bytes: met.bytes });
    args.context.ports.environment.emit(event);
    Ok(())
}
