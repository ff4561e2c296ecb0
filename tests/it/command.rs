//! The command line as a person meets it who has not read the documentation: what it refuses, and how it says so.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod transcode;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::clips::{jetreel, path};

/// What a command printed, and its exit code.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the product in a folder to its end.
fn said(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(jetreel());
    command.args(arguments).env("PATH", path()).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}
