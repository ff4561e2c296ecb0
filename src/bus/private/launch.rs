//! Starting and stopping a private nats-server.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use jetreel_domain::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::address::Address;
use super::guard::{GUARD, HELD};
use super::locate::locate;

/// Recovery of a large store takes a while; the guard's wait for the lock is in it.
const START_WAIT: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(10);
/// After this long a server that was asked to leave is killed.
const STOP_WAIT: Duration = Duration::from_secs(10);
const LOG: &str = "nats-server.log";
const LOG_TAIL_BYTES: usize = 2000;
const USER: &str = "jetreel";
/// Folders in the data folder that hold configuration, and with it a password.
const RUNTIME: &str = "run-";
const OWNER_ALONE: u32 = 0o700;
const READ_BY_OWNER: u32 = 0o600;
/// What the streams may reserve. By itself the server refuses streams that could grow beyond three quarters of the free disk, though they
/// are nearly empty on a node of one's own.
const STREAMS_BYTES_MAX: u64 = 16 << 30;

/// Where and what.
#[derive(Debug, Clone)]
pub struct PrivateOptions {
    /// Folder of store, log and lock. Made where missing.
    pub folder: PathBuf,
    /// The program, where it is set by hand.
    pub server: Option<PathBuf>,
    /// The `jetreel` executable that acts as guard; `None`: this one.
    pub guard: Option<PathBuf>,
    /// Whether its data are needed after its end. Only then the server syncs every write and is stopped gracefully.
    pub kept: bool,
}

impl PrivateOptions {
    /// A server that keeps its data in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), server: None, guard: None, kept: true }
    }
}

/// A running private nats-server. Dropped, it is told to end; [`PrivateBroker::stop`] also waits.
pub struct PrivateBroker {
    /// Where to connect, user and password included.
    pub url: String,
    /// Its monitoring port, for `/varz` and the like.
    pub monitor_url: String,
    process: Process,
    // For other programs of this user, as long as the server runs.
    _address: Option<Address>,
    // Configuration and ports file; readable by this user only.
    _runtime: TempDir,
}

impl fmt::Debug for PrivateBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which holds the password.
        f.debug_struct("PrivateBroker").field("process", &self.process).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Process {
    id: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// Signal that ends it.
    end: Signal,
}

/// The file that the server writes once it listens.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

impl PrivateBroker {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// When there is no fitting program, the folder cannot be used or is in use, or the server does not come up.
    pub async fn start(options: &PrivateOptions) -> Result<Self, Failure> {
        let server = locate(options.server.as_deref()).await?;
        let guard = match &options.guard {
            Some(guard) => guard.clone(),
            None => std::env::current_exe().map_err(|error| unusable(&options.folder, &error))?,
        };
        let password = uuid::Uuid::new_v4().simple().to_string();
        let prepared = prepare(&options.folder, &password, options.kept);
        let (runtime, command) = prepared.map_err(|error| unusable(&options.folder, &error))?;
        let command = guarded(&guard, &options.folder, &server, command);
        let process = Process::spawn(command, options.kept).await;
        let process = process.map_err(|error| unusable(&options.folder, &error))?;
        let ports = process.ports(runtime.path(), &options.folder).await?;
        let [Some(nats), Some(monitor)] = [ports.nats.first(), ports.monitoring.first()] else {
            return Err(failed(&options.folder, "it tells no ports"));
        };
        clear_runtimes(&options.folder, runtime.path());
        let address = nats.trim_start_matches("nats://").to_owned();
        if TcpStream::connect(&address).await.is_err() {
            return Err(failed(&options.folder, "it does not take connections"));
        }
        let url = format!("nats://{USER}:{password}@{address}");
        let left = Address::leave(&options.folder, &url).inspect_err(|error| {
            tracing::warn!(%error, "other commands will not find the private broker");
        });
        Ok(Self {
            url,
            monitor_url: monitor.clone(),
            process,
            _address: left.ok(),
            _runtime: runtime,
        })
    }

    /// Process id of the server.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends the server and waits until it is gone.
    pub async fn stop(self) {
        let mut ended = self.process.ended.clone();
        self.process.signal(self.process.end);
        if timeout(STOP_WAIT, ended.wait_for(Option::is_some)).await.is_err() {
            tracing::warn!("the private broker does not end by itself");
            self.process.signal(Signal::KILL);
            if timeout(STOP_WAIT, ended.wait_for(Option::is_some)).await.is_err() {
                tracing::error!("the private broker cannot be ended");
            }
        }
    }
}

impl Process {
    /// Spawns from a thread that stays until the end: the death signal of the child follows that thread.
    async fn spawn(mut command: Command, kept: bool) -> io::Result<Self> {
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

    fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none()
            && let Err(error) = kill_process(self.id, signal)
        {
            tracing::warn!(%error, "cannot signal the private broker");
        }
    }

    /// Waits for the ports file, or for an early end.
    async fn ports(&self, runtime: &Path, folder: &Path) -> Result<Ports, Failure> {
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

/// The folder, and a runtime folder with the configuration; gives the server's arguments.
fn prepare(folder: &Path, password: &str, kept: bool) -> io::Result<(TempDir, Vec<PathBuf>)> {
    DirBuilder::new().recursive(true).mode(OWNER_ALONE).create(folder)?;
    let owner_alone = Permissions::from_mode(OWNER_ALONE);
    let mut runtime = tempfile::Builder::new();
    let runtime = runtime.prefix(RUNTIME).permissions(owner_alone).tempdir_in(folder)?;
    let text = |path: &Path| {
        let path = path.to_str().ok_or_else(|| io::Error::other("the path is not UTF-8"))?;
        serde_json::to_string(path).map_err(io::Error::other)
    };
    let store = std::path::absolute(folder)?.join("jetstream");
    let sync = if kept { ", sync_interval: always" } else { "" };
    let config = format!(
        "listen: \"127.0.0.1:-1\"\n\
         http: \"127.0.0.1:-1\"\n\
         ports_file_dir: {}\n\
         authorization {{ user: {USER}, password: \"{password}\" }}\n\
         jetstream {{ store_dir: {}, max_file_store: {STREAMS_BYTES_MAX}{sync} }}\n",
        text(runtime.path())?,
        text(&store)?,
    );
    let path = runtime.path().join("nats.conf");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(READ_BY_OWNER).open(&path)?;
    file.write_all(config.as_bytes())?;
    Ok((runtime, vec![PathBuf::from("--config"), path]))
}

/// Removes what servers left whose parents were killed: whoever runs here now has the lock of the folder.
fn clear_runtimes(folder: &Path, own: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let runtime = entry.file_name().to_string_lossy().starts_with(RUNTIME);
        // By name: one of the paths may be relative.
        let old = runtime && Some(entry.file_name().as_os_str()) != own.file_name();
        if old && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "a former broker's configuration stays behind");
        }
    }
}

fn guarded(guard: &Path, folder: &Path, server: &Path, args: Vec<PathBuf>) -> Command {
    let mut command = Command::new(guard);
    command.arg(GUARD).arg(std::process::id().to_string()).arg(folder.join("lock"));
    command.arg(server).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    // Appended to: until the guard has the lock, the log is another server's.
    let log = OpenOptions::new().append(true).create(true).open(folder.join(LOG));
    command.stderr(log.map_or_else(|_| Stdio::null(), Stdio::from));
    // Out of the terminal's group: Ctrl-C is for the parent, which still needs its broker to hand work back.
    command.process_group(0);
    command
}

fn read_ports(runtime: &Path, suffix: &str) -> Option<Ports> {
    let mut entries = fs::read_dir(runtime).ok()?.flatten();
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(suffix))?;
    serde_json::from_slice(&fs::read(file.path()).ok()?).ok()
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    let text = format!(
        "No broker can be started in {}. Choose another folder with --data or nats.data.",
        folder.display()
    );
    Failure::permanent("private-broker", text).with_detail(error)
}

fn held(folder: &Path) -> Failure {
    let text = format!(
        "Another `jetreel dev` runs with the folder {}. End it first, or choose another folder with --data.",
        folder.display()
    );
    Failure::permanent("private-broker-in-use", text)
}

fn failed(folder: &Path, why: &str) -> Failure {
    let log = fs::read(folder.join(LOG)).unwrap_or_default();
    let tail =
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned();
    let text = format!("The private broker does not run: {why}.");
    Failure::dependency("private-broker", text).with_detail(tail)
}
