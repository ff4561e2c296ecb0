//! A nats-server of a test's own: random port, temporary store, ended with the test.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jetreel::bus::topology::{self, Topology};
use jetreel::bus::{Bus, BusOptions};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::eventually::eventually;

/// A running server.
pub(crate) struct Nats {
    folder: tempfile::TempDir,
    server: Child,
    /// A line of its section `jetstream` that others do not have.
    extra: &'static str,
    /// User and password; `None` if it requires none.
    user: Option<(&'static str, &'static str)>,
    /// Further users, each of whom may publish to one subject and to nothing else.
    publishers: Vec<String>,
    /// Bytes of a message, where it is not the default.
    payload: Option<usize>,
    address: String,
    url: String,
    monitor_url: String,
}

impl Nats {
    /// Starts an empty server.
    pub(crate) async fn start() -> Self {
        Self::start_as("", None, Vec::new()).await
    }

    /// Starts an empty server that syncs every write.
    pub(crate) async fn start_synced() -> Self {
        Self::start_as("sync_interval: always", None, Vec::new()).await
    }

    /// Starts an empty server that takes messages up to a size.
    pub(crate) async fn start_with_payload(bytes: usize) -> Self {
        let mut nats = Self::start().await;
        nats.payload = Some(bytes);
        nats.kill();
        nats.restart().await;
        nats
    }

    /// Starts an empty server that requires a password.
    pub(crate) async fn start_guarded(user: &'static str, password: &'static str) -> Self {
        Self::start_as("", Some((user, password)), Vec::new()).await
    }

    /// Starts an empty server with one user for everything, and one for each subject who may publish there and nowhere else.
    pub(crate) async fn start_with_publishers(subjects: Vec<String>) -> Self {
        Self::start_as("", Some(("all", "all")), subjects).await
    }

    async fn start_as(
        extra: &'static str,
        user: Option<(&'static str, &'static str)>,
        publishers: Vec<String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = spawn(folder.path(), "127.0.0.1:-1", extra, user, &publishers, None);
        let (address, url, monitor_url) = (String::new(), String::new(), String::new());
        let payload = None;
        let mut nats =
            Self { folder, server, extra, user, publishers, payload, address, url, monitor_url };
        nats.wait_for_ports().await;
        nats
    }

    /// Declares every stream as shipped.
    pub(crate) async fn with_streams(self) -> (Self, Arc<Bus>) {
        self.declare(&Topology::parse(topology::DEFAULT).unwrap()).await
    }

    /// Starts a server that has every stream as shipped; gives a connection too.
    pub(crate) async fn start_with_streams() -> (Self, Arc<Bus>) {
        Self::start().await.with_streams().await
    }

    /// Starts a server with other streams.
    pub(crate) async fn start_with(topology: &Topology) -> (Self, Arc<Bus>) {
        Self::start().await.declare(topology).await
    }

    async fn declare(self, topology: &Topology) -> (Self, Arc<Bus>) {
        let bus = self.bus().await;
        topology::apply(&bus, topology, false).await.unwrap();
        (self, bus)
    }

    /// Server address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Address for `/varz`.
    pub(crate) fn monitor_url(&self) -> &str {
        &self.monitor_url
    }

    /// A connection.
    pub(crate) async fn bus(&self) -> Arc<Bus> {
        Bus::connect(&BusOptions::new(self.url(), "test")).await.unwrap()
    }

    /// A plain client, to read what any client could.
    pub(crate) async fn client(&self) -> async_nats::Client {
        let options = match self.user {
            Some((user, password)) => {
                async_nats::ConnectOptions::with_user_and_password(user.into(), password.into())
            }
            None => async_nats::ConnectOptions::new(),
        };
        options.connect(&self.address).await.unwrap()
    }

    /// The client of the user who may publish to the subject with that index.
    pub(crate) async fn publisher(&self, index: usize) -> async_nats::Client {
        let user = format!("publisher-{index}");
        let options = async_nats::ConnectOptions::with_user_and_password(user.clone(), user);
        options.connect(&self.address).await.unwrap()
    }

    /// Ends the server as a power switch would.
    pub(crate) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Stops the server in the middle of whatever it does: its connections stand, and nothing is answered.
    pub(crate) fn freeze(&self) {
        let pid = Pid::from_child(&self.server);
        kill_process(pid, Signal::STOP).unwrap();
        // Its threads stop one after the other.
        let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()));
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.server), Signal::CONT).unwrap();
    }

    /// Starts it again on the same port and store.
    pub(crate) async fn restart(&mut self) {
        std::fs::remove_dir_all(self.ports_folder()).unwrap();
        let (folder, publishers) = (self.folder.path(), &self.publishers);
        let (address, payload) = (&self.address, self.payload);
        self.server = spawn(folder, address, self.extra, self.user, publishers, payload);
        self.wait_for_ports().await;
    }

    fn ports_folder(&self) -> PathBuf {
        self.folder.path().join("ports")
    }

    async fn wait_for_ports(&mut self) {
        let mut ports = None;
        eventually("nats-server listens", || {
            let mut files = std::fs::read_dir(self.ports_folder()).into_iter().flatten().flatten();
            let text = files.next().and_then(|file| std::fs::read(file.path()).ok());
            ports = text.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
            ports.is_some()
        })
        .await;
        let ports = ports.unwrap();
        let first = |kind: &str| ports[kind][0].as_str().unwrap().to_owned();
        self.monitor_url = first("monitoring");
        self.address = first("nats").trim_start_matches("nats://").to_owned();
        self.url = match self.user {
            Some((user, password)) => format!("nats://{user}:{password}@{}", self.address),
            None => first("nats"),
        };
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn spawn(
    folder: &std::path::Path,
    listen: &str,
    extra: &str,
    user: Option<(&str, &str)>,
    publishers: &[String],
    payload: Option<usize>,
) -> Child {
    let ports = folder.join("ports");
    std::fs::create_dir_all(&ports).unwrap();
    let config = format!(
        "listen: \"{listen}\"\nhttp: \"127.0.0.1:-1\"\nports_file_dir: {ports:?}\n\
         {}{}jetstream {{ store_dir: {:?}\nmax_file_store: 16GB\n{extra} }}\n",
        user.map_or_else(String::new, |user| users(user, publishers)),
        payload.map_or_else(String::new, |bytes| format!("max_payload: {bytes}\n")),
        folder.join("store"),
    );
    let path = folder.join("nats.conf");
    std::fs::write(&path, config).unwrap();
    let log = std::fs::File::create(folder.join("nats.log")).unwrap();
    let mut command = Command::new("nats-server");
    command.arg("--config").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("nats-server is on PATH")
}

/// The section about users: one with all rights, and those who may publish to one subject each.
fn users((user, password): (&str, &str), publishers: &[String]) -> String {
    if publishers.is_empty() {
        return format!("authorization {{ user: {user}, password: \"{password}\" }}\n");
    }
    let mut lines = vec![format!("{{ user: \"{user}\", password: \"{password}\" }}")];
    lines.extend(publishers.iter().enumerate().map(|(index, subject)| {
        let user = format!("user: \"publisher-{index}\", password: \"publisher-{index}\"");
        let allowed = format!("publish: [\"{subject}\"], subscribe: [\"_INBOX.>\"]");
        format!("{{ {user}, permissions: {{ {allowed} }} }}")
    }));
    format!("authorization {{ users: [\n{}\n] }}\n", lines.join(",\n"))
}
