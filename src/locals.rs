//! `jetreel node` processes on the machine of the scaler.
//!
//! ```text
//! jetreel node ── thread of the process ── spawn ──► jetreel __guard ── exec ──► jetreel node
//!                                                    (death signal, lock, same process id)
//! ```
//! The guard asks the kernel for SIGTERM at the death of its parent and takes the lock of the process's number; both survive `exec`. So the
//! processes drain when their parent is killed, and a new parent does not start a number that still drains. The death signal follows the
//! *thread* that spawned the process, so that thread lives as long as the process.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use jetreel_actors::ports::{LocalNode, LocalNodes, LocalProcess, PortFuture};
use jetreel_domain::words::failure::Failure;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::oneshot;

use crate::bus::private::GUARD;

/// Roles of the processes.
pub const ROLES: &str = "ingest,encode,publish";
/// Longest name of a node.
const NAME_MAX: usize = 64;

/// What all processes have in common.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// This program.
    pub program: PathBuf,
    /// Its arguments that name the settings.
    pub arguments: Vec<OsString>,
    /// Address of the broker. Passed in the environment, which other users of the machine cannot read.
    pub broker: String,
    /// Settings that this node has in another way than from file, environment and arguments, and those that the processes have of their own.
    pub own: Vec<(String, String)>,
    /// Name of this node, which begins theirs.
    pub node: String,
    /// Folder of their locks and data.
    pub folder: PathBuf,
}

/// Starts the processes.
pub struct LocalProcesses(LocalOptions);

impl LocalProcesses {
    /// Processes with these options. None is started yet.
    #[must_use]
    pub fn new(options: LocalOptions) -> Self {
        Self(options)
    }

    async fn spawn(&self, number: u32) -> io::Result<LocalNode> {
        let command = self.0.command(number)?;
        let (started, is_started) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("local-node-{number}"));
        thread.spawn(move || keep(command, started, ending))?;
        let process = is_started.await.map_err(io::Error::other)??;
        Ok(LocalNode { process, ended })
    }
}

impl LocalNodes for LocalProcesses {
    fn start(&self, number: u32) -> PortFuture<'_, LocalNode> {
        Box::pin(async move {
            self.spawn(number).await.map_err(|error| {
                let message = "A local node cannot be started.";
                Failure::dependency("local-node-unstarted", message).with_detail(error)
            })
        })
    }
}

impl LocalOptions {
    /// The command that starts a process through its guard.
    fn command(&self, number: u32) -> io::Result<Command> {
        let name = self.name(number);
        let data = self.folder.join(&name);
        std::fs::create_dir_all(&data)?;
        let lock = self.folder.join(format!("{name}.lock"));
        let mut command = Command::new(&self.program);
        command.arg(GUARD).arg(std::process::id().to_string()).arg(lock).arg(&self.program);
        command.args(&self.arguments);
        let data = data.to_string_lossy().into_owned();
        let each = [("nats.data".to_owned(), data), ("node.name".to_owned(), name)];
        for (key, value) in self.own.iter().cloned().chain(each) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.arg("node").env("JETREEL__NATS__URL", &self.broker);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // Outside of the terminal's process group: Ctrl-C is for this node, which then drains them.
        command.process_group(0);
        Ok(command)
    }

    fn name(&self, number: u32) -> String {
        let end = format!("-local-{number}");
        let begin: String = self.node.chars().take(NAME_MAX - end.len()).collect();
        begin + &end
    }
}

/// A process. Dropped, it drains.
struct Process {
    id: Pid,
    /// Whether it has been reaped. After that its id may mean another process.
    reaped: Mutex<bool>,
}

impl Process {
    fn signal(&self, signal: Signal) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped && let Err(error) = kill_process(self.id, signal) {
            tracing::debug!(id = %self.id, %error, "a local node cannot be signalled");
        }
    }

    /// Waits for the end and reaps it.
    fn reap(&self, child: &mut Child) -> io::Result<String> {
        // It stays a zombie, so that its id cannot mean another process meanwhile.
        while let Err(error) =
            waitid(WaitId::Pid(self.id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let mut reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        *reaped = true;
        child.wait().map(|status| status.to_string())
    }
}

impl LocalProcess for Process {
    fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    fn drain(&self) {
        self.signal(Signal::TERM);
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }
}

/// The handle of a process. The thread that keeps the process has another.
struct Handle(Arc<Process>);

impl LocalProcess for Handle {
    fn id(&self) -> u32 {
        self.0.id()
    }

    fn drain(&self) {
        self.0.drain();
    }

    fn kill(&self) {
        self.0.kill();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.drain();
    }
}

type Started = oneshot::Sender<io::Result<Arc<dyn LocalProcess>>>;

/// Spawns a process and stays until it has ended.
fn keep(mut command: Command, started: Started, ending: oneshot::Sender<String>) {
    let spawned = command.spawn().and_then(|child| {
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("no process id"))?;
        Ok((child, Arc::new(Process { id, reaped: Mutex::new(false) })))
    });
    let (mut child, process) = match spawned {
        Ok(spawned) => spawned,
        Err(error) => return drop(started.send(Err(error))),
    };
    // If nothing waits for it any more, the handle is dropped, and the process drains.
    drop(started.send(Ok(Arc::new(Handle(Arc::clone(&process))))));
    let how = process.reap(&mut child).unwrap_or_else(|error| error.to_string());
    drop(ending.send(how));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> LocalOptions {
        LocalOptions {
            program: "/bin/jetreel".into(),
            arguments: vec!["--config".into(), "a.toml".into()],
            broker: "nats://u:hush@n1".to_owned(),
            own: vec![("node.roles".to_owned(), ROLES.to_owned())],
            node: "n".repeat(64),
            folder: tempfile::tempdir().unwrap().keep(),
        }
    }

    #[test]
    fn a_process_has_the_same_settings_but_its_own_name_data_and_roles() {
        let options = options();
        let command = options.command(12).unwrap();
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let name = format!("{}-local-12", "n".repeat(55));
        assert_eq!(name.len(), NAME_MAX);
        for word in
            ["--config", "node.roles=ingest,encode,publish", &format!("node.name={name}"), "node"]
        {
            assert!(words.iter().any(|found| found == word), "{word}: {words:?}");
        }
        assert!(!words.iter().any(|word| word.contains("hush")), "others can read arguments");
        assert!(options.folder.join(&name).is_dir());
        std::fs::remove_dir_all(&options.folder).unwrap();
    }
}
