//! One attempt at a message of a stage that claims, in the order that keeps a stale worker harmless: state, ledger, claim, work, result,
//! settlement.
//!
//! Invariant: whatever is said about the order or the message after the claim is said by its holder. A lease that is lost before the
//! claim is no attempt.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::delivery::intake::Body;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Order, Video};
use jetreel_domain::words::failure::Failure;

use crate::claims::{self, Claimant, Held};
use crate::config::Context;
use crate::intake::{self, Refused};
use crate::lease::{InHand, Lost, Watch};
use crate::ports::{Delivery, PortFuture, Ports};
use crate::settle::{self, Case, Origin, Settlement};
use crate::worker::Handler;

/// How work under a claim ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The result is written.
    Done,
    /// It had to be put down.
    Lost(Lost),
    /// Something that it builds on is not there: it comes again after this time, uncharged.
    Waits(Duration),
}

/// A stage whose messages are claimed: what it does, and what is particular to it.
pub(crate) trait Claiming: Send + Sync {
    /// Body of its messages.
    type Body: Body + Send + Sync;
    /// Which stage it is.
    const STAGE: Stage;
    /// Its work is put down when the order is closed. A stage that closes orders itself goes on.
    const ENDS_WITH_ORDER: bool = true;

    /// A message was delivered.
    fn on_delivery(&self) {}

    /// A message is settled, and the broker does not know it yet.
    fn before_ack(&self) {}

    /// What a message is about.
    fn unit(body: &Self::Body) -> (OrderId, Unit);

    /// Settles a message that needs no claim. `None`: it needs one.
    fn unclaimed(
        &self,
        _: &Case<'_>,
        _: &InHand,
        _: &Self::Body,
    ) -> impl Future<Output = Result<Option<Settlement>, Failure>> + Send {
        std::future::ready(Ok(None))
    }

    /// Does what is left to do for an order that is closed.
    fn closed(&self, _: &Context, _: &OrderId) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the result is there already.
    fn is_done(
        &self,
        _: &Context,
        _: &Self::Body,
    ) -> impl Future<Output = Result<bool, Failure>> + Send {
        std::future::ready(Ok(false))
    }

    /// Does the work.
    fn work(
        &self,
        attempt: &Attempt<'_>,
        body: &Self::Body,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Ends the claim of work that is done. A claim that counts nothing any more may stay until its order is forgotten.
    fn done(&self, _: &Context, _: &Held) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }
}

impl<C: Claiming + 'static> Handler for C {
    const NAME: &'static str = C::STAGE.as_str();

    async fn take(&mut self, context: &Context, hand: &InHand) -> Result<Settlement, Failure> {
        self.on_delivery();
        let settlement = make(self, context, hand).await?;
        self.before_ack();
        Ok(settlement)
    }

    async fn not_taken(
        &self,
        context: &Context,
        delivery: &dyn Delivery,
        failure: &Failure,
    ) -> Settlement {
        settle::unclaimed(context, C::STAGE, delivery, failure).await
    }
}

/// A claimed message.
pub(crate) struct Attempt<'a> {
    /// The node.
    pub(crate) context: &'a Context,
    /// The delivery.
    pub(crate) hand: &'a InHand,
    /// Its claim.
    pub(crate) held: &'a Held,
}

/// What was found before the claim.
enum Found<B> {
    /// Nothing is to be done, or it was done without a claim.
    Settled(Settlement),
    /// Work.
    Wanted(B, OrderId, Unit),
}

/// Works on one delivery.
///
/// # Errors
/// When broker or store fail before the message is claimed. Deliver it again.
async fn make<C: Claiming>(
    stage: &C,
    context: &Context,
    hand: &InHand,
) -> Result<Settlement, Failure> {
    let case = Case { context, stage: C::STAGE, origin: Origin::Delivery(hand.delivery()) };
    let (body, order, unit) = match hand.unless_lost(look(stage, &case, hand)).await {
        Ok(found) => match found? {
            Found::Settled(settlement) => return Ok(settlement),
            Found::Wanted(body, order, unit) => (body, order, unit),
        },
        Err(Lost::Draining) => return Ok(Settlement::HandBack(Duration::ZERO)),
        Err(Lost::Expired | Lost::Taken | Lost::Closed) => return Ok(Settlement::LetGo),
    };
    let by = Claimant { node: &context.config.node, sequence: hand.delivery().sequence() };
    let Some(held) = claims::take_unless_duplicate(&context.ports, by, &order, &unit).await? else {
        return Ok(Settlement::Ack);
    };
    let held = match settle::worth_trying(&case, held).await? {
        Ok(held) => held,
        Err(settlement) => return Ok(settlement),
    };
    let (ports, ends_with_order) = (context.ports.clone(), C::ENDS_WITH_ORDER);
    hand.watch(Arc::new(ClaimWatch { ports, held: held.clone(), ends_with_order }));
    let worked = stage.work(&Attempt { context, hand, held: &held }, &body).await;
    hand.unwatch();
    Ok(match worked {
        Ok(Outcome::Done) => match stage.done(context, &held).await {
            Ok(()) => {
                context.gate.on_success();
                Settlement::Ack
            }
            Err(failure) => settle::failed(&case, &held, failure).await,
        },
        Ok(Outcome::Lost(lost)) => put_down(&case, &held, lost).await,
        Ok(Outcome::Waits(wait)) => hand_back(&case, &held, wait).await,
        Err(failure) => settle::failed(&case, &held, failure).await,
    })
}

async fn look<C: Claiming>(
    stage: &C,
    case: &Case<'_>,
    hand: &InHand,
) -> Result<Found<C::Body>, Failure> {
    let (context, delivery) = (case.context, hand.delivery());
    let body: C::Body = match intake::read(delivery.subject(), delivery.body()) {
        Ok(body) => body,
        Err(Refused::Newer(failure)) => return Err(failure),
        Err(refused) => return Ok(Found::Settled(settle::refused(case, refused.into()).await)),
    };
    if let Some(settlement) = stage.unclaimed(case, hand, &body).await? {
        return Ok(Found::Settled(settlement));
    }
    let (order, unit) = C::unit(&body);
    match settle::admit(context, C::STAGE, delivery.into(), &order, &unit).await? {
        None => {}
        Some(Settlement::Ack) => {
            stage.closed(context, &order).await?;
            return Ok(Found::Settled(Settlement::Ack));
        }
        Some(settlement) => return Ok(Found::Settled(settlement)),
    }
    if stage.is_done(context, &body).await? {
        return Ok(Found::Settled(Settlement::Ack));
    }
    Ok(Found::Wanted(body, order, unit))
}

/// The lease is gone, or the work is not wanted any more.
async fn put_down(case: &Case<'_>, held: &Held, lost: Lost) -> Settlement {
    match lost {
        Lost::Closed => Settlement::Ack,
        Lost::Taken => {
            case.lost(held);
            Settlement::LetGo
        }
        Lost::Expired | Lost::Draining => hand_back(case, held, Duration::ZERO).await,
    }
}

async fn hand_back(case: &Case<'_>, held: &Held, wait: Duration) -> Settlement {
    match held.give_up(&case.context.ports, None, false).await {
        Ok(Some(_)) => Settlement::HandBack(wait),
        Ok(None) | Err(_) => Settlement::LetGo,
    }
}

/// With each heartbeat: is the claim still ours, is the order still open?
struct ClaimWatch {
    ports: Ports,
    held: Held,
    ends_with_order: bool,
}

impl ClaimWatch {
    async fn look(&self) -> Result<Option<Lost>, Failure> {
        let current = self.held.is_current(&self.ports).await?;
        if !self.ends_with_order {
            return Ok((!current).then_some(Lost::Taken));
        }
        let order = &self.held.order;
        let found = self.ports.broker.video(&order.video).await?.map(|found| found.value);
        let open =
            |video: &Video| video.order(order.number).is_some_and(|o: &Order| !o.is_closed());
        // A claim vanishes when its order is closed and cleaned up; otherwise another took it.
        Ok(match (current, found.as_ref().is_some_and(open)) {
            (_, false) => Some(Lost::Closed),
            (false, true) => Some(Lost::Taken),
            (true, true) => None,
        })
    }
}

impl Watch for ClaimWatch {
    fn check(&self) -> PortFuture<'_, Option<Lost>> {
        Box::pin(self.look())
    }
}
