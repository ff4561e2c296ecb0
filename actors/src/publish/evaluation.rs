//! One request to evaluate an order, from admission to what is said to the broker.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::message::Evaluate;
use jetreel_domain::retry::{self, Stage};
use jetreel_domain::state::PUBLISH;

use super::evaluate;
use super::finish::Writer;
use super::views::Views;
use crate::claims::{self, Claimant, Held};
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::intake::{self, Refused};
use crate::lease::{self, Lost, Watch};
use crate::ports::{Delivery, PortFuture, Ports};
use crate::settle::{self, Case, Origin, Settlement};

/// Works on one delivery.
///
/// # Errors
/// When broker or store fail before the request is claimed, or the order is closed and has something left to do. Deliver it again.
pub(super) async fn take(
    context: &Context,
    views: &Views,
    delivery: &Arc<dyn Delivery>,
) -> Result<Settlement, Failure> {
    let origin = Origin::Delivery(delivery.as_ref());
    let case = Case { context, stage: Stage::Publish, origin };
    let order = match intake::read::<Evaluate>(delivery.subject(), delivery.body()) {
        Ok(message) => message.order,
        Err(Refused::Newer(failure)) => return Err(failure),
        Err(refused) => return Ok(settle::refused(&case, refused.into()).await),
    };
    let asked = delivery.as_ref().into();
    match settle::admit(context, Stage::Publish, asked, &order, PUBLISH).await? {
        None => {}
        // A closed order is looked at too: it may have something to announce, and entries to forget.
        Some(Settlement::Ack) => {
            evaluate::order(context, views, &order, Writer::Anyone).await?;
            return Ok(Settlement::Ack);
        }
        Some(settlement) => return Ok(settlement),
    }
    let by = Claimant { node: &context.config.node, sequence: delivery.sequence() };
    let held = claims::take(&context.ports, by, &order, PUBLISH).await?;
    crash::point("publish-after-claim");
    if let Some(failure) = retry::doomed(&held.claim, &context.config.retry.publish) {
        return Ok(settle::doomed(&case, &held, failure).await);
    }
    match work(&case, views, delivery, &held).await {
        Ok(None) => {
            // What failed before has passed: the next request begins anew.
            if let Err(failure) = held.done(&context.ports).await {
                return Ok(settle::failed(&case, &held, failure).await);
            }
            context.gate.on_success();
            Ok(Settlement::Ack)
        }
        Ok(Some(lost)) => Ok(put_down(&case, &held, lost).await),
        Err(failure) => Ok(settle::failed(&case, &held, failure).await),
    }
}

/// Evaluates under the lease of the delivery. `Some`: it was lost before the end, which harms nothing.
async fn work(
    case: &Case<'_>,
    views: &Views,
    delivery: &Arc<dyn Delivery>,
    held: &Held,
) -> Result<Option<Lost>, Failure> {
    let context = case.context;
    let watch = ClaimWatch { ports: context.ports.clone(), held: held.clone() };
    let mut heartbeat = lease::keep(Arc::clone(delivery), context.config.lease, Arc::new(watch));
    tokio::select! {
        lost = &mut heartbeat.lost => Ok(Some(lost.unwrap_or(Lost::Expired))),
        () = context.put_down.cancelled() => Ok(Some(Lost::Draining)),
        done = evaluate::order(context, views, &held.order, Writer::Anyone) => done.map(|()| None),
    }
}

async fn put_down(case: &Case<'_>, held: &Held, lost: Lost) -> Settlement {
    match lost {
        Lost::Taken | Lost::Closed => {
            case.lost(held);
            Settlement::LetGo
        }
        Lost::Expired | Lost::Draining => {
            match held.give_up(&case.context.ports, None, false).await {
                Ok(Some(_)) => Settlement::HandBack(Duration::ZERO),
                Ok(None) | Err(_) => Settlement::LetGo,
            }
        }
    }
}

/// With each heartbeat: is the claim still ours? It goes with the order's records when the order is closed, right at the end.
struct ClaimWatch {
    ports: Ports,
    held: Held,
}

impl Watch for ClaimWatch {
    fn check(&self) -> PortFuture<'_, Option<Lost>> {
        Box::pin(async {
            let current = self.held.is_current(&self.ports).await?;
            Ok((!current).then_some(Lost::Taken))
        })
    }

    fn failed(&self) {
        let failure = Failure::dependency("lease-renewal", "The lease could not be renewed.");
        self.ports.environment.emit(Event::StageFault { stage: "publish", failure });
    }
}
