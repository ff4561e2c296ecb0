//! Preparation of a private nats-server: folder, configuration and address.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jetreel_domain::words::failure::Failure;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::locate::locate;
use super::process::{Process, failed, guarded};

const USER: &str = "jetreel";
/// Prefix of the folders in the data folder that hold the configuration, which contains a password.
const RUNTIME: &str = "run-";
const OWNER_ALONE: u32 = 0o700;
const READ_BY_OWNER: u32 = 0o600;
/// Space in bytes that streams may use on any disk. The declared streams reserve about 4 GiB, although they are nearly empty on a private
/// node, and by default the server refuses streams that could exceed three quarters of the free disk.
const STREAMS_BYTES_MIN: u64 = 16 << 30;
/// Loopback address with a port that the server chooses.
const ANY: &str = "127.0.0.1:-1";

/// Options of a private server.
#[derive(Debug, Clone)]
pub struct PrivateOptions {
    /// Folder of store, log and lock. Created if missing.
    pub folder: PathBuf,
    /// The server program, if it is configured.
    pub server: Option<PathBuf>,
    /// The `jetreel` executable that acts as the guard. `None` for this one.
    pub guard: Option<PathBuf>,
    /// Whether the data are needed after the end. If so, the server syncs every write and is stopped gracefully.
    pub kept: bool,
}

impl PrivateOptions {
    /// A server that keeps its data in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), server: None, guard: None, kept: true }
    }
}

/// Host and port of a running server.
#[derive(Debug, Clone)]
pub(super) struct Listening {
    /// Address for clients.
    pub(super) nats: String,
    /// Address for `/varz` and others.
    pub(super) monitor: String,
}

/// How a server is started and restarted.
pub(super) struct Launch {
    /// Folder of store, log and lock.
    pub(super) folder: PathBuf,
    kept: bool,
    server: PathBuf,
    guard: PathBuf,
    password: String,
    // Configuration and ports files. Readable only by this user.
    runtime: TempDir,
}

impl Launch {
    /// Finds the program and creates the folders.
    pub(super) async fn prepare(options: &PrivateOptions) -> Result<Self, Failure> {
        let server = locate(options.server.as_deref()).await?;
        let folder = options.folder.clone();
        let unusable = |error| unusable(&folder, &error);
        let guard = match &options.guard {
            Some(guard) => guard.clone(),
            None => std::env::current_exe().map_err(unusable)?,
        };
        let runtime = prepare(&folder).map_err(unusable)?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        Ok(Self { folder, kept: options.kept, server, guard, password, runtime })
    }

    /// Starts a server and waits until it accepts connections. It listens on a free port, or where the previous one listened.
    pub(super) async fn run(
        &self,
        before: Option<&Listening>,
    ) -> Result<(Process, Listening), Failure> {
        let config = self.configure(before).map_err(|error| unusable(&self.folder, &error))?;
        let args = vec![PathBuf::from("--config"), config];
        let command = guarded(&self.guard, &self.folder, &self.server, args);
        let process = Process::spawn(command, self.kept).await;
        let process = process.map_err(|error| unusable(&self.folder, &error))?;
        let ports = process.ports(self.runtime.path(), &self.folder).await?;
        let [Some(nats), Some(monitor)] = [ports.nats.first(), ports.monitoring.first()] else {
            return Err(failed(&self.folder, "it wrote no ports file"));
        };
        clear_runtimes(&self.folder, self.runtime.path());
        let bare = |url: &str| url.rsplit_once('/').map_or(url, |(_, bare)| bare).to_owned();
        let listening = Listening { nats: bare(nats), monitor: bare(monitor) };
        if TcpStream::connect(&listening.nats).await.is_err() {
            return Err(failed(&self.folder, "it does not take connections"));
        }
        Ok((process, listening))
    }

    /// Server address, with user and password.
    pub(super) fn url(&self, listening: &Listening) -> String {
        format!("nats://{USER}:{}@{}", self.password, listening.nats)
    }

    fn configure(&self, before: Option<&Listening>) -> io::Result<PathBuf> {
        let text = |path: &Path| {
            let path = path.to_str().ok_or_else(|| io::Error::other("the path is not UTF-8"))?;
            serde_json::to_string(path).map_err(io::Error::other)
        };
        let store = std::path::absolute(&self.folder)?.join("jetstream");
        let sync = if self.kept { ", sync_interval: always" } else { "" };
        let (listen, http) =
            before.map_or((ANY, ANY), |before| (before.nats.as_str(), before.monitor.as_str()));
        let config = format!(
            "listen: \"{listen}\"\n\
             http: \"{http}\"\n\
             ports_file_dir: {}\n\
             authorization {{ user: {USER}, password: \"{}\" }}\n\
             jetstream {{ store_dir: {}, max_file_store: {}{sync} }}\n",
            text(self.runtime.path())?,
            self.password,
            text(&store)?,
            streams_bytes(&self.folder)?,
        );
        let path = self.runtime.path().join("nats.conf");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(READ_BY_OWNER);
        options.open(&path)?.write_all(config.as_bytes())?;
        Ok(path)
    }
}

/// Space in bytes that streams may use: most of the folder's disk, and enough for what they reserve on a small one.
fn streams_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(streams_bytes_of(disk.f_frsize.saturating_mul(disk.f_blocks)))
}

fn streams_bytes_of(disk: u64) -> u64 {
    (disk / 4 * 3).max(STREAMS_BYTES_MIN)
}

/// The folder, with a new runtime folder in it.
fn prepare(folder: &Path) -> io::Result<TempDir> {
    DirBuilder::new().recursive(true).mode(OWNER_ALONE).create(folder)?;
    let owner_alone = Permissions::from_mode(OWNER_ALONE);
    let mut runtime = tempfile::Builder::new();
    runtime.prefix(RUNTIME).permissions(owner_alone).tempdir_in(folder)
}

/// Removes the runtime folders of servers whose parents were killed. The running server has the lock of the folder.
fn clear_runtimes(folder: &Path, own: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let runtime = entry.file_name().to_string_lossy().starts_with(RUNTIME);
        // Compared by name, because one of the paths may be relative.
        let old = runtime && Some(entry.file_name().as_os_str()) != own.file_name();
        if old && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "the configuration of a former broker could not be removed");
        }
    }
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    let text = format!(
        "No broker can be started in {}. Choose another folder with --data or nats.data.",
        folder.display()
    );
    Failure::permanent("private-broker", text).with_detail(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_may_use_three_quarters_of_a_large_disk_and_what_they_reserve_on_a_small_one() {
        assert_eq!(streams_bytes_of(4 << 40), 3 << 40);
        assert_eq!(streams_bytes_of(1 << 30), STREAMS_BYTES_MIN);
    }
}
