//! Counts tasks that no live node can do, and tells when closed queues open.

use std::collections::BTreeMap;

use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::upkeep::waits::Wait;
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use crate::event::{Event, Reconciled};
use crate::releases;

/// Tells for the metrics what queues wait for. Nothing else depends on it.
pub(super) async fn tell(args: &Args) {
    args.context.ports.environment.emit(match count(args).await {
        Ok(counted) => Event::Reconciled(counted),
        Err(failure) => Event::StageFault { stage: "reconcile", failure },
    });
}

/// The broker is asked only where a queue waits for a node.
async fn count(args: &Args) -> Result<Reconciled, Failure> {
    let waits = releases::waits(&args.context);
    let (mut unservable, mut opens) = (BTreeMap::new(), BTreeMap::new());
    for (queue, wait) in &waits {
        match wait {
            Wait::Hours { until: Some(until), .. } => {
                opens.insert(*queue, *until);
            }
            Wait::Node(_) | Wait::Hours { until: None, .. } => {
                unservable.insert(*queue, 0);
            }
        }
    }
    if !unservable.is_empty() {
        count_into(&mut unservable, &args.context.ports.broker.waiting_tasks().await?);
    }
    Ok(Reconciled::QueuesWait { unservable, opens })
}

fn count_into(queues: &mut BTreeMap<TaskQueue, u64>, waiting: &BTreeMap<TaskQueue, u64>) {
    for (queue, tasks) in queues {
        *tasks = waiting.get(queue).copied().unwrap_or(0);
    }
}
