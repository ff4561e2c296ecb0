//! One delivery of a completed upload, from admission to what is said to the broker.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::id::OrderId;
use jetreel_domain::message::Uploaded;
use jetreel_domain::retry::{self, Stage};
use jetreel_domain::state::INGEST;

use super::work::{self, Outcome};
use crate::change;
use crate::claims::{self, Claimant, Held};
use crate::config::Context;
use crate::crash;
use crate::ports::Delivery;
use crate::settle::{self, Case, Origin, Settlement};

/// Works on one delivery.
///
/// # Errors
/// When broker or store fail while the delivery is surely ours. Deliver it again.
pub(super) async fn take(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
) -> Result<Settlement, Failure> {
    let origin = Origin::Delivery(delivery.as_ref());
    let case = Case { context, stage: Stage::Ingest, origin };
    let message: Uploaded = match rmp_serde::from_slice(delivery.body()) {
        Ok(message) => message,
        Err(error) => return Ok(settle::unreadable(&case, &error.to_string()).await),
    };
    if let Some(source) = &message.source {
        return other_source(&case, &message, source).await;
    }
    let order = OrderId::new(message.video, message.number);
    let stage = Stage::Ingest;
    let settled = settle::admit(context, stage, delivery.as_ref(), &order, INGEST).await?;
    if let Some(settlement) = settled {
        return Ok(settlement);
    }
    let held = claim(context, delivery.as_ref(), &order).await?;
    crash::point("ingest-after-claim");
    if let Some(failure) = retry::doomed(&held.claim, &context.config.retry.ingest) {
        return Ok(settle::doomed(&case, &held, failure).await);
    }
    match work::run(context, delivery, &order).await {
        // The claim goes with the order's others; until then it counts nothing.
        Ok(outcome) => {
            held.give_up(&context.ports, None, false).await?;
            context.gate.on_success();
            Ok(match outcome {
                Outcome::Done => Settlement::Ack,
                Outcome::PutDown => Settlement::HandBack(Duration::ZERO),
            })
        }
        Err(failure) => Ok(settle::failed(&case, &held, failure).await),
    }
}

async fn claim(
    context: &Context,
    delivery: &dyn Delivery,
    order: &OrderId,
) -> Result<Held, Failure> {
    let by = Claimant { node: &context.config.node, sequence: delivery.sequence() };
    claims::take(&context.ports, by, order, INGEST).await
}

/// The message names another object to read: the next order reads that one. Opened once, announced as often as this comes.
async fn other_source(
    case: &Case<'_>,
    message: &Uploaded,
    source: &str,
) -> Result<Settlement, Failure> {
    let context = case.context;
    let ports = &context.ports;
    let Some(bytes) = size_of(context, source).await? else {
        let failure = Failure::permanent(
            "source-missing",
            "the store has no object under the key that the message names as its source",
        );
        return Ok(settle::refused(case, failure.with_detail(source)).await);
    };
    let now = ports.environment.now();
    let mut opened = None;
    change::video(ports, &message.video, |video| {
        opened = video.reopen(message.number, source, bytes, now);
        Ok(opened.is_some_and(|(_, new)| new))
    })
    .await?;
    if let Some((number, _)) = opened {
        ports.broker.announce_upload(&message.video, number, message.lane).await?;
    }
    Ok(Settlement::Ack)
}

/// Size of an object that a person named. A key that leaves the store is as good as none.
async fn size_of(context: &Context, key: &str) -> Result<Option<u64>, Failure> {
    let inside = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if inside { context.ports.store.size(key).await } else { Ok(None) }
}
