//! Signals to processes, and what the system says of them.

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal. Returns whether the process existed.
fn send(pid: u32, signal: Signal) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Lets a process stand still, or go on. Whether there was one.
pub(crate) fn freeze(pid: u32, frozen: bool) -> bool {
    send(pid, if frozen { Signal::STOP } else { Signal::CONT })
}

/// Ends a process at once.
pub(crate) fn kill(pid: u32) -> bool {
    send(pid, Signal::KILL)
}

/// Asks a process to end.
pub(crate) fn ask_to_end(pid: u32) -> bool {
    send(pid, Signal::TERM)
}

/// State letter of a process, as in `/proc/<pid>/stat`.
pub(crate) fn state(pid: u32) -> Option<char> {
    stat(pid).map(|(_, state, _)| state)
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Whether a process has dropped its rights: a filter of system calls is in force.
pub(crate) fn is_confined(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line == "Seccomp:\t2")
}

/// Processes started by `parent` whose names begin with `name`.
pub(crate) fn children(parent: u32, name: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        stat(*pid).is_some_and(|(its, state, of)| {
            its.starts_with(name) && of == parent && !matches!(state, 'Z' | 'X')
        })
    })
    .collect()
}

/// Of a line of `/proc/<pid>/stat`: name, state, parent.
fn stat(pid: u32) -> Option<(String, char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((head.split_once('(')?.1.to_owned(), state, fields.next()?.parse().ok()?))
}
