//! Calls the operator's hook about the newest decision until the call succeeds. One call at a time.

use std::sync::Arc;

use jetreel_domain::scale::call::{self, Call};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::follow::follow;
use crate::config::Context;
use crate::event::{Event, Scaled};
use crate::ports::ScaleHook;

/// Messages of the actor.
#[derive(Debug)]
pub(super) enum Message {
    /// There is another call, or the last one is to be repeated, or the node drains.
    Look,
}

/// The newest call and what became of it.
pub(super) struct State {
    context: Context,
    hook: Arc<dyn ScaleHook>,
    newest: watch::Receiver<Option<Call>>,
    /// Key of the call that succeeded last.
    done: Option<String>,
    /// Failures since then.
    failures: u32,
    again: Option<AbortHandle>,
}

/// The actor.
pub(super) struct Caller;

impl Actor for Caller {
    type Msg = Message;
    type State = State;
    type Arguments = (Context, Arc<dyn ScaleHook>, watch::Receiver<Option<Call>>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (context, hook, newest): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        follow(newest.clone(), context.drain.clone(), myself.clone(), || Message::Look);
        // A restarted caller finds the newest call.
        myself.cast(Message::Look)?;
        Ok(State { context, hook, newest, done: None, failures: 0, again: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => {
                if state.context.drain.is_cancelled() {
                    myself.stop(None);
                } else {
                    state.look(&myself).await;
                }
            }
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.forget();
    }
}

impl State {
    async fn look(&mut self, myself: &ActorRef<Message>) {
        self.forget();
        let newest = self.newest.borrow_and_update().clone();
        let Some(call) = newest.filter(|call| self.done.as_ref() != Some(&call.key)) else {
            return;
        };
        let drain = self.context.drain.clone();
        let called = tokio::select! {
            biased;
            () = drain.cancelled() => return,
            called = self.hook.call(&call) => called,
        };
        let failed = called.err();
        if failed.is_none() {
            (self.done, self.failures) = (Some(call.key.clone()), 0);
        } else {
            self.failures = self.failures.saturating_add(1);
            let delay = call::again_after(self.failures);
            self.again = Some(myself.send_after(delay, || Message::Look).abort_handle());
        }
        let event = Scaled::HookCalled { nodes: call.nodes, failed };
        self.context.ports.environment.emit(Event::Scaled(event));
    }

    /// A newer call replaces the repeat of an older one.
    fn forget(&mut self) {
        if let Some(again) = self.again.take() {
            again.abort();
        }
    }
}
