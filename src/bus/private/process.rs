//! One process of a private nats-server: started through its guard, awaited, stopped.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::guard::{GUARD, HELD};

/// Time limit of a start. The recovery of a large store takes a while, and the guard's wait for the lock counts too.
const START_WAIT: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(10);
/// Time after which a server that was asked to end is killed.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// File name of the server's log.
pub(super) const LOG: &str = "nats-server.log";
const LOG_TAIL_BYTES: usize = 2000;

/// A running server. Dropping it asks the server to end.
#[derive(Debug)]
pub(super) struct Process {
    id: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    end: Signal,
}

/// The ports file that the server writes once it listens.
#[derive(Deserialize)]
pub(super) struct Ports {
    /// Addresses for clients.
    pub(super) nats: Vec<String>,
    /// Addresses for `/varz` and the like.
    pub(super) monitoring: Vec<String>,
}

impl Process {
    /// Spawns from a thread that lives until the end, because the death signal of the child follows that thread.
    pub(super) async fn spawn(mut command: Command, kept: bool) -> io::Result<Self> {
        let (started, is_started) = oneshot::channel();
        let (ending, ended) = watch::channel(None);
        std::thread::Builder::new().name("broker-keeper".to_owned()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(child.id())));
            if let Ok(status) = child.wait() {
                ending.send_replace(Some(status));
            }
        })?;
        let id = is_started.await.map_err(io::Error::other)??;
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("no process id"))?;
        Ok(Self { id, ended, end: if kept { Signal::TERM } else { Signal::KILL } })
    }

    /// Process id.
    pub(super) fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Returns how the server ended.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|status| *status) {
            Ok(Some(status)) => status.to_string(),
            Ok(None) | Err(_) => "an unknown status".to_owned(),
        }
    }

    /// Stops the server and waits for its end.
    pub(super) async fn stop(self) {
        let mut ended = self.ended.clone();
        self.signal(self.end);
        if timeout(STOP_WAIT, ended.wait_for(Option::is_some)).await.is_err() {
            tracing::warn!("the private broker did not end in time; it is killed");
            self.signal(Signal::KILL);
            if timeout(STOP_WAIT, ended.wait_for(Option::is_some)).await.is_err() {
                tracing::error!("the private broker cannot be ended");
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none()
            && let Err(error) = kill_process(self.id, signal)
        {
            tracing::warn!(%error, "cannot signal the private broker");
        }
    }

    /// Waits for the ports file, or for an early end.
    pub(super) async fn ports(&self, runtime: &Path, folder: &Path) -> Result<Ports, Failure> {
        let suffix = format!("_{}.ports", self.id.as_raw_nonzero());
        let deadline = Instant::now() + START_WAIT;
        loop {
            if let Some(ports) = read_ports(runtime, &suffix) {
                return Ok(ports);
            }
            let status = *self.ended.borrow();
            match status {
                Some(status) if status.code() == Some(i32::from(HELD)) => return Err(held(folder)),
                Some(status) => return Err(failed(folder, &format!("it ended with {status}"))),
                None if Instant::now() >= deadline => {
                    return Err(failed(folder, "it is not ready in time"));
                }
                None => sleep(START_POLL).await,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.end);
    }
}

/// The command that starts the server through its guard.
pub(super) fn guarded(guard: &Path, folder: &Path, server: &Path, args: Vec<PathBuf>) -> Command {
    let mut command = Command::new(guard);
    command.arg(GUARD).arg(std::process::id().to_string()).arg(folder.join("lock"));
    command.arg(server).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    // Append mode: until the guard has the lock, the log is another server's.
    let log = OpenOptions::new().append(true).create(true).open(folder.join(LOG));
    command.stderr(log.map_or_else(|_| Stdio::null(), Stdio::from));
    // Outside of the terminal's process group: Ctrl-C is for the parent, which still needs its broker to hand work back.
    command.process_group(0);
    command
}

fn read_ports(runtime: &Path, suffix: &str) -> Option<Ports> {
    let mut entries = fs::read_dir(runtime).ok()?.flatten();
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(suffix))?;
    serde_json::from_slice(&fs::read(file.path()).ok()?).ok()
}

fn held(folder: &Path) -> Failure {
    let text = format!(
        "Another `jetreel dev` runs with the folder {}. End it first, or choose another folder with --data.",
        folder.display()
    );
    Failure::permanent("private-broker-in-use", text)
}

/// The failure of a server that does not run, with the end of its log.
pub(super) fn failed(folder: &Path, why: &str) -> Failure {
    let log = fs::read(folder.join(LOG)).unwrap_or_default();
    let tail =
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned();
    let text = format!("The private broker does not run: {why}.");
    Failure::dependency("private-broker", text).with_detail(tail)
}
