//! Codec processes that are started before there is a job for them: starting one takes longer than many a job.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UnixStream;

use super::process::Process;

/// A process that waits for its job, with its socket.
type Idle = (Process, UnixStream);

/// At most one idle process, replaced as often as was asked for.
#[derive(Clone)]
pub(super) struct Ahead {
    binary: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    idle: Option<Idle>,
    /// Processes still to be started ahead.
    left: u32,
}

impl Ahead {
    /// Processes of `binary`, none of them started yet.
    pub(super) fn new(binary: PathBuf) -> Self {
        Self { binary, state: Arc::default() }
    }

    /// Starts a process, and another one each time that one is taken: `count` in all.
    pub(super) async fn start(&self, count: u32) {
        self.state().left = count;
        self.next().await;
    }

    /// The idle process, if there is one.
    pub(super) fn take(&self) -> Option<Idle> {
        let idle = self.state().idle.take();
        if idle.is_some() {
            let ahead = self.clone();
            tokio::spawn(async move { ahead.next().await });
        }
        idle
    }

    async fn next(&self) {
        let more = {
            let mut state = self.state();
            let more = state.left > 0;
            state.left = state.left.saturating_sub(1);
            more
        };
        if !more {
            return;
        }
        match Process::spawn(&self.binary).await {
            Ok(idle) => self.state().idle = Some(idle),
            Err(error) => self.give_up(&error),
        }
    }

    /// The error is reported by the next start.
    fn give_up(&self, error: &io::Error) {
        tracing::debug!(%error, "no codec process could be started ahead");
        self.state().left = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
