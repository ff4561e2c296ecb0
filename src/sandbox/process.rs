//! One child process: spawned or forked without access to anything, limited from outside, killed with its whole group, always reaped.
//!
//! A parent that is killed cannot kill its child. The child then reads the end of its socket and ends. The real codec is also killed with
//! the thread that started it ([`spawner`]).

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jetreel_actors::ports::ProcessBudget;
use jetreel_domain::codec::death::CodecDeath;
use rustix::process::{Pid, Resource, Rlimit};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::signal::unix::{self, SignalKind};
use tokio::task::JoinHandle;

use super::child::Child;
use super::forks::Layout;
use super::{spawner, tail};

/// Niceness of codec processes. The node must keep answering.
const NICENESS: i32 = 5;
/// Score of codec processes: when memory runs out, the kernel kills them first.
const OOM_SCORE: &str = "700";
const OPEN_FILES_MAX: u64 = 64;
/// Time that a process may take to end after it closed its socket.
const EXIT_WAIT: Duration = Duration::from_secs(1);
/// Time that the log pipe may stay open after the group was killed.
const TAIL_WAIT: Duration = Duration::from_secs(1);

/// A process that waits for its job, with its socket.
pub(super) type Idle = (Process, UnixStream);

/// A running or ended child.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Notified whenever a child of this node ends.
    children: unix::Signal,
    log: Option<JoinHandle<String>>,
    cpu: Duration,
    ended: Option<Ended>,
    /// Where its libraries lie in memory, if other processes have the same places.
    layout: Option<Layout>,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The death as the system reported it.
    pub(super) death: CodecDeath,
    /// The end of its log.
    pub(super) log: String,
}

impl Process {
    /// Starts `binary` and returns it with its socket. The process waits for its job, before which [`Self::limit`] must be called.
    pub(super) async fn spawn(
        binary: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> io::Result<Idle> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (log, log_end) = io::pipe()?;
        // No step before `exec` but those of the standard library, which then needs no fork of this process.
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .env_clear()
            .env("LANG", "C.UTF-8")
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(log_end)
            .process_group(0);
        // Before the process exists: no end of it may be missed.
        let children = unix::signal(SignalKind::child())?;
        let child = spawner::spawn(command).await?;
        // Inherited by what it forks.
        yield_to_node(child.pid());
        let process = Self::of(child, children, log.into(), None)?;
        Ok((process, UnixStream::from_std(ours)?))
    }

    /// The process with this id, which a child of this node forked, and which is another child of this node.
    pub(super) fn forked(pid: Pid, log: OwnedFd, layout: Layout) -> io::Result<Self> {
        let children = unix::signal(SignalKind::child())?;
        Self::of(Child::forked(pid)?, children, log, Some(layout))
    }

    fn of(
        child: Child,
        children: unix::Signal,
        log: OwnedFd,
        layout: Option<Layout>,
    ) -> io::Result<Self> {
        let log = tokio::spawn(tail::drain(pipe::Receiver::from_owned_fd(log)?));
        let (log, cpu, ended) = (Some(log), Duration::ZERO, None);
        Ok(Self { child, children, log, cpu, ended, layout })
    }

    /// Limits the process by `budget`.
    pub(super) fn limit(&self, budget: &ProcessBudget) -> io::Result<()> {
        limit(self.child.pid(), budget)
    }

    /// CPU time of the process as last read.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu
    }

    /// Reads the CPU time of the process from the system.
    fn sample_cpu(&mut self) {
        if self.child.is_reaped() {
            return;
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.pid())).ok();
        if let Some(cpu) = stat.and_then(|stat| cpu_time(&stat)) {
            self.cpu = self.cpu.max(cpu);
        }
    }

    /// Returns when the process has ended, even if another process still holds its socket. The process stays a zombie, so that its times
    /// can be read and its id is not reused. Cancel safe.
    pub(super) async fn ended(&mut self) {
        while !self.child.has_ended() {
            if self.children.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Gives a process that closed its socket a moment to end by itself. [`Self::end`] reaps it afterwards.
    pub(super) async fn ends_by_itself(&mut self) -> bool {
        tokio::time::timeout(EXIT_WAIT, self.ended()).await.is_ok()
    }

    /// Has no later process share its layout: what this one revealed by the way it ended is of no use then.
    pub(super) fn distrust(&self) {
        if let Some(layout) = &self.layout {
            layout.distrust();
        }
    }

    /// Kills the group and reaps the process. Cancel safe.
    pub(super) async fn end(&mut self) -> Ended {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        self.sample_cpu();
        self.child.kill();
        self.ended().await;
        let death = self.child.reap();
        let log = match &mut self.log {
            Some(log) => tokio::time::timeout(TAIL_WAIT, log).await.ok().and_then(Result::ok),
            None => None,
        };
        self.log = None;
        self.ended.insert(Ended { death, log: log.unwrap_or_default() }).clone()
    }

    /// Reaps children of this node that are left in the group of a process that has ended.
    pub(super) async fn reap_group(&mut self) {
        while self.child.reap_other() && self.children.recv().await.is_some() {}
    }
}

/// Limits a process that has no job yet.
fn limit(pid: Pid, budget: &ProcessBudget) -> io::Result<()> {
    // The kernel counts whole seconds: SIGXCPU when they are used up, SIGKILL one second later.
    let cpu = budget.cpu.as_secs() + u64::from(budget.cpu.subsec_nanos() > 0);
    for (resource, soft, hard) in [
        (Resource::As, budget.memory_bytes, budget.memory_bytes),
        (Resource::Cpu, cpu, cpu + 1),
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
        (Resource::Nofile, OPEN_FILES_MAX, OPEN_FILES_MAX),
    ] {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        rustix::process::prlimit(Some(pid), resource, limit)?;
    }
    Ok(())
}

/// Lets the node and others go first. Best effort: some containers forbid it.
fn yield_to_node(pid: Pid) {
    if let Err(error) = rustix::process::setpriority_process(Some(pid), NICENESS) {
        tracing::debug!(%error, "the priority of a codec process could not be lowered");
    }
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE) {
        tracing::debug!(%error, "the OOM score of a codec process could not be set");
    }
}

/// User and system time in a line of `/proc/<pid>/stat`. The second field is the process name, which may hold any characters.
fn cpu_time(stat: &str) -> Option<Duration> {
    const UTIME_AFTER_NAME: usize = 11;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(UTIME_AFTER_NAME);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_second as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 25 5 1 0 9 9 9";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_time(stat), Some(Duration::from_secs_f64(200.0 / ticks)));
        assert_eq!(cpu_time("7 (codec) S 1"), None);
    }
}
