//! The connection to the broker: opened, watched and closed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, jetstream};
use futures::future::join_all;
use jetreel_domain::words::failure::Failure;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::hint::Hints;
use super::inbox::Inboxes;
use super::patience::Patience;
use super::suspicion::Suspicion;
use super::version::Version;

/// A dead peer is noticed after two pings, well within a lease.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Time that a close waits for pending writes.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long the names of the servers are looked for: that of a container is known only once it runs.
const NAME_WAIT: Duration = Duration::from_millis(2500);
const NAME_PAUSE: Duration = Duration::from_millis(250);

/// Options of a connection.
#[derive(Clone)]
pub struct BusOptions {
    /// Server addresses, separated by commas. With a password: `nats://user:password@host:port`.
    pub url: String,
    /// Credentials file of the broker's user.
    pub credentials: Option<PathBuf>,
    /// Name of this connection in the server's lists.
    pub name: String,
    /// Time limit of the first connection.
    pub connect_wait: Duration,
}

impl fmt::Debug for BusOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = redacted(&self.url);
        f.debug_struct("BusOptions")
            .field("url", &url)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl BusOptions {
    /// A connection to `url`, named `name`, without credentials.
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: None,
            name: name.into(),
            connect_wait: Duration::from_secs(10),
        }
    }
}

/// Receivers of connection events.
#[derive(Clone)]
struct OnEvent {
    closing: watch::Sender<bool>,
    breaking: watch::Sender<u64>,
    suspicion: Arc<Suspicion>,
}

impl OnEvent {
    fn hear(&self, event: &Event) {
        note(event);
        match event {
            Event::Closed => _ = self.closing.send_replace(true),
            Event::Disconnected => {
                self.breaking.send_modify(|count| *count += 1);
                self.suspicion.garbled();
            }
            Event::Connected
            | Event::Draining
            | Event::LameDuckMode
            | Event::SlowConsumer(_)
            | Event::ServerError(_)
            | Event::ClientError(_) => {}
        }
    }
}

/// The connection to the broker. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Bus {
    pub(super) client: Client,
    pub(super) context: jetstream::Context,
    pub(super) hints: Hints,
    pub(super) inboxes: Inboxes,
    pub(super) suspicion: Arc<Suspicion>,
    /// Number of times that the connection broke.
    pub(super) breaks: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
}

impl Bus {
    /// Connects and checks the server's version.
    ///
    /// # Errors
    /// A dependency fault if the server cannot be reached in time. A permanent failure if it is too old or the credentials cannot be read.
    pub async fn connect(options: &BusOptions) -> Result<Arc<Self>, Failure> {
        if let Some(address) = unparsable(&options.url) {
            let text =
                format!("The address {address:?} is not one of a broker. Use nats://host:4222.");
            return Err(Failure::dependency("broker-unreachable", text));
        }
        let ((closing, closed), (breaking, breaks)) = (watch::channel(false), watch::channel(0));
        let suspicion = Arc::new(Suspicion::default());
        let on_event = OnEvent { closing, breaking, suspicion: suspicion.clone() };
        let client = tokio::select! {
            client = connected(options, &on_event) => client?,
            names = unknown_for(NAME_WAIT, &options.url) => return Err(unreachable(&options.url, &names)),
        };
        let server = client.server_info();
        Version::check(&server.version).map_err(|old| {
            Failure::permanent("broker-too-old", format!("The broker cannot be used: {old}."))
                .with_detail(redacted(&options.url))
        })?;
        let hints = Hints::subscribe(&client).await.map_err(|e| e.failure("subscribe to hints"))?;
        let context = jetstream::new(client.clone());
        let inboxes = Inboxes::new(&client);
        Ok(Arc::new(Self { client, context, hints, inboxes, suspicion, breaks, closed }))
    }

    /// Version of the connected server.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Largest message of the connected server in bytes, headers included.
    #[must_use]
    pub fn max_payload(&self) -> u64 {
        self.client.server_info().max_payload as u64
    }

    /// Flushes pending writes and closes the connection. Deliveries in hand must be settled before.
    pub async fn close(&self) {
        if self.client.drain().await.is_err() {
            return;
        }
        let mut closed = self.closed.clone();
        let ended = tokio::time::timeout(CLOSE_WAIT, closed.wait_for(|closed| *closed)).await;
        if ended.is_err() {
            tracing::warn!("connection to the broker did not close in time");
        }
    }
}

fn addresses(url: &str) -> Vec<String> {
    url.split(',').map(|address| address.trim().to_owned()).filter(|a| !a.is_empty()).collect()
}

/// The first address that cannot be parsed, without its password.
fn unparsable(url: &str) -> Option<String> {
    let bad = |address: &&String| address.parse::<ServerAddr>().is_err();
    let addresses = bare(url);
    if addresses.is_empty() {
        return Some(redacted(url));
    }
    addresses.iter().find(bad).cloned()
}

/// A connection, as soon as one stands.
async fn connected(options: &BusOptions, on_event: &OnEvent) -> Result<Client, Failure> {
    let mut warned = false;
    let mut patience = Patience::new(options.connect_wait);
    loop {
        let attempt = connect_options(options, on_event.clone()).await?;
        match attempt.connect(bare(&options.url)).await {
            Ok(client) => return Ok(client),
            Err(error) if !patience.pause().await => {
                let (names, _) = unknown(&options.url, NAME_WAIT).await;
                return Err(unreachable(&options.url, &names).with_detail(error));
            }
            // Logged once; the failure at the end repeats it.
            Err(error) if !std::mem::replace(&mut warned, true) => {
                tracing::warn!(url = redacted(&options.url), %error, "the broker cannot be reached yet");
            }
            Err(error) => tracing::debug!(%error, "the broker cannot be reached yet"),
        }
    }
}

/// The names of all servers, once none of them could be found for that long. Pending for good where one is found: a server that does not
/// answer may come, a name that nobody knows is a mistake.
async fn unknown_for(wait: Duration, url: &str) -> Vec<String> {
    let until = Instant::now() + wait;
    loop {
        let (names, all) = unknown(url, wait).await;
        if !all {
            return std::future::pending().await;
        }
        if Instant::now() >= until {
            return names;
        }
        tokio::time::sleep(NAME_PAUSE.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

/// Names that cannot be found within that time, and whether they are those of all servers.
async fn unknown(url: &str, wait: Duration) -> (Vec<String>, bool) {
    let addresses = bare(url);
    let servers: Vec<ServerAddr> = addresses.iter().filter_map(|it| it.parse().ok()).collect();
    let lookups = servers.iter().map(async |server| {
        let found = timeout(wait, lookup_host((server.host(), server.port()))).await;
        // A look-up that takes long may still find it.
        if matches!(found, Ok(Err(_))) { Some(server.host().to_owned()) } else { None }
    });
    let names: Vec<String> = join_all(lookups).await.into_iter().flatten().collect();
    let all = names.len() == servers.len();
    (names, all)
}

fn unreachable(url: &str, unknown: &[String]) -> Failure {
    let (addresses, names) = (redacted(url), unknown.join(", "));
    let text = if names.is_empty() {
        format!("No broker answers at {addresses}. Check nats.url, and whether it runs.")
    } else {
        format!(
            "No broker answers at {addresses}: the name {names} cannot be found. Check nats.url."
        )
    };
    Failure::dependency("broker-unreachable", text)
}

/// The addresses without user and password, because the client library logs them.
fn bare(url: &str) -> Vec<String> {
    let without_user =
        |address: &String| match (address.split_once("://"), address.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            (None, Some((_, host))) => host.to_owned(),
            (Some(_) | None, None) => address.clone(),
        };
    addresses(url).iter().map(without_user).collect()
}

/// The addresses without passwords as one text, for messages and logs.
fn redacted(url: &str) -> String {
    bare(url).join(",")
}

async fn connect_options(
    options: &BusOptions,
    on_event: OnEvent,
) -> Result<ConnectOptions, Failure> {
    let connect = match &options.credentials {
        None => ConnectOptions::new(),
        Some(path) => ConnectOptions::with_credentials_file(path).await.map_err(|error| {
            let text = format!("The broker credentials {} cannot be read.", path.display());
            Failure::permanent("broker-credentials", text).with_detail(error)
        })?,
    };
    let connect = match user(&options.url) {
        Some((user, password)) => connect.user_and_password(user, password),
        None => connect,
    };
    Ok(connect.name(&options.name).ping_interval(PING_INTERVAL).event_callback(move |event| {
        on_event.hear(&event);
        std::future::ready(())
    }))
}

/// User and password of the first address that has them. The client library does not read them from addresses.
fn user(url: &str) -> Option<(String, String)> {
    addresses(url).iter().find_map(|address| {
        let address: ServerAddr = address.parse().ok()?;
        Some((address.username()?.to_owned(), address.password()?.to_owned()))
    })
}

fn note(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the broker"),
        Event::Draining | Event::Closed => tracing::debug!(%event, "broker connection"),
        Event::Disconnected
        | Event::LameDuckMode
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => tracing::warn!(%event, "broker connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::patience::LONGEST_PAUSE;
    use super::*;

    #[test]
    fn user_and_password_are_found_in_an_address() {
        let pair = Some(("u".to_owned(), "p".to_owned()));
        assert_eq!(user("nats://a:1,nats://u:p@b:2"), pair);
        assert_eq!(user("a:4222"), None);
    }

    #[tokio::test]
    async fn an_address_that_is_none_and_a_name_that_nobody_has_are_told() {
        let at = async |url: &str| {
            let mut options = BusOptions::new(url, "x");
            options.connect_wait = Duration::from_millis(50);
            Bus::connect(&options).await.unwrap_err()
        };
        let bad = at("nats://user:secret@a b").await;
        assert!(bad.message.contains("nats://host:4222") && !bad.message.contains("secret"));
        let unknown = at("nowhere.invalid").await;
        assert!(unknown.message.contains("nowhere.invalid cannot be found"), "{unknown}");
        assert!([bad, unknown].iter().all(|failure| failure.code == "broker-unreachable"));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_told_soon() {
        let begun = Instant::now();
        let options = BusOptions::new("nats://nowhere.invalid:4222", "x");
        let unknown = Bus::connect(&options).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert!(unknown.message.contains("nowhere.invalid cannot be found"), "{unknown}");
        // A server that may still come is awaited.
        let mut options = BusOptions::new("nats://nowhere.invalid:4222,127.0.0.1:1", "x");
        options.connect_wait = NAME_WAIT + LONGEST_PAUSE + Duration::from_millis(100);
        let begun = Instant::now();
        assert!(Bus::connect(&options).await.is_err());
        assert!(begun.elapsed() > NAME_WAIT, "{:?}", begun.elapsed());
    }

    #[test]
    fn no_password_is_told() {
        let told = redacted("nats://user:secret@a:4222, b:4222,user:pw@c");
        assert_eq!(told, "nats://a:4222,b:4222,c");
        let options = BusOptions::new("nats://user:secret@a:4222", "x");
        assert!(!format!("{options:?}").contains("secret"));
    }
}
