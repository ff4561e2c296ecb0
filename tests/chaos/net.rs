//! A network of network namespaces: each process has its own place with a cable to a common bridge.
//!
//! The whole campaign runs in its own namespaces, so nothing is left behind and no packet leaves the machine.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context as _;

use super::tools::{is_root, need, run};

/// Environment variable of the second run of this program, which is in its own namespaces.
const INSIDE: &str = "JETREEL_CHAOS_INSIDE";
const BRIDGE: &str = "reel0";
const BRIDGE_ADDRESS: &str = "10.77.255.254/16";

/// Starts this program again within its own network, mount and process namespaces, if allowed. Returns if it is not, or in that second run.
/// Every process, mount and cable ends with the second run.
pub(crate) fn enter() {
    const NAMESPACES: [&str; 6] =
        ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let allowed = || {
        let mut tried = Command::new("unshare");
        tried
            .args(NAMESPACES)
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if std::env::var_os(INSIDE).is_some() || !is_root() || !allowed() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = Command::new("unshare");
    again.args(NAMESPACES).arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    // Returns only on failure. Then the campaign runs without namespaces.
    drop(again.exec());
}

/// Whether there can be places; else why not.
pub(crate) fn available() -> Result<(), String> {
    static SWITCHED_ON: OnceLock<Result<(), String>> = OnceLock::new();
    SWITCHED_ON.get_or_init(switch_on).clone()
}

/// The loopback of namespaces of our own is off at first; the bridge joins the places.
fn switch_on() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_none() {
        return Err("no network namespace of our own (needs root)".to_owned());
    }
    need(&["ip", "nsenter", "unshare"])?;
    let on = || -> anyhow::Result<()> {
        run("ip", &["link", "set", "lo", "up"])?;
        run("ip", &["link", "add", BRIDGE, "type", "bridge"])?;
        run("ip", &["address", "add", BRIDGE_ADDRESS, "dev", BRIDGE])?;
        run("ip", &["link", "set", BRIDGE, "up"])?;
        Ok(())
    };
    on().map_err(|error| format!("{error:#}"))
}

/// A network namespace with an address, kept by a process that sleeps in it.
pub(crate) struct Place {
    holder: Child,
    cable: String,
    address: Ipv4Addr,
}

impl Place {
    /// A new one, plugged in.
    pub(crate) fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [high, low] = number.to_be_bytes();
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let holder = holder.spawn().context("no namespace")?;
        let (cable, address) = (format!("cable{number}"), Ipv4Addr::new(10, 77, high, low));
        let place = Self { holder, cable, address };
        let theirs = format!("/proc/{}/ns/net", place.holder.id());
        // The holder is in its own namespace a moment after it was started.
        let since = std::time::Instant::now();
        while std::fs::read_link(&theirs).ok().is_none_or(|theirs| theirs == ours) {
            anyhow::ensure!(since.elapsed().as_secs() < 10, "no namespace came up");
            std::thread::yield_now();
        }
        place.plug(&holder_id(&place.holder))?;
        Ok(place)
    }

    fn plug(&self, holder: &str) -> anyhow::Result<()> {
        let cable = self.cable.as_str();
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", holder];
        run("ip", &[&["link", "add", cable], &peer[..]].concat())?;
        run("ip", &["link", "set", cable, "master", BRIDGE, "up"])?;
        self.ip(&["address", "add", &format!("{}/16", self.address), "dev", "eth0"])?;
        self.ip(&["link", "set", "eth0", "up"])?;
        self.ip(&["link", "set", "lo", "up"])
    }

    /// Its address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs in it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--").arg(program);
        command
    }

    /// Pulls the cable out, or puts it in again.
    pub(crate) fn unplug(&self, out: bool) -> anyhow::Result<()> {
        let cable = self.cable.as_str();
        let arguments = if out { vec!["nomaster"] } else { vec!["master", BRIDGE] };
        run("ip", &[&["link", "set", cable], arguments.as_slice()].concat()).map(drop)
    }

    /// Loses everything that is sent from here to `other`, or no longer. The other way it gets through.
    pub(crate) fn lose(&self, other: &Self, lost: bool) -> anyhow::Result<()> {
        let verb = if lost { "replace" } else { "delete" };
        self.ip(&["route", verb, "blackhole", &format!("{}/32", other.address)])
    }

    fn ip(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command("ip");
        command.args(arguments).stdin(Stdio::null());
        super::tools::run_command(command).map(drop)
    }
}

fn holder_id(holder: &Child) -> String {
    holder.id().to_string()
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
