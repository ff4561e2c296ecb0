//! The inbox of requests to evaluate an order. Their attempts are counted.

use std::sync::Arc;

use jetreel_domain::delivery::message::Evaluate;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::words::failure::Failure;

use super::evaluate::{self, Cause};
use crate::attempt::{Attempt, Claiming, Outcome};
use crate::claims::Held;
use crate::config::Context;
use crate::crash;
use crate::ports::Delivered;
use crate::views::Views;
use crate::worker::Inbox;

/// The inbox.
pub(crate) struct Evaluations {
    /// Shared with the node's other worker of the stage.
    pub(crate) views: Arc<Views>,
}

impl Inbox for Evaluations {
    async fn pull(&mut self, context: &Context) -> Result<Option<Delivered>, Failure> {
        context.ports.broker.next(Self::STAGE, context.config.pull_wait).await
    }
}

impl Claiming for Evaluations {
    type Body = Evaluate;
    const STAGE: Stage = Stage::Publish;
    /// The claim stays for the next request.
    const IS_NEW_AT_FIRST: bool = false;
    /// The evaluation itself closes the order and then removes its records.
    const ENDS_WITH_ORDER: bool = false;

    fn before_ack(&self) {
        before_ack();
    }

    fn unit(message: &Evaluate) -> (OrderId, Unit) {
        (message.order.clone(), Stage::Publish.into())
    }

    /// A closed order is evaluated too: facts may be unannounced, and entries not yet removed.
    async fn closed(&self, context: &Context, order: &OrderId) -> Result<(), Failure> {
        evaluate::order(context, &self.views, order, Cause::Asked).await
    }

    async fn work(&self, attempt: &Attempt<'_>, message: &Evaluate) -> Result<Outcome, Failure> {
        crash::point("publish-after-claim");
        let (context, order) = (attempt.context, &message.order);
        let work = evaluate::order(context, &self.views, order, Cause::Asked);
        match attempt.hand.unless_lost(work).await {
            Ok(done) => done.map(|()| Outcome::Done),
            Err(lost) => Ok(Outcome::Lost(lost)),
        }
    }

    /// The failure is over, so the next request starts with a fresh count.
    async fn done(&self, context: &Context, held: &Held) -> Result<(), Failure> {
        held.done(&context.ports).await
    }
}

/// Crash point between the work and its acknowledgement.
pub(super) fn before_ack() {
    crash::point("publish-before-ack");
}
