//! The parts of the scaler as branches of the supervision tree.

use ractor::{Actor, ActorCell, ActorId, SpawnErr};

use super::args::Scaling;
use super::caller::Caller;
use super::decide::Scaler;
use super::locals::Processes;
use super::sizer::Sizer;
use crate::config::{Config, Context};

/// A part of the scaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Decides.
    Decide,
    /// Calls the hook.
    Call,
    /// Starts and drains node processes on this machine.
    Locals,
    /// Sizes the slots of this node.
    Slots,
}

/// Parts that a node runs.
#[must_use]
pub fn parts(scaling: &Scaling, config: &Config) -> Vec<Part> {
    let args = &scaling.args;
    let all = [
        (Part::Locals, args.decides && args.locals.is_some()),
        (Part::Call, args.decides && args.hook.is_some()),
        (Part::Decide, args.decides),
        (Part::Slots, config.encodes() && args.room.is_some()),
    ];
    all.into_iter().filter(|(_, runs)| *runs).map(|(part, _)| part).collect()
}

/// Starts a part. `None` if the node lacks what the part needs.
///
/// # Errors
/// The part did not start.
pub async fn start(
    part: Part,
    scaling: &Scaling,
    context: Context,
    root: ActorCell,
) -> Result<Option<ActorId>, SpawnErr> {
    let scaling = scaling.clone();
    Ok(Some(match part {
        Part::Decide => {
            Scaler::spawn_linked(None, Scaler, (context, scaling), root).await?.0.get_id()
        }
        Part::Call => {
            let Some(hook) = scaling.args.hook.clone() else { return Ok(None) };
            let args = (context, hook, scaling.call.subscribe());
            Caller::spawn_linked(None, Caller, args, root).await?.0.get_id()
        }
        Part::Locals => {
            let Some(locals) = scaling.args.locals.clone() else { return Ok(None) };
            let args = (context, locals, scaling.target.subscribe());
            Processes::spawn_linked(None, Processes, args, root).await?.0.get_id()
        }
        Part::Slots => {
            let Some(room) = scaling.args.room else { return Ok(None) };
            let args = (context, room, scaling.args.wishes.clone());
            Sizer::spawn_linked(None, Sizer, args, root).await?.0.get_id()
        }
    }))
}
