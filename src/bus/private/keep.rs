//! A private nats-server as its users see it. A server that ends unexpectedly is restarted on the same data and port, so that connections
//! recover by themselves.

use std::fmt;
use std::time::Duration;

use jetreel_domain::upkeep::restart::{RestartBudget, Verdict};
use jetreel_domain::words::failure::Failure;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::address::Address;
use super::launch::{Launch, Listening, PrivateOptions};
use super::process::{LOG, Process};

/// Unexpected ends within [`WINDOW`] after which a server is not restarted.
const ENDS_MAX: u32 = 5;

/// Time window of [`ENDS_MAX`].
const WINDOW: Duration = Duration::from_secs(60);

/// A running private nats-server. Dropping it asks the server to end; [`PrivateBroker::stop`] also waits.
pub struct PrivateBroker {
    /// Server address, with user and password.
    pub url: String,
    /// Address of its monitoring port, for `/varz` and others.
    pub monitor_url: String,
    process_id: watch::Receiver<u32>,
    lost: watch::Receiver<Option<Failure>>,
    stopping: DropGuard,
    keeping: JoinHandle<()>,
    // Lets other programs of this user find the server while it runs.
    _address: Option<Address>,
}

impl fmt::Debug for PrivateBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leaves out the address, which contains the password.
        f.debug_struct("PrivateBroker").field("process", &self.process_id()).finish_non_exhaustive()
    }
}

impl PrivateBroker {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Errors
    /// There is no suitable program, the folder cannot be used or is in use, or the server does not start.
    pub async fn start(options: &PrivateOptions) -> Result<Self, Failure> {
        let launch = Launch::prepare(options).await?;
        let (process, listening) = launch.run(None).await?;
        let url = launch.url(&listening);
        let left = Address::leave(&launch.folder, &url).inspect_err(|error| {
            tracing::warn!(%error, "other commands will not find the private broker");
        });
        let monitor_url = format!("http://{}", listening.monitor);
        let (tell_id, process_id) = watch::channel(process.id());
        let (tell_loss, lost) = watch::channel(None);
        let stop = CancellationToken::new();
        let keeper = Keeper { launch, listening, tell_id, stop: stop.clone() };
        let keeping = tokio::spawn(async move {
            if let Err(failure) = keeper.keep(process).await {
                tell_loss.send_replace(Some(failure));
            }
        });
        let stopping = stop.drop_guard();
        Ok(Self { url, monitor_url, process_id, lost, stopping, keeping, _address: left.ok() })
    }

    /// Process id of the current or last server.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        *self.process_id.borrow()
    }

    /// Returns when the server has ended too often to be restarted. Returns the failure.
    pub async fn lost(&self) -> Failure {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            // The server was stopped on purpose.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Ends the server and waits until it is gone.
    pub async fn stop(self) {
        drop(self.stopping);
        if let Err(error) = self.keeping.await {
            tracing::warn!(%error, "the task that restarts the private broker failed");
        }
    }
}

/// Restarts the server.
struct Keeper {
    launch: Launch,
    listening: Listening,
    tell_id: watch::Sender<u32>,
    stop: CancellationToken,
}

impl Keeper {
    /// Returns when the server was stopped.
    ///
    /// # Errors
    /// The server ended too often.
    async fn keep(self, process: Process) -> Result<(), Failure> {
        let (started, mut budget) = (Instant::now(), RestartBudget::new(ENDS_MAX, WINDOW));
        let mut process = Some(process);
        loop {
            let why = match process.take() {
                Some(running) => tokio::select! {
                    () = self.stop.cancelled() => {
                        running.stop().await;
                        return Ok(());
                    }
                    status = running.ended() => format!("it ended with {status}"),
                },
                None => "it does not start".to_owned(),
            };
            let delay = match budget.on_failure(started.elapsed()) {
                Verdict::RestartAfter(delay) => delay,
                Verdict::Escalate => return Err(self.given_up(&why)),
            };
            tracing::warn!(why, "the private broker is restarted");
            let again = async {
                sleep(delay).await;
                self.launch.run(Some(&self.listening)).await
            };
            let started = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                started = again => started,
            };
            process = started.inspect_err(|failure| {
                tracing::warn!(%failure, detail = failure.detail, "the private broker does not start");
            })
            .ok()
            .map(|(process, _)| process);
            if let Some(process) = &process {
                self.tell_id.send_replace(process.id());
            }
        }
    }

    fn given_up(&self, why: &str) -> Failure {
        let log = self.launch.folder.join(LOG);
        let text = format!(
            "The private broker does not stay alive: at last {why}. Its log is {}.",
            log.display()
        );
        Failure::dependency("private-broker", text)
    }
}
