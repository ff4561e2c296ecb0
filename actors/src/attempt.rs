//! One attempt at a message of a stage that works under claims. The steps are: state, ledger, claim, work, result, settlement. In this
//! order a stale worker does no harm.
//!
//! A result is written only under a claim, so where a claim can be created, there is no result: the first delivery of a task creates its
//! claim and reads the ledger only if there is one already.
//!
//! Invariant: after the claim, only its holder writes about the order or settles the message. A lease that is lost before the claim charges
//! no attempt.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::delivery::intake::Body;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Order, Video};
use jetreel_domain::words::failure::Failure;
use tracing::Instrument as _;

use crate::claims::{self, Claimant, Held, Taken};
use crate::config::Context;
use crate::intake::{self, Refused};
use crate::lease::{InHand, Lost, Watch};
use crate::panics;
use crate::ports::{Delivery, PortFuture, Ports};
use crate::settle::{self, Admitted, Case, Origin, Settlement};
use crate::trace;
use crate::worker::Handler;

/// How the work under a claim ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The result is written.
    Done,
    /// The work stopped before its end.
    Lost(Lost),
    /// An object or a state that the work needs is not there yet. The message is delivered again after this time, and the attempt is not
    /// charged.
    Waits(Duration),
}

impl Outcome {
    /// Name in traces.
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Lost(_) => "lost",
            Self::Waits(_) => "waits",
        }
    }
}

/// A stage that claims its messages.
pub(crate) trait Claiming: Send + Sync {
    /// Body of the stage's messages.
    type Body: Body + Send + Sync;
    const STAGE: Stage;
    /// Whether the first delivery of a message usually meets no claim.
    const IS_NEW_AT_FIRST: bool;
    /// Whether the work stops when the order is closed. `false` for a stage that closes orders itself.
    const ENDS_WITH_ORDER: bool = true;

    /// Called when a message was delivered.
    fn on_delivery(&self) {}

    /// Called between the settlement of a message and its report to the broker.
    fn before_ack(&self) {}

    /// Order and unit that a message is about.
    fn unit(body: &Self::Body) -> (OrderId, Unit);

    /// Settles a message that needs no claim. `None` if the message needs one.
    fn unclaimed(
        &self,
        _: &Case<'_>,
        _: &InHand,
        _: &Self::Body,
    ) -> impl Future<Output = Result<Option<Settlement>, Failure>> + Send {
        std::future::ready(Ok(None))
    }

    /// Finishes what remains to be done for a closed order.
    fn closed(&self, _: &Context, _: &OrderId) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the result exists already.
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

    /// Ends the claim after the work. A claim that counts no attempts may stay until its order is forgotten.
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
    pub(crate) context: &'a Context,
    pub(crate) hand: &'a InHand,
    pub(crate) held: &'a Held,
    /// State of the video as it was when the message was delivered.
    pub(crate) video: &'a Video,
}

/// What [`look`] found before the claim.
enum Found<B> {
    /// The message needs no work, or was settled without a claim.
    Settled(Settlement),
    /// The message needs work under a claim, unless its result exists.
    Wanted(B, Box<Video>),
}

/// Works on one delivery and returns how to settle it.
///
/// # Errors
/// Broker or store failed before the message was claimed: deliver the message again.
async fn make<C: Claiming>(
    stage: &C,
    context: &Context,
    hand: &InHand,
) -> Result<Settlement, Failure> {
    let case = Case { context, stage: C::STAGE, origin: Origin::Delivery(hand.delivery()) };
    let (body, video) = match hand.unless_lost(look(stage, &case, hand)).await {
        Ok(found) => match found? {
            Found::Settled(settlement) => return Ok(settlement),
            Found::Wanted(body, video) => (body, video),
        },
        Err(lost) => return Ok(not_begun(lost)),
    };
    // The parent of a span is known when the state is.
    let (order, unit) = C::unit(&body);
    let span = trace::attempt(&context.ports, C::STAGE, hand.delivery(), (&order, &unit), &video);
    // On the heap: the compiler limits how deep futures are nested.
    Box::pin(attempt(stage, &case, hand, (body, video))).instrument(span).await
}

/// Works on a message that needs work under a claim.
async fn attempt<C: Claiming>(
    stage: &C,
    case: &Case<'_>,
    hand: &InHand,
    (body, video): (C::Body, Box<Video>),
) -> Result<Settlement, Failure> {
    let context = case.context;
    let held = match claim(stage, context, hand, &body).await? {
        Taken::Held(held) => *held,
        Taken::Unneeded => {
            trace::ended("unneeded");
            return Ok(Settlement::Ack);
        }
        Taken::Waits(wait) => {
            trace::ended("waits");
            return Ok(Settlement::HandBack(wait));
        }
        Taken::Lost(lost) => {
            trace::ended("lost");
            return Ok(not_begun(lost));
        }
    };
    trace::attempted(held.claim.attempts);
    if let Some(lost) = hand.lost_now() {
        return Ok(put_down(case, &held, lost).await);
    }
    let held = match settle::worth_trying(case, held.clone()).await {
        Ok(Ok(held)) => held,
        Ok(Err(settlement)) => return Ok(settlement),
        Err(failure) => return Ok(settle::failed(case, &held, failure).await),
    };
    let (ports, ends_with_order) = (context.ports.clone(), C::ENDS_WITH_ORDER);
    hand.watch(Arc::new(ClaimWatch { ports, held: held.clone(), ends_with_order }));
    let attempt = Attempt { context, hand, held: &held, video: &video };
    let worked = panics::caught(stage.work(&attempt, &body)).await;
    hand.unwatch();
    match &worked {
        Ok(outcome) => trace::ended(outcome.as_str()),
        Err(failure) => trace::failed(failure),
    }
    Ok(match worked {
        Ok(Outcome::Done) => match stage.done(context, &held).await {
            Ok(()) => {
                context.gate.on_success();
                Settlement::Ack
            }
            Err(failure) => settle::failed(case, &held, failure).await,
        },
        Ok(Outcome::Lost(lost)) => put_down(case, &held, lost).await,
        Ok(Outcome::Waits(wait)) => hand_back(case, &held, wait).await,
        Err(failure) => settle::failed(case, &held, failure).await,
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
        Admitted::Open(video) => Ok(Found::Wanted(body, video)),
        Admitted::Settled(Settlement::Ack) => {
            stage.closed(context, &order).await?;
            Ok(Found::Settled(Settlement::Ack))
        }
        Admitted::Settled(settlement) => Ok(Found::Settled(settlement)),
    }
}

/// Claims a message of an open order, unless its result exists.
async fn claim<C: Claiming>(
    stage: &C,
    context: &Context,
    hand: &InHand,
    body: &C::Body,
) -> Result<Taken, Failure> {
    let (ports, (order, unit)) = (&context.ports, C::unit(body));
    let by = Claimant::new(context, hand.delivery().sequence());
    if C::IS_NEW_AT_FIRST
        && hand.delivery().delivered() == 1
        && let Some(taken) = claims::create(ports, by, (&order, &unit), hand).await?
    {
        return Ok(taken);
    }
    match hand.unless_lost(stage.is_done(context, body)).await {
        Ok(is_done) => {
            if is_done? {
                return Ok(Taken::Unneeded);
            }
        }
        Err(lost) => return Ok(Taken::Lost(lost)),
    }
    claims::take_in_hand(ports, by, (&order, &unit), hand).await
}

/// Settles a message that was lost before it was claimed.
fn not_begun(lost: Lost) -> Settlement {
    match lost {
        Lost::Draining => Settlement::HandBack(Duration::ZERO),
        Lost::Expired | Lost::Taken | Lost::Closed => Settlement::LetGo,
    }
}

/// Settles a message whose work stopped before its end.
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

/// Checks with each heartbeat whether this worker still holds the claim and whether the order is still open.
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
        // The claim of a closed order is removed with the order. In every other case a missing claim was taken by another worker.
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
