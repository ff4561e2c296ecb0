//! Notice that the machine will be taken away, as spot and preemptible machines give it: a file that appears, or a command that succeeds.
//! It has the effect of SIGTERM.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::settings;

/// Timeout of the command. A command that takes longer gives no notice.
const COMMAND_WAIT: Duration = Duration::from_secs(30);

/// Returns when notice is given. Never returns if none is configured.
pub(super) async fn given(node: &settings::Node) {
    if node.drain_file.is_none() && node.drain_command.is_none() {
        std::future::pending::<()>().await;
    }
    let mut looks = tokio::time::interval(Duration::from_secs(node.drain_poll_seconds.max(1)));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(file) = &node.drain_file
            && tokio::fs::try_exists(file).await.unwrap_or(false)
        {
            tracing::info!(file = %file.display(), "notice to drain: the file exists");
            return;
        }
        if let Some(command) = &node.drain_command
            && succeeds(command).await
        {
            tracing::info!(command, "notice to drain: the command succeeded");
            return;
        }
    }
}

async fn succeeds(command: &str) -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match tokio::time::timeout(COMMAND_WAIT, shell.status()).await {
        Ok(Ok(status)) => status.success(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "node.drain-command cannot be run");
            false
        }
        Err(_) => {
            tracing::warn!("node.drain-command did not end in time");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Settings, Sources};

    fn node(key: &str, value: &str) -> settings::Node {
        let poll = ("node.drain-poll-seconds".to_owned(), "1".to_owned());
        let overrides = vec![(key.to_owned(), value.to_owned()), poll];
        let sources = Sources { overrides, no_usual_places: true, ..Sources::default() };
        Settings::load(&sources).unwrap().node
    }

    async fn is_given(node: &settings::Node) -> bool {
        tokio::time::timeout(Duration::from_millis(300), given(node)).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_that_appears_or_a_command_that_succeeds_is_notice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drain");
        let by_file = node("node.drain-file", file.to_str().unwrap());
        assert!(!is_given(&by_file).await);
        std::fs::write(&file, b"").unwrap();
        assert!(is_given(&by_file).await);
        assert!(is_given(&node("node.drain-command", "exit 0")).await);
        assert!(!is_given(&node("node.drain-command", "exit 3")).await);
        assert!(!is_given(&node("node.slots", "1")).await, "nothing is configured");
    }
}
