//! A `jetreel node` as a process: started, killed, stopped, started again.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::sync::oneshot;

use super::net::Place;
use super::signals;

/// Prefix of the line that a node prints once it answers.
const LISTENING: &str = "listening on ";
const START_WAIT: Duration = Duration::from_secs(60);
/// Lines of a log that are shown where something went wrong.
pub(super) const TAIL_LINES: usize = 40;

/// Parameters of a node's start.
pub(crate) struct Setup {
    /// Name in claims.
    pub(crate) name: String,
    /// Working folder.
    pub(crate) folder: PathBuf,
    /// Settings file.
    pub(crate) config: PathBuf,
    /// Additional environment variables.
    pub(crate) environment: Vec<(String, String)>,
    /// A network place; `None` is the loopback.
    pub(crate) place: Option<Arc<Place>>,
}

/// A node; ended when dropped.
pub(crate) struct Node {
    setup: Setup,
    process: Option<Child>,
    address: Option<String>,
    log: Arc<Mutex<Vec<String>>>,
}

/// The program that this campaign was built with.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_jetreel"))
}

impl Node {
    /// A node that does not run yet.
    pub(crate) fn new(setup: Setup) -> Self {
        Self { setup, process: None, address: None, log: Arc::default() }
    }

    /// Its name in claims.
    pub(crate) fn name(&self) -> &str {
        &self.setup.name
    }

    /// Its network place.
    pub(crate) fn place(&self) -> Option<&Arc<Place>> {
        self.setup.place.as_ref()
    }

    /// Address of its gateway; `None` while it does not run.
    pub(crate) fn address(&self) -> Option<&str> {
        self.process.as_ref().and(self.address.as_deref())
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it with a further variable in its environment, and waits until it answers.
    pub(crate) async fn start_with(&mut self, more: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut command = match &self.setup.place {
            Some(place) => place.command(program()),
            None => Command::new(program()),
        };
        command.arg("--config").arg(&self.setup.config).arg("node");
        command.current_dir(&self.setup.folder);
        command.envs(self.setup.environment.iter().cloned()).envs(more.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().context("no node")?;
        let errors = process.stderr.take().context("a node without a log")?;
        self.process = Some(process);
        let told = listen(errors, self.log.clone());
        match tokio::time::timeout(START_WAIT, told).await {
            Ok(Ok(address)) => self.address = Some(address),
            Ok(Err(_)) => bail!("node {} ended at its start:\n{}", self.name(), self.log_tail()),
            Err(_) => bail!("node {} does not start:\n{}", self.name(), self.log_tail()),
        }
        Ok(())
    }

    /// Ends it at once, as a crash of the machine would: its codec processes with it.
    pub(crate) fn kill(&mut self) {
        let codecs = self.codecs();
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
        for pid in codecs {
            signals::kill(pid);
        }
    }

    /// Lets the node and its codec processes stand still, or go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        for pid in self.codecs().into_iter().chain(self.pid()) {
            signals::freeze(pid, frozen);
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let process = self.process.as_mut().context("the node does not run")?;
        let child = WaitId::Pid(Pid::from_child(process));
        // Its status stays for `Child::wait`.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let ended = tokio::task::spawn_blocking(move || waitid(child, options));
        tokio::time::timeout(within, ended).await.context("the node goes on")???;
        let status = process.wait()?;
        self.process = None;
        Ok(status)
    }

    /// Exit status of a node that ended unexpectedly.
    pub(crate) fn has_died(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().and_then(|process| process.try_wait().ok().flatten())
    }

    /// Ids of its running codec processes. One that is not confined yet has no task.
    pub(crate) fn codecs(&self) -> Vec<u32> {
        let all = self.pid().map(|pid| signals::children(pid, "jetreel-codec"));
        all.into_iter().flatten().filter(|pid| signals::is_confined(*pid)).collect()
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log[log.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the log and sends the address. If the process ends first, the sender is dropped with the thread.
fn listen(
    errors: std::process::ChildStderr,
    log: Arc<Mutex<Vec<String>>>,
) -> oneshot::Receiver<String> {
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(LISTENING)
                && let Some(tell) = tell.take()
            {
                drop(tell.send(address.trim_end_matches('/').to_owned()));
            }
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    told
}
