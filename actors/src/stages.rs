//! The list of the stages: reads their messages and starts their workers. A new stage is added here and nowhere else in this crate.

use std::sync::Arc;

use jetreel_domain::delivery::deadletter::DeadLetter;
use jetreel_domain::delivery::intake::Body;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorCell, ActorId, SpawnErr};

use crate::attempt::Claiming;
use crate::config::{Config, Context};
use crate::encode::{Dispatch, Encode};
use crate::ingest::Ingest;
use crate::intake::{self, Refused};
use crate::publish::Evaluations;
use crate::views::Views;
use crate::worker;

/// Order and unit that a message of a stage is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) order: OrderId,
    pub(crate) unit: Unit,
    /// Whether a newer program wrote the message. Only such a program knows what it asks for.
    pub(crate) newer: bool,
}

/// Reads a message of a stage.
///
/// # Errors
/// The body cannot be read, or does not belong on its subject.
pub(crate) fn read(stage: Stage, subject: &str, body: &[u8]) -> Result<Subject, Refused> {
    match stage {
        Stage::Ingest => of::<Ingest>(subject, body),
        Stage::Encode => of::<Encode>(subject, body),
        Stage::Publish => of::<Evaluations>(subject, body),
    }
}

/// Number of workers of a stage on a node.
pub(crate) fn workers(stage: Stage, config: &Config) -> usize {
    if stage == Stage::Ingest { config.ingest_slots.max(1) } else { 1 }
}

/// Starts a worker of a stage. For encode, the dispatcher.
pub(crate) async fn start(
    stage: Stage,
    context: Context,
    views: &Arc<Views>,
    root: ActorCell,
) -> Result<ActorId, SpawnErr> {
    match stage {
        Stage::Ingest => {
            let views = Arc::clone(views);
            worker::start(context, Ingest { views }, root).await
        }
        Stage::Encode => {
            Ok(Dispatch::spawn_linked(None, Dispatch, context, root).await?.0.get_id())
        }
        Stage::Publish => {
            worker::start(context, Evaluations { views: Arc::clone(views) }, root).await
        }
    }
}

fn of<C: Claiming>(subject: &str, body: &[u8]) -> Result<Subject, Refused> {
    let body: C::Body = intake::read(subject, body)?;
    let (order, unit) = C::unit(&body);
    Ok(Subject { order, unit, newer: body.version() > C::Body::VERSION })
}

/// Checks before a replay that a letter's body belongs on its original subject. A body that cannot be decoded passes: it names no other
/// order.
///
/// # Errors
/// The body contradicts its subject.
pub(crate) fn may_go_back(letter: &DeadLetter) -> Result<(), Failure> {
    let Some(stage) = subject::stage(&letter.subject) else { return Ok(()) };
    match read(stage, &letter.subject, &letter.body) {
        Ok(_) | Err(Refused::Newer(_) | Refused::Unreadable(_)) => Ok(()),
        Err(Refused::Contradicting(failure)) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::delivery::message::Evaluate;
    use jetreel_domain::id::VideoId;

    use super::*;

    #[test]
    fn a_letter_goes_back_only_where_it_belongs() {
        let order = |bits| OrderId::new(VideoId::from_bits(bits), 1);
        let body = |bits| rmp_serde::to_vec_named(&Evaluate { v: 1, order: order(bits) }).unwrap();
        let letter = |bytes| {
            let subject = subject::publish(&order(1));
            may_go_back(&DeadLetter::from_parts(subject, bytes, Vec::new()))
        };
        assert_eq!(letter(body(1)), Ok(()));
        assert_eq!(letter(b"garbage".to_vec()), Ok(()), "it dies again");
        assert_eq!(letter(body(2)).unwrap_err().code, "message-contradicts");
    }

    /// Orphans and deaths without a letter are queued again by the order alone.
    #[test]
    fn messages_of_most_stages_name_an_order_and_nothing_else() {
        let order = OrderId::new(VideoId::from_bits(1), 1);
        let body = rmp_serde::to_vec_named(&Evaluate { v: 1, order: order.clone() }).unwrap();
        for stage in Stage::ALL {
            let read = read(stage, &stage.subject_of(&order), &body);
            let own = [Stage::Ingest, Stage::Encode].contains(&stage);
            assert_eq!(read.is_err(), own, "{stage:?}: see orphan.rs and replay.rs");
        }
    }
}
