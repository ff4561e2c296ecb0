//! One delivery of a completed upload, from admission to what is said to the broker.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::id::OrderId;
use jetreel_domain::message::Uploaded;
use jetreel_domain::retry::{self, Stage};
use jetreel_domain::state::INGEST;
use jetreel_domain::turn;

use super::work::{self, Outcome};
use crate::claims::{self, Claimant, Held};
use crate::config::Context;
use crate::crash;
use crate::intake::{self, Refused};
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
    let message: Uploaded = match intake::read(delivery.subject(), delivery.body()) {
        Ok(message) => message,
        Err(Refused::Newer(failure)) => return Err(failure),
        Err(refused) => return Ok(settle::refused(&case, refused.into()).await),
    };
    if let Some(source) = &message.source {
        return settle::reopen(&case, &message, source).await;
    }
    if message.unrecognised && turn::waits(delivery.pending(), delivery.delivered()) {
        return Ok(Settlement::HandBack(turn::PAUSE));
    }
    let order = OrderId::new(message.video, message.number);
    let stage = Stage::Ingest;
    let settled = settle::admit(context, stage, delivery.as_ref().into(), &order, INGEST).await?;
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
            if let Err(failure) = held.give_up(&context.ports, None, false).await {
                return Ok(settle::failed(&case, &held, failure).await);
            }
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
