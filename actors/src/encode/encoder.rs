//! Stores one rendition of a task: an actor that owns the write in progress.
//!
//! Invariant: the bytes in its mailbox are bounded by the permits that travel with them, not by the mailbox. A failure is kept until
//! `Finish`, so that the slot receives it exactly once.

use jetreel_domain::order::ledger::Object;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::bytes::Bytes;

use crate::ports::{ObjectWriter, Ports};

/// Messages of an encoder.
pub(super) enum Message {
    /// Begin an object. The previous one must be finished.
    Open(String),
    /// Append to the object. The permit is released when the bytes are written.
    Write(Bytes, OwnedSemaphorePermit),
    /// Close the object and return it; `None` if no object is open.
    Finish(RpcReplyPort<Result<Option<Object>, Failure>>),
}

/// The write in progress.
pub(super) struct State {
    ports: Ports,
    writer: Option<Box<dyn ObjectWriter>>,
    trouble: Option<Failure>,
}

/// The encoder.
pub(super) struct Encoder;

impl Actor for Encoder {
    type Msg = Message;
    type State = State;
    type Arguments = Ports;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        ports: Ports,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { ports, writer: None, trouble: None })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Open(key) => state.open(&key).await,
            Message::Write(bytes, permit) => {
                state.write(bytes).await;
                drop(permit);
            }
            Message::Finish(reply) => {
                let object = state.finish().await;
                if reply.send(object).is_err() {
                    tracing::debug!("the slot ended before its object was finished");
                }
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(writer) = state.writer.take()
            && let Err(failure) = writer.abort().await
        {
            tracing::debug!(%failure, "an unfinished object could not be removed");
        }
        Ok(())
    }
}

impl State {
    async fn open(&mut self, key: &str) {
        if self.trouble.is_some() {
            return;
        }
        match self.ports.store.writer(key).await {
            Ok(writer) => self.writer = Some(writer),
            Err(failure) => self.trouble = Some(failure),
        }
    }

    async fn write(&mut self, bytes: Bytes) {
        if self.trouble.is_some() {
            return;
        }
        let Some(writer) = &mut self.writer else { return };
        if let Err(failure) = writer.write(bytes).await {
            self.trouble = Some(failure);
        }
    }

    async fn finish(&mut self) -> Result<Option<Object>, Failure> {
        let writer = self.writer.take();
        if let Some(failure) = self.trouble.take() {
            return Err(failure);
        }
        match writer {
            Some(writer) => writer.finish().await.map(Some),
            None => Ok(None),
        }
    }
}
