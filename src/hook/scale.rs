//! The scaler's hook: a command or a URL that receives the wanted number of nodes.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use jetreel_actors::ports::{PortFuture, ScaleHook};
use jetreel_domain::scale::call::Call;
use jetreel_domain::words::failure::Failure;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio_util::bytes::Bytes;

use super::{HttpHook, Unposted};

/// Calls a URL by `POST`, with the call as its JSON body.
pub struct UrlHook(HttpHook);

impl UrlHook {
    /// Calls go by `http`.
    #[must_use]
    pub fn new(http: HttpHook) -> Self {
        Self(http)
    }

    async fn post(&self, call: &Call) -> Result<(), Failure> {
        let document = Bytes::from(document(call)?);
        self.0.post(&call.key, document).await.map_err(|unposted| match unposted {
            Unposted::Unreachable(causes) => {
                let message = "The hook of the scaler does not answer.";
                Failure::dependency("scaler-hook-unreachable", message).with_detail(causes)
            }
            Unposted::Refused(status) => {
                let message = "The hook of the scaler refused the call.";
                Failure::dependency("scaler-hook-refused", message).with_detail(status)
            }
        })
    }
}

impl ScaleHook for UrlHook {
    fn call<'a>(&'a self, call: &'a Call) -> PortFuture<'a, ()> {
        Box::pin(self.post(call))
    }
}

/// Runs a command line with `/bin/sh`. It gets the numbers as environment variables and the call as JSON on standard input. Its standard error
/// goes to this node's.
pub struct CommandHook {
    line: String,
    timeout: Duration,
}

/// The processes of a command. Dropped, they are killed.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take()
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "the command of the hook had ended");
        }
    }
}

impl CommandHook {
    /// A command that may take `timeout`.
    #[must_use]
    pub fn new(line: String, timeout: Duration) -> Self {
        Self { line, timeout }
    }

    async fn run(&self, call: &Call) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, self.finish(call)).await {
            Ok(done) => done,
            Err(_) => {
                let message = "The command of the scaler's hook did not end in time.";
                let seconds = format!("{} s", self.timeout.as_secs());
                Err(Failure::dependency("scaler-hook-slow", message).with_detail(seconds))
            }
        }
    }

    async fn finish(&self, call: &Call) -> Result<(), Failure> {
        let unusable = |error: std::io::Error| {
            let message = "The command of the scaler's hook cannot be run.";
            Failure::dependency("scaler-hook-unreachable", message).with_detail(error)
        };
        let document = document(call)?;
        let mut shell = Command::new("/bin/sh");
        // The settings of the node may hold secrets.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_settings(name)) {
            shell.env_remove(name);
        }
        shell.arg("-c").arg(&self.line).envs(call.variables()).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut child = shell.spawn().map_err(unusable)?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let mut group = Group(id);
        if let Some(mut input) = child.stdin.take()
            && let Err(error) = input.write_all(&document).await
        {
            tracing::debug!(%error, "the command of the hook does not read its input");
        }
        let status = child.wait().await.map_err(unusable)?;
        // Its id may mean another group from now on.
        group.0 = None;
        if status.success() {
            return Ok(());
        }
        let message = "The command of the scaler's hook failed.";
        Err(Failure::dependency("scaler-hook-refused", message).with_detail(status))
    }
}

/// Whether a variable is a setting of this program or of its traces.
fn is_of_settings(name: &OsStr) -> bool {
    ["JETREEL__", "OTEL_"]
        .iter()
        .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

impl ScaleHook for CommandHook {
    fn call<'a>(&'a self, call: &'a Call) -> PortFuture<'a, ()> {
        Box::pin(self.run(call))
    }
}

fn document(call: &Call) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(call).map_err(|error| {
        Failure::task("bad-message", "A call cannot be written.").with_detail(error)
    })
}

#[cfg(test)]
mod tests {
    use jetreel_domain::scale::scaler::Change;

    use super::*;

    fn call() -> Call {
        Call {
            v: 1,
            event: "scale".to_owned(),
            key: "key-7".to_owned(),
            decided_by: "one".to_owned(),
            nodes: 4,
            previous_nodes: 1,
            slots: 31,
            need_nodes: 3.9,
            change: Change::Out,
            unfinished_tasks: 70,
            backlog_seconds: 1000.0,
            oldest_seconds: 9.0,
        }
    }

    async fn run(line: String, timeout: Duration) -> Result<(), Failure> {
        CommandHook::new(line, timeout).run(&call()).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_command_gets_the_numbers_and_the_whole_call() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("got").display().to_string();
        let line = format!("(echo $JETREEL_WANTED_NODES $JETREEL_PREVIOUS_NODES; cat) > {file}");
        run(line, LONG).await.unwrap();
        let got = std::fs::read_to_string(&file).unwrap();
        let (numbers, document) = got.split_once('\n').unwrap();
        assert_eq!(numbers, "4 1");
        assert_eq!(serde_json::from_str::<Call>(document).unwrap(), call());
    }

    #[tokio::test]
    async fn a_command_that_fails_or_reads_nothing_is_told_apart() {
        assert!(run("exit 0".to_owned(), LONG).await.is_ok());
        let failed = run("exit 3".to_owned(), LONG).await.unwrap_err();
        assert_eq!(failed.code, "scaler-hook-refused");
        assert!(failed.detail.contains('3'), "{}", failed.detail);
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let line = format!("sleep 600 & echo $! > {}; wait", file.display());
        let slow = run(line, Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(slow.code, "scaler-hook-slow");
        let id: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let ends = std::time::Instant::now() + LONG;
        while alive(id) {
            assert!(std::time::Instant::now() < ends, "the child of the command lives on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn alive(id: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }
}
