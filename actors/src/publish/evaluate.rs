//! Evaluates an order as a whole and does everything that is due: supersede, announce, release, finish.

use std::sync::Arc;

use jetreel_domain::delivery::trace::TraceParent;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::progress;
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::order::stretch::Stretch;
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::output::verify;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;
use tracing::{Instrument as _, Span};

use super::facts;
use super::finish::{self, Writer};
use crate::change;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::Versioned;
use crate::releases;
use crate::takeover;
use crate::trace;
use crate::views::{Known, Views};

/// Why an order is evaluated.
pub(super) enum Cause {
    /// Entries were received.
    Entries(Received),
    /// The order may release more tasks. No message stands behind this evaluation, so it does nothing else.
    Turn,
    /// Somebody asked. What this node believes to know may be the trouble.
    Asked,
}

/// Entries of an order that were received together.
pub(super) struct Received {
    /// The entries, each with its stream sequence.
    pub(super) entries: Vec<(u64, Entry)>,
    /// Everything that this node has received so far.
    pub(super) stretch: Stretch,
    pub(super) writer: Writer,
    /// The spans that wrote them.
    pub(super) causes: Vec<TraceParent>,
}

impl Cause {
    /// The spans that caused the evaluation. `None` if the current span is about it already.
    fn spans(&self) -> Option<Vec<TraceParent>> {
        match self {
            Self::Entries(received) => Some(received.causes.clone()),
            Self::Turn => Some(Vec::new()),
            Self::Asked => None,
        }
    }
}

/// Evaluates an order. Evaluating twice, or on two nodes at once, changes nothing.
pub(super) async fn order(
    context: &Context,
    views: &Views,
    order: &OrderId,
    cause: Cause,
) -> Result<(), Failure> {
    let causes = cause.spans();
    let known = views.of(order);
    let mut known = known.lock().await;
    views.tell(order, &mut known);
    let turn = matches!(cause, Cause::Turn);
    let (newest, writer) = match cause {
        Cause::Entries(Received { entries, stretch, writer, .. }) => {
            let newest = entries.iter().map(|(sequence, _)| *sequence).max();
            known.receive(entries, stretch);
            (newest, writer)
        }
        Cause::Turn => (None, Writer::Mover),
        Cause::Asked => (None, Writer::Anyone),
    };
    let recent = known.state().filter(|found| newest.is_some() && encodes(&found.value, order));
    let found = match recent {
        Some(found) => found,
        None => match read(context, order, &mut known).await? {
            Some(found) => found,
            None => return Ok(()),
        },
    };
    let span = causes.map_or_else(Span::current, |causes| {
        trace::evaluation(&context.ports, order, &causes, &found.value)
    });
    let evaluated = evaluate(context, views, order, found, &mut known, (newest, writer, turn));
    async { evaluated.await.inspect_err(trace::failed) }.instrument(span).await
}

/// Evaluates an order whose video was found. `newest` is the sequence of the newest entry received.
async fn evaluate(
    context: &Context,
    views: &Views,
    order: &OrderId,
    found: Versioned<Video>,
    known: &mut Known,
    (newest, writer, turn): (Option<u64>, Writer, bool),
) -> Result<(), Failure> {
    let Some(state) = found.value.order(order.number) else { return Ok(()) };
    let Some(reference) = state.plan.clone() else { return Ok(()) };
    if turn && !encodes(&found.value, order) {
        return Ok(());
    }
    if state.is_closed() {
        return close(context, views, order, found).await;
    }
    let (store, object) = (context.ports.store.as_ref(), &reference.object);
    let plan = context.plans.get(store, order, &object.key, &object.sha256).await?;
    known.refresh(context.ports.broker.as_ref(), order, newest).await?;
    views.weigh(order, &known.view);
    let mut evaluation = Evaluation { context, views, order, plan, writer, turn, gap: false };
    // Checked only when it may matter: the request for an evaluation may come from a gap, and nothing is published that is missing in the
    // ledger.
    let thorough = writer == Writer::Anyone || progress::complete(&evaluation.plan, &known.view);
    if !thorough || !has_gap(context, order, known).await? {
        return evaluation.act(found, known).await;
    }
    // The entries may be gone because another publisher has closed the order since.
    evaluation.gap = true;
    match read(context, order, known).await? {
        Some(found) => evaluation.act(found, known).await,
        None => Ok(()),
    }
}

/// Whether the order was being encoded. Only then an older state will do: what a later one forbids, the compare-and-set refuses, and a task
/// that is released in vain is acknowledged without work.
fn encodes(video: &Video, order: &OrderId) -> bool {
    let open = |state: &Order| state.status == Status::Encoding && !state.is_closed();
    video.order(order.number).is_some_and(open)
}

/// Reads the state of the order's video.
async fn read(
    context: &Context,
    order: &OrderId,
    known: &mut Known,
) -> Result<Option<Versioned<Video>>, Failure> {
    let found = context.ports.broker.video(&order.video).await?;
    found.iter().for_each(|found| known.see(found));
    // Perhaps what was overheard of an order that has ended was never stored.
    match &found {
        Some(found) if encodes(&found.value, order) => {}
        Some(found) => context.line().enter(&found.value),
        None => context.line().remove(&order.video),
    }
    Ok(found)
}

/// Whether entries of the order were removed from the ledger. If so, the facts they proved are unknown again, and the missing tasks are due
/// again.
async fn has_gap(context: &Context, order: &OrderId, known: &mut Known) -> Result<bool, Failure> {
    let broker = context.ports.broker.as_ref();
    let ahead = known.is_ahead(broker, order).await?;
    if ahead {
        known.read_anew(broker, order).await?;
    }
    let torn = known.view.torn();
    for task in &torn {
        broker.forget_entry(order, *task).await?;
        known.forget(*task);
    }
    Ok(ahead || !torn.is_empty())
}

/// An order with everything that was read about it.
struct Evaluation<'a> {
    context: &'a Context,
    views: &'a Views,
    order: &'a OrderId,
    plan: Arc<Plan>,
    writer: Writer,
    /// Whether only releases are due.
    turn: bool,
    /// Entries of the order were removed from the ledger.
    gap: bool,
}

impl Evaluation<'_> {
    async fn act(&self, found: Versioned<Video>, known: &mut Known) -> Result<(), Failure> {
        let Self { context, order, plan, .. } = self;
        let Some(state) = found.value.order(order.number) else { return Ok(()) };
        if state.is_closed() {
            return self.close(found).await;
        }
        if state.status == Status::Failed {
            return change::announce_from(&context.ports, found).await.map(drop);
        }
        if let Some(mismatch) = verify::seam(plan, &known.view) {
            return supersede(context, self.views, order, mismatch.chunk).await;
        }
        let complete = progress::complete(plan, &known.view);
        let verified = if complete { verify::asset(plan, &known.view) } else { Ok(()) };
        let publishes = complete && verified.is_ok();
        if self.turn {
            return if complete {
                context.ports.broker.evaluate(order).await.map(drop)
            } else {
                self.release(found, known).await
            };
        }
        let learnt = facts::learn(context, order, plan, &known.view, found, publishes).await?;
        let Some((found, moved)) = learnt else { return Ok(()) };
        known.see(&found);
        crash::point("publish-after-learn");
        if found.value.order(order.number).is_none_or(Order::is_closed) {
            // Another publisher closed the order since it was read.
            return self.close(found).await;
        }
        if publishes {
            return self.finish(found, moved, known).await;
        }
        let Some(found) = change::announce_from(&context.ports, found).await? else {
            return Ok(());
        };
        known.see(&found);
        crash::point("publish-after-announce");
        if self.gap {
            tell_gap(context, order);
        }
        self.release(found, known).await?;
        verified
    }

    /// Queues the tasks that are due.
    async fn release(&self, found: Versioned<Video>, known: &mut Known) -> Result<(), Failure> {
        let Self { context, order, plan, .. } = self;
        let Some(state) = found.value.order(order.number) else { return Ok(()) };
        let before = known.released(self.writer == Writer::Mover && !self.turn);
        let mut released = before.clone();
        let video = &found.value;
        let done = releases::due(context, video, state, plan, &known.view, &mut released).await;
        known.released.extend(released.difference(&before));
        let tail = done?;
        crash::point("publish-after-release");
        if tail && let Some(found) = self.note_tail(found).await? {
            known.see(&found);
        }
        Ok(())
    }

    /// Records in the state that all of the order's bulk is released, so that the next order is admitted.
    async fn note_tail(
        &self,
        found: Versioned<Video>,
    ) -> Result<Option<Versioned<Video>>, Failure> {
        let number = self.order.number;
        change::from(&self.context.ports, found, |video| {
            let order = video.order_mut(number);
            let order = order.filter(|o| o.status == Status::Encoding && !o.is_closed() && !o.tail);
            Ok(order.is_some_and(|order| {
                order.tail = true;
                true
            }))
        })
        .await
    }

    /// Writes the finished set, and closes the order.
    async fn finish(
        &self,
        found: Versioned<Video>,
        moved: bool,
        known: &Known,
    ) -> Result<(), Failure> {
        let writes = moved || self.writer == Writer::Anyone;
        let (context, order) = (self.context, self.order);
        let after =
            finish::complete(context, order, &self.plan, &known.view, found, writes).await?;
        // An order that failed in the meantime keeps its entries, because a replay continues them.
        match after {
            Some(after) if after.value.order(order.number).is_none_or(Order::is_closed) => {
                self.close(after).await
            }
            Some(after) => change::announce_from(&context.ports, after).await.map(drop),
            None => Ok(()),
        }
    }

    async fn close(&self, found: Versioned<Video>) -> Result<(), Failure> {
        close(self.context, self.views, self.order, found).await
    }
}

fn tell_gap(context: &Context, order: &OrderId) {
    let message = "The ledger lacks entries that were read before. Their tasks are done again.";
    let failure = Failure::task("ledger-gap", message).with_detail(order);
    context.ports.environment.emit(Event::StageFault { stage: "publish", failure });
}

/// The chunks do not fit together. The next order decodes the source in one go.
async fn supersede(
    context: &Context,
    views: &Views,
    order: &OrderId,
    chunk: u32,
) -> Result<(), Failure> {
    let ports = &context.ports;
    let lives = |state: &Order| state.status != Status::Failed;
    let received = views.received();
    if takeover::take_over(ports, order, Takeover::SeamMismatch, lives).await? {
        let message = format!("Chunk {chunk} does not meet its neighbour.");
        let failure = Failure::task("seam-mismatch", message);
        ports.environment.emit(Event::StageFault { stage: "publish", failure });
        views.close(order, received);
        return Ok(());
    }
    // Another publisher superseded the order, and may have died since.
    let closed =
        |found: &Versioned<Video>| found.value.order(order.number).is_some_and(Order::is_closed);
    match ports.broker.video(&order.video).await?.filter(closed) {
        Some(found) => close(context, views, order, found).await,
        None => Ok(()),
    }
}

/// Finishes a closed order: announces its facts, then removes its entries.
async fn close(
    context: &Context,
    views: &Views,
    order: &OrderId,
    found: Versioned<Video>,
) -> Result<(), Failure> {
    let broker = context.ports.broker.as_ref();
    let superseded = found.value.order(order.number).is_some_and(|state| state.superseded);
    if superseded {
        takeover::announce_successor(broker, order, &found.value).await?;
    }
    change::announce_from(&context.ports, found).await?;
    crash::point("publish-before-forget");
    let received = views.received();
    broker.forget(order).await?;
    views.close(order, received);
    Ok(())
}
