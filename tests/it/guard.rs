//! Everything read from broker and store is checked: a right to publish to one subject reaches nothing else, documents of newer programs
//! stay unchanged, a store belongs to one broker, and settings that cannot work are refused.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod anew;
mod binding;
mod forged;
mod forgeries;
mod garbled;
mod reach;
mod settings;
mod versions;

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::clips::{jetreel, path};
use crate::harness::site::Site;

/// Runs `jetreel` with these arguments, in the folder of a site and with its settings.
async fn told(site: &Site, words: &[&str], own: &[(&str, &str)]) -> Output {
    let mut command = Command::new(jetreel());
    command.args(words).envs(site.settings().iter().cloned());
    command.envs(own.iter().map(|(key, value)| (format!("JETREEL__{key}"), *value)));
    command.current_dir(site.folder()).stdin(Stdio::null()).env("PATH", path());
    command.output().await.unwrap()
}

/// Its standard error.
fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
