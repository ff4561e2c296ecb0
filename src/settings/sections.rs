//! The sections of the settings, typed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use jetreel_domain::delivery::intake::SourcePrefixes;
use jetreel_domain::id::{BadId, Group};
use jetreel_domain::words::redact::redact;
use serde::{Deserialize, Deserializer};

use super::listen::listen_address;
use super::roles::Roles;
use crate::sandbox::Confinement;
use crate::store::StoreOptions;

/// Deserialises a text. An empty text means `None`.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Deserialises a text through its type's parser.
fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn listening<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    listen_address(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn perhaps_listening<'de, D>(deserializer: D) -> Result<Option<SocketAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let address = (!text.is_empty()).then(|| listen_address(&text));
    address.transpose().map_err(serde::de::Error::custom)
}

/// `[nats]`: coordination.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Nats {
    /// Server addresses, separated by commas. `None` for a private server.
    #[serde(deserialize_with = "optional")]
    pub url: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub credentials: Option<PathBuf>,
    #[serde(deserialize_with = "optional")]
    pub server: Option<PathBuf>,
    /// Data folder of a private server.
    pub data: PathBuf,
    /// Replicas of streams and buckets.
    pub replicas: u32,
    /// The operator's own `streams.toml`.
    #[serde(deserialize_with = "optional")]
    pub streams: Option<PathBuf>,
    /// Whether missing streams are created anew on a broker that has others.
    pub recreate: bool,
    /// Address of a server's monitoring port.
    #[serde(deserialize_with = "optional")]
    pub monitor: Option<String>,
    /// Whether the node is not ready while a power failure could lose confirmed writes.
    pub require_sync: bool,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL, which may contain a password: settings are logged.
        f.debug_struct("Nats")
            .field("url", &self.url.as_deref().map(redact))
            .field("replicas", &self.replicas)
            .field("require_sync", &self.require_sync)
            .finish_non_exhaustive()
    }
}

/// Kind of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// A folder.
    Fs,
    /// S3, or a service with its protocol.
    S3,
}

/// `[store]`: objects. An empty text means that the option is not set.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    pub scheme: Scheme,
    /// Path of the folder, or key prefix in the bucket.
    pub root: String,
    pub bucket: String,
    pub endpoint: String,
    pub region: String,
    /// S3 access key id.
    pub access_key: String,
    /// S3 secret access key.
    pub secret_key: String,
    /// Key prefixes below which a message may name a source.
    #[serde(deserialize_with = "parsed")]
    pub sources: SourcePrefixes,
}

impl From<&Store> for StoreOptions {
    fn from(store: &Store) -> Self {
        let mut options = match store.scheme {
            Scheme::Fs => Self::fs(store.root.clone()),
            Scheme::S3 => Self::s3(store.bucket.clone()),
        };
        options.root.clone_from(&store.root);
        options.endpoint.clone_from(&store.endpoint);
        options.region.clone_from(&store.region);
        options.access_key.clone_from(&store.access_key);
        options.secret_key.clone_from(&store.secret_key);
        options
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the keys: settings are logged.
        f.debug_struct("Store")
            .field("scheme", &self.scheme)
            .field("root", &self.root)
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// `[http]`: the gateway.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// Address of the gateway.
    #[serde(deserialize_with = "listening")]
    pub listen: SocketAddr,
    /// A second address for metrics and health checks. `None`: they are on `listen`.
    #[serde(deserialize_with = "perhaps_listening")]
    pub admin_listen: Option<SocketAddr>,
    /// Size of a stored part of an upload in bytes.
    pub part_bytes: usize,
    /// Host names under which browsers reach the gateway, besides IP addresses.
    #[serde(deserialize_with = "parsed")]
    pub public_names: Names,
    /// Most simultaneous connections. 0: as many as the descriptors allow.
    pub connections_max: usize,
    /// Seconds that the head of a request may take.
    pub head_seconds: u64,
    /// Seconds that a connection may be idle between two requests.
    pub keep_alive_seconds: u64,
    /// Seconds without a byte of an upload.
    pub body_idle_seconds: u64,
    /// Bytes of an upload that earn another second.
    pub body_rate_min: u32,
    /// Seconds in which the client takes no byte of an answer.
    pub write_stall_seconds: u64,
}

/// Host names, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names(pub Vec<String>);

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names = names.map(|name| {
            let valid = name.len() <= 253 && name.chars().all(plain);
            let wrong = || format!("{name:?} is no host name; leave out scheme, port and path");
            valid.then(|| name.to_owned()).ok_or_else(wrong)
        });
        names.collect::<Result<_, _>>().map(Self)
    }
}

/// `[hook]`: calls about dead letters.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hook {
    /// URL to call. `None` disables the hook.
    #[serde(deserialize_with = "optional")]
    pub url: Option<reqwest::Url>,
    /// Value of the header `Authorization`.
    #[serde(deserialize_with = "optional")]
    pub authorization: Option<String>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without any value: settings are logged, and the URL itself may be a secret.
        f.debug_struct("Hook").field("is_set", &self.url.is_some()).finish_non_exhaustive()
    }
}

/// `[node]`: this node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// Name in claims and logs. `None`: the host name.
    #[serde(deserialize_with = "optional")]
    pub name: Option<String>,
    #[serde(deserialize_with = "parsed")]
    pub roles: Roles,
    /// Tasks at the same time. 0: one per core.
    pub slots: usize,
    /// Slots that only tasks of the lane `high` take.
    pub reserved_high: usize,
    pub group_slots: GroupSlots,
    /// What this machine has, for groups that need it.
    pub labels: Vec<String>,
    /// Windows in which this node takes tasks. Empty: always.
    pub hours: Vec<String>,
    /// Time zone of `hours`. Empty: that of all hours.
    pub time_zone: String,
    /// Threads of one picture task. 0: as many as slots.
    pub task_threads: usize,
    /// Seconds of grace when the node is stopped.
    pub drain_seconds: u64,
    /// File whose appearance starts a drain.
    #[serde(deserialize_with = "optional")]
    pub drain_file: Option<PathBuf>,
    /// Command whose success starts a drain.
    #[serde(deserialize_with = "optional")]
    pub drain_command: Option<String>,
    /// Seconds between two checks for such a notice.
    pub drain_poll_seconds: u64,
}

/// Most tasks of each group at the same time. 0: as many as slots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, usize>")]
pub struct GroupSlots(pub BTreeMap<Group, usize>);

impl TryFrom<BTreeMap<String, usize>> for GroupSlots {
    type Error = BadId;

    fn try_from(words: BTreeMap<String, usize>) -> Result<Self, BadId> {
        let groups = words.into_iter().map(|(word, slots)| Ok((word.parse()?, slots)));
        groups.collect::<Result<_, _>>().map(Self)
    }
}

impl GroupSlots {
    /// The groups that have a limit.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<Group, usize> {
        self.0
            .iter()
            .filter(|(_, slots)| **slots > 0)
            .map(|(group, slots)| (*group, *slots))
            .collect()
    }
}

impl Node {
    /// Tasks at the same time on this machine.
    #[must_use]
    pub fn slots_here(&self) -> usize {
        if self.slots > 0 {
            return self.slots;
        }
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }

    /// Threads of one picture task on this machine.
    #[must_use]
    pub fn task_threads_here(&self) -> u32 {
        let threads = if self.task_threads > 0 { self.task_threads } else { self.slots_here() };
        u32::try_from(threads).unwrap_or(u32::MAX)
    }

    /// Name in claims and logs.
    #[must_use]
    pub fn name_here(&self) -> String {
        self.name.clone().unwrap_or_else(host_name)
    }
}

/// Name of this machine; `node` where it has none.
#[must_use]
pub fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if host.trim().is_empty() { "node".to_owned() } else { host.trim().to_owned() }
}

/// `[codec]`: codec processes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Codec {
    /// The codec program.
    #[serde(deserialize_with = "optional")]
    pub path: Option<PathBuf>,
    /// Weakest confinement under which a process gets a job.
    #[serde(deserialize_with = "parsed")]
    pub confinement: Confinement,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text for people.
    Pretty,
}

/// `[log]`: log lines.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// Filter as in `RUST_LOG`.
    pub filter: String,
    pub format: LogFormat,
}

/// `[telemetry]`: traces.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Telemetry {
    /// Base URL of a collector.
    #[serde(deserialize_with = "optional")]
    pub otlp_endpoint: Option<reqwest::Url>,
    #[serde(deserialize_with = "optional")]
    pub service_name: Option<String>,
    /// Share of the videos whose trace is recorded, from 0 to 1.
    pub sample_ratio: f64,
}
