//! One evaluation of an order for entries that were received together, and their settlement.

use std::time::Duration;

use futures::future::join_all;
use jetreel_domain::delivery::retry;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::stretch::Stretch;
use jetreel_domain::words::failure::{Failure, Severity};

use super::evaluate::{self, Cause, Received};
use super::evaluations::before_ack;
use super::finish::Writer;
use crate::config::Context;
use crate::event::Event;
use crate::intake::Refused;
use crate::lease::{InHand, Lost};
use crate::panics;
use crate::settle::Settlement;
use crate::trace;
use crate::views::Views;

/// Name of the stage in logs and metrics.
pub(super) const NAME: &str = Stage::Publish.as_str();

/// Delay before an entry that could not be processed is delivered again.
const AGAIN_WAIT: Duration = Duration::from_secs(1);

/// An entry in hand.
pub(super) struct Held {
    pub(super) entry: Entry,
    pub(super) hand: InHand,
}

/// How a round ended.
pub(super) struct Round {
    /// Whether the view of the order holds the entries, as far as they are results.
    pub(super) taken_in: bool,
    /// The failure because of which the entries are delivered again.
    pub(super) ended: Result<(), Failure>,
}

/// Evaluates the order of entries. A failure of the order itself is retried through an evaluation, whose attempts are counted. Entries only
/// signal that something is new.
pub(super) async fn evaluate(
    context: &Context,
    views: &Views,
    order: &OrderId,
    held: Vec<Held>,
    stretch: Stretch,
) -> Round {
    let (mut entries, mut hands) = (Vec::new(), Vec::new());
    for Held { entry, hand } in held {
        entries.push((hand.delivery().sequence(), entry));
        hands.push(hand);
    }
    // If two publishers see the last entries, one of them writes. A message that is delivered again belonged to a publisher that died.
    let again = hands.iter().any(|hand| hand.delivery().delivered() > 1);
    let writer = if again { Writer::Anyone } else { Writer::Mover };
    let causes = hands.iter().filter_map(|hand| trace::of(hand.delivery())).collect();
    let received = Received { entries, stretch, writer, causes };
    let evaluated =
        panics::caught(evaluate::order(context, views, order, Cause::Entries(received)));
    let evaluated = tokio::select! {
        biased;
        done = evaluated => Ok(done),
        lost = lost(&hands) => Err(lost),
    };
    let taken_in = matches!(evaluated, Ok(Ok(())));
    let (settlement, failure) = match evaluated {
        Ok(Ok(())) => (Settlement::Ack, None),
        Ok(Err(failure)) => match put_off(context, order, failure).await {
            Ok(()) => {
                // The view may have something to do with it.
                views.forget(order);
                (Settlement::Ack, None)
            }
            Err(failure) => (Settlement::HandBack(AGAIN_WAIT), Some(failure)),
        },
        Err(Lost::Draining) => (Settlement::HandBack(Duration::ZERO), None),
        Err(Lost::Expired | Lost::Taken | Lost::Closed) => (Settlement::LetGo, None),
    };
    if settlement == Settlement::Ack {
        before_ack();
    }
    let settled = settle(settlement, hands).await;
    Round { taken_in, ended: failure.map_or(settled, Err) }
}

/// Returns when no entry is held any more.
async fn lost(hands: &[InHand]) -> Lost {
    let lost = join_all(hands.iter().map(InHand::lost)).await;
    lost.first().copied().unwrap_or(Lost::Expired)
}

/// Asks for another evaluation because of a failure.
///
/// # Errors
/// The failure is a dependency's, or the evaluation could not be queued: deliver the entries again.
async fn put_off(context: &Context, order: &OrderId, failure: Failure) -> Result<(), Failure> {
    let failure = context.gate.judge(&context.ports, failure, None).await;
    if failure.severity == Severity::DependencyFault {
        return Err(failure);
    }
    context.ports.broker.evaluate(order).await?;
    context.ports.environment.emit(Event::StageFault { stage: NAME, failure });
    Ok(())
}

/// Acknowledges entries that need no work.
pub(super) async fn acknowledge(hands: Vec<InHand>) -> Round {
    Round { taken_in: true, ended: settle(Settlement::Ack, hands).await }
}

/// Settles all entries at once. Each settlement is a request, and its answer is awaited.
async fn settle(settlement: Settlement, hands: Vec<InHand>) -> Result<(), Failure> {
    let told = hands.into_iter().map(async |hand| {
        let delivery = hand.let_go();
        settlement.clone().tell(delivery.as_ref()).await
    });
    join_all(told).await.into_iter().collect()
}

/// Handles a ledger message that is no valid entry. It blocks the subject of a result, so it is removed and its task is done again. A
/// message of a newer program is left for a node of that version.
pub(super) async fn refuse(context: &Context, hand: InHand, refused: Refused) -> Round {
    let (broker, delivery) = (&context.ports.broker, hand.delivery());
    let (failure, settlement, taken_in) = match refused {
        Refused::Newer(failure) => (failure, Settlement::HandBack(retry::NEWER_WAIT), false),
        Refused::Contradicting(failure) | Refused::Unreadable(failure) => {
            match broker.remove(delivery.stream(), delivery.sequence()).await {
                Ok(()) => (failure, Settlement::Ack, true),
                Err(failure) => {
                    let settled = settle(Settlement::HandBack(AGAIN_WAIT), vec![hand]).await;
                    return Round { taken_in: true, ended: settled.and(Err(failure)) };
                }
            }
        }
    };
    context.ports.environment.emit(Event::StageFault { stage: NAME, failure });
    Round { taken_in, ended: settle(settlement, vec![hand]).await }
}
