//! What the scaler of a node works with, from the settings.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jetreel_actors::ports::ScaleHook;
use jetreel_actors::scale::{Args, LocalArgs};
use jetreel_domain::scale::demand::Demand;
use tokio::sync::watch;

use super::Services;
use crate::hook::{CommandHook, HttpHook, UrlHook};
use crate::locals::{LocalOptions, LocalProcesses, ROLES};
use crate::machine;
use crate::settings::{Role, Settings, Target};

/// Time after its grace in which a local node may still end by itself.
const LIMIT_SLACK: Duration = Duration::from_secs(10);
/// Seconds that a local node has less than its parent to drain, so that it ends within its parent's grace.
const EARLIER: u64 = 7;

/// The arguments of the scaler, and of what sizes the slots of this node.
///
/// # Errors
/// The hook cannot be called, or this program cannot be found.
pub(super) fn args(
    settings: &Settings,
    services: &Services,
    demand: watch::Sender<Option<Demand>>,
) -> anyhow::Result<Args> {
    let scaler = &settings.scaler;
    let decides = settings.node.roles.has(Role::Scaler);
    Ok(Args {
        decides,
        policy: scaler.policy(),
        demand,
        wishes: services.bus.clone(),
        hook: hook(settings, decides)
            .context("the hook of the scaler cannot be called: see [scaler]")?,
        locals: if decides { locals(settings)? } else { None },
        room: scaler.size_slots.then(machine::room),
    })
}

fn hook(settings: &Settings, decides: bool) -> anyhow::Result<Option<Arc<dyn ScaleHook>>> {
    let scaler = &settings.scaler;
    let timeout = Duration::from_secs(scaler.hook_seconds);
    Ok(match scaler.hook.clone().filter(|_| decides) {
        None => None,
        Some(Target::Command(line)) => Some(Arc::new(CommandHook::new(line, timeout))),
        Some(Target::Url(url)) => {
            let http = HttpHook::new(url, scaler.hook_authorization.as_deref(), timeout)?;
            Some(Arc::new(UrlHook::new(http)))
        }
    })
}

fn locals(settings: &Settings) -> anyhow::Result<Option<LocalArgs>> {
    let local = &settings.scaler.local;
    let Some(bounds) = local.bounds() else { return Ok(None) };
    let Some(broker) = settings.nats.url.clone() else { return Ok(None) };
    let drain = settings.node.drain_seconds.saturating_sub(EARLIER).max(1);
    // Another port of the same address, chosen by the system.
    let admin = settings.http.admin_listen.map(|address| format!("{}:0", host(address)));
    let own = [
        ("node.roles", ROLES.to_owned()),
        ("node.drain-seconds", drain.to_string()),
        ("http.admin-listen", admin.unwrap_or_default()),
        ("store.root", settings.store.root.clone()),
    ];
    let arguments = settings.arguments.chunks(2).filter(|words| !names_broker(words));
    let options = LocalOptions {
        program: std::env::current_exe().context("this program cannot be found")?,
        arguments: arguments.flatten().cloned().collect(),
        broker,
        own: own.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        node: settings.node.name_here(),
        folder: local.folder.clone(),
    };
    Ok(Some(LocalArgs {
        bounds,
        limit: Duration::from_secs(drain) + LIMIT_SLACK,
        nodes: Arc::new(LocalProcesses::new(options)),
    }))
}

fn host(address: std::net::SocketAddr) -> String {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Whether these arguments set the address of the broker, which the environment holds for local nodes.
fn names_broker(words: &[std::ffi::OsString]) -> bool {
    words.last().is_some_and(|value| value.to_string_lossy().starts_with("nats.url="))
}
