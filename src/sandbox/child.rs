//! A child of this node, known by its id. It is killed with its group, and reaped once.

use std::io;

use jetreel_domain::codec::death::CodecDeath;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, setpgid,
    waitid,
};

/// A child that leads a process group. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    /// Its death, once it is reaped. After that its id may mean another process.
    death: Option<CodecDeath>,
}

impl Child {
    /// A child that was spawned as the leader of its group.
    pub(super) fn spawned(child: std::process::Child) -> Self {
        // The standard library neither kills nor reaps.
        Self { pid: Pid::from_child(&child), death: None }
    }

    /// A child that another child forked, and that is still in the group of that one.
    ///
    /// # Errors
    /// It is no child of this node.
    pub(super) fn forked(pid: Pid) -> io::Result<Self> {
        setpgid(Some(pid), Some(pid))?;
        Ok(Self { pid, death: None })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn is_reaped(&self) -> bool {
        self.death.is_some()
    }

    /// Whether it has ended. It is not reaped, so its id still means this process and its group.
    pub(super) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // There is no such child if something else has reaped it.
        self.is_reaped()
            || waitid(WaitId::Pid(self.pid), options).map_or(true, |found| found.is_some())
    }

    /// Kills its group. A process without confinement may have left it.
    pub(super) fn kill(&self) {
        if self.is_reaped() {
            return;
        }
        for kill in [kill_process_group, kill_process] {
            if let Err(error) = kill(self.pid, Signal::KILL) {
                tracing::debug!(pid = %self.pid, %error, "a codec process cannot be killed");
            }
        }
    }

    /// Reaps it, after it has ended.
    pub(super) fn reap(&mut self) -> CodecDeath {
        let killed = CodecDeath::Signal(Signal::KILL.as_raw());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let reap = || waitid(WaitId::Pid(self.pid), options).ok().flatten();
        *self.death.get_or_insert_with(|| reap().map_or(killed, death))
    }

    /// Reaps children of this node that were left in its group. Returns whether there is one that has not ended.
    pub(super) fn reap_other(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        loop {
            match waitid(WaitId::Pgid(Some(self.pid)), options) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_reaped() {
            return;
        }
        self.kill();
        let pid = self.pid;
        // Not on the runtime, which may be ending.
        let reaper = std::thread::Builder::new().name("codec-reaper".to_owned());
        let reaping = reaper.spawn(move || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
        if let Err(error) = reaping {
            tracing::debug!(%pid, %error, "a codec process is not reaped");
        }
    }
}

fn death(status: WaitIdStatus) -> CodecDeath {
    match status.terminating_signal() {
        Some(signal) => CodecDeath::Signal(signal),
        None => CodecDeath::Exit(status.exit_status().unwrap_or_default()),
    }
}
