//! Ingest as a stage: one message for a completed upload, or for a corrected source.

use std::sync::Arc;

use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::delivery::turn;
use jetreel_domain::id::OrderId;
use jetreel_domain::words::failure::Failure;

use super::work;
use crate::attempt::{Attempt, Claiming, Outcome};
use crate::claims::Held;
use crate::config::Context;
use crate::crash;
use crate::lease::InHand;
use crate::ports::Delivered;
use crate::settle::{self, Case, Settlement};
use crate::views::Views;
use crate::worker::Inbox;

/// The inbox of completed uploads.
pub(crate) struct Ingest {
    /// Shared with the node's publisher, which need not ask what was released here.
    pub(crate) views: Arc<Views>,
}

impl Inbox for Ingest {
    async fn pull(&mut self, context: &Context) -> Result<Option<Delivered>, Failure> {
        context.ports.broker.next(Self::STAGE, context.config.pull_wait).await
    }
}

impl Claiming for Ingest {
    type Body = Uploaded;
    const STAGE: Stage = Stage::Ingest;
    const IS_NEW_AT_FIRST: bool = true;

    fn on_delivery(&self) {
        crash::point("ingest-after-delivery");
    }

    fn before_ack(&self) {
        crash::point("ingest-before-ack");
    }

    fn unit(message: &Uploaded) -> (OrderId, Unit) {
        (OrderId::new(message.video.clone(), message.number), Stage::Ingest.into())
    }

    async fn unclaimed(
        &self,
        case: &Case<'_>,
        hand: &InHand,
        message: &Uploaded,
    ) -> Result<Option<Settlement>, Failure> {
        if let Some(source) = &message.source {
            return settle::reopen(case, message, source).await.map(Some);
        }
        let delivery = hand.delivery();
        let waits = message.unrecognised && turn::waits(delivery.pending(), delivery.delivered());
        Ok(waits.then_some(Settlement::HandBack(turn::PAUSE)))
    }

    async fn work(&self, attempt: &Attempt<'_>, _: &Uploaded) -> Result<Outcome, Failure> {
        crash::point("ingest-after-claim");
        let work = work::run(attempt.context, &self.views, &attempt.held.order);
        match attempt.hand.unless_lost(work).await {
            Ok(done) => done.map(|()| Outcome::Done),
            Err(lost) => Ok(Outcome::Lost(lost)),
        }
    }

    /// The claim is removed with the other claims of the order. Until then it counts no attempts.
    async fn done(&self, context: &Context, held: &Held) -> Result<(), Failure> {
        held.give_up(&context.ports, None, false).await.map(drop)
    }
}
