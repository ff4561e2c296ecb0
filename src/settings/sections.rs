//! The sections of the settings, typed.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use jetreel_domain::delivery::intake::SourcePrefixes;
use jetreel_domain::words::redact::redact;
use serde::{Deserialize, Deserializer};

use super::listen::listen_address;
use super::roles::Roles;
use crate::sandbox::Confinement;
use crate::store::StoreOptions;

/// An empty text means "not set".
fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
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

/// A text with a form of its own.
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
    /// Servers, comma-separated; `None` asks for a private one.
    #[serde(deserialize_with = "optional")]
    pub url: Option<String>,
    /// Credentials file.
    #[serde(deserialize_with = "optional")]
    pub credentials: Option<PathBuf>,
    /// The nats-server program.
    #[serde(deserialize_with = "optional")]
    pub server: Option<PathBuf>,
    /// Where a private server keeps its streams.
    pub data: PathBuf,
    /// Copies of streams and buckets.
    pub replicas: u32,
    /// A `streams.toml` of the operator's own.
    #[serde(deserialize_with = "optional")]
    pub streams: Option<PathBuf>,
    /// Make anew what is missing of the streams on a broker that has others.
    pub recreate: bool,
    /// Monitoring address of a server.
    #[serde(deserialize_with = "optional")]
    pub monitor: Option<String>,
    /// Not ready as long as a power cut could take what the broker confirmed.
    pub require_sync: bool,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without passwords: settings end up in logs.
        f.debug_struct("Nats")
            .field("url", &self.url.as_deref().map(redact))
            .field("replicas", &self.replicas)
            .field("require_sync", &self.require_sync)
            .finish_non_exhaustive()
    }
}

/// Which kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// A folder.
    Fs,
    /// S3 or what speaks like it.
    S3,
}

/// `[store]`: objects. An empty text means "not given".
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    /// Which kind.
    pub scheme: Scheme,
    /// Folder or key prefix.
    pub root: String,
    /// S3 bucket.
    pub bucket: String,
    /// S3 endpoint.
    pub endpoint: String,
    /// S3 region.
    pub region: String,
    /// S3 key id.
    pub access_key: String,
    /// S3 secret.
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
        // Without the keys: settings end up in logs.
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
    /// Where it listens.
    #[serde(deserialize_with = "listening")]
    pub listen: SocketAddr,
    /// Where metrics and health are served alone.
    #[serde(deserialize_with = "perhaps_listening")]
    pub admin_listen: Option<SocketAddr>,
    /// Bytes of a stored part of an upload.
    pub part_bytes: usize,
    /// Names under which browsers reach it, beside addresses.
    #[serde(deserialize_with = "parsed")]
    pub public_names: Names,
    /// Connections at the same time; 0: as many as fit.
    pub connections_max: usize,
    /// Seconds that the head of a request may take.
    pub head_seconds: u64,
    /// Seconds that a connection may be idle between two requests.
    pub keep_alive_seconds: u64,
    /// Seconds without a byte of an upload.
    pub body_idle_seconds: u64,
    /// Bytes of an upload that earn another second.
    pub body_rate_min: u32,
    /// Seconds without a byte of an answer being taken.
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

/// `[hook]`: who is called about dead letters.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hook {
    /// Where to; `None`: nobody is called.
    #[serde(deserialize_with = "optional")]
    pub url: Option<reqwest::Url>,
    /// Value of the header `Authorization`.
    #[serde(deserialize_with = "optional")]
    pub authorization: Option<String>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of it: settings end up in logs, and the address may be a secret by itself.
        f.debug_struct("Hook").field("is_set", &self.url.is_some()).finish_non_exhaustive()
    }
}

/// `[node]`: this node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// Name in claims and logs.
    #[serde(deserialize_with = "optional")]
    pub name: Option<String>,
    /// What it does.
    #[serde(deserialize_with = "parsed")]
    pub roles: Roles,
    /// Tasks at the same time; 0 is one per core.
    pub slots: usize,
    /// Slots that only tasks of the lane `high` take.
    pub reserved_high: usize,
    /// Threads of one picture task that work at once; 0: as many as slots.
    pub task_threads: usize,
    /// Seconds to finish what is in hand when told to stop.
    pub drain_seconds: u64,
    /// A file whose appearance is notice to drain.
    #[serde(deserialize_with = "optional")]
    pub drain_file: Option<PathBuf>,
    /// A command whose success is notice to drain.
    #[serde(deserialize_with = "optional")]
    pub drain_command: Option<String>,
    /// Seconds between two looks for such notice.
    pub drain_poll_seconds: u64,
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

    /// Threads of one picture task that work at once.
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
    /// The program.
    #[serde(deserialize_with = "optional")]
    pub path: Option<PathBuf>,
    /// A process that is confined worse gets no work.
    #[serde(deserialize_with = "parsed")]
    pub confinement: Confinement,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One object a line.
    Json,
    /// For people.
    Pretty,
}

/// `[log]`: log lines.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// As in `RUST_LOG`.
    pub filter: String,
    /// How they look.
    pub format: LogFormat,
}
