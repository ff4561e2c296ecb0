//! Records what the ledger proves: playable, tiers that are ready, and that every task is finished.

use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::View;
use jetreel_domain::order::progress;
use jetreel_domain::order::state::{Fact, Status, Video};
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;

use crate::change;
use crate::config::Context;
use crate::ports::Versioned;

/// Records the facts. If the order `publishes`, the same write moves it to PUBLISHING. Returns the state afterwards, and whether this call
/// moved the order; `None` if the video was removed.
pub(super) async fn learn(
    context: &Context,
    order: &OrderId,
    plan: &Plan,
    view: &View,
    found: Versioned<Video>,
    publishes: bool,
) -> Result<Option<(Versioned<Video>, bool)>, Failure> {
    let facts = proven(plan, view);
    let now = context.ports.environment.now();
    let mut moved = false;
    let after = change::from(&context.ports, found, |video| {
        moved = false;
        let Some(state) = video.order(order.number).filter(|state| !state.is_closed()) else {
            return Ok(false);
        };
        let news: Vec<Fact> = facts.iter().filter(|fact| !state.knows(fact)).cloned().collect();
        let changed = !news.is_empty();
        news.into_iter().for_each(|fact| video.learn(order.number, fact, now));
        moved = publishes && video.advance(order.number, Status::Publishing, now).is_ok();
        Ok(changed || moved)
    })
    .await?;
    Ok(after.map(|found| (found, moved)))
}

fn proven(plan: &Plan, view: &View) -> Vec<Fact> {
    let mut facts = Vec::new();
    if progress::playable(plan, view) {
        facts.push(Fact::Playable);
    }
    let tiers = progress::ready_tiers(plan, view);
    facts.extend(tiers.into_iter().map(|tier| Fact::Tier(plan.tiers[tier].name.clone())));
    facts
}
