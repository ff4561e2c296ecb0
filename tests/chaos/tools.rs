//! Other programs: whether they are there, and running them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Runs a program to its end; gives what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    run_command(command)
}

/// The same for a command that was put together.
pub(crate) fn run_command(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", told.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Path of a program; `None` if it is not installed. Programs for administrators are not in every PATH.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|place| place.is_file())
}

/// Whether a program is installed. A missing one is printed.
pub(crate) fn there_is(program: &str) -> bool {
    let found = find(program).is_some();
    if !found {
        eprintln!("there is no {program}");
    }
    found
}

/// Whether every one of these programs is there; else which is not.
pub(crate) fn need(programs: &[&str]) -> Result<(), String> {
    match programs.iter().find(|program| find(program).is_none()) {
        None => Ok(()),
        Some(missing) => Err(format!("there is no {missing}")),
    }
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
