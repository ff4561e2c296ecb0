//! Codec processes that are started before their jobs exist, because starting one takes longer than many jobs.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::process::Process;

/// A process that waits for its job, with its socket.
type Idle = (Process, UnixStream);

/// Holds at most one idle process, and replaces it as often as requested.
#[derive(Clone)]
pub(super) struct Ahead {
    binary: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    idle: Option<Idle>,
    /// Processes still to be started.
    left: u32,
}

impl Ahead {
    /// Processes of `binary`. None is started yet.
    pub(super) fn new(binary: PathBuf) -> Self {
        Self { binary, state: Arc::default() }
    }

    /// Starts a process, and another one each time that one is taken, up to `count` in all.
    pub(super) async fn start(&self, count: u32) {
        self.state.lock().await.left = count;
        self.next().await;
    }

    /// The idle process, if there is one. If one is being started, waits for it: starting another one would take longer.
    pub(super) async fn take(&self) -> Option<Idle> {
        let idle = self.state.lock().await.idle.take();
        if idle.is_some() {
            let ahead = self.clone();
            tokio::spawn(async move { ahead.next().await });
        }
        idle
    }

    async fn next(&self) {
        let mut state = self.state.lock().await;
        if state.left == 0 {
            return;
        }
        state.left -= 1;
        match Process::spawn(&self.binary).await {
            Ok(idle) => state.idle = Some(idle),
            Err(error) => state.give_up(&error),
        }
    }
}

impl State {
    /// Stops starting processes. The next start of a job reports the error.
    fn give_up(&mut self, error: &io::Error) {
        tracing::debug!(%error, "no codec process could be started ahead");
        self.left = 0;
    }
}
