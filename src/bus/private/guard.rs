//! The hidden subcommand between this program and a private nats-server.
//!
//! Invariant: a guard ends or becomes the server. It never runs beside it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The first argument of `jetreel` that calls [`guard_main`] with the arguments after it.
pub const GUARD: &str = "__guard";
/// Exit code: another server holds the folder (EX_TEMPFAIL).
pub(super) const HELD: u8 = 75;
/// Exit code: wrong arguments, or the program cannot be run (EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;
/// Time that a server whose parent died may take to end.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Runs `<parent id> <lock file> <program> <arguments…>` so that the program ends with its parent and is the only holder of the lock.
/// Returns only on failure.
#[must_use]
pub fn guard_main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(parent), Some(lock), Some(program)) = (args.next(), args.next(), args.next()) else {
        return ExitCode::from(UNAVAILABLE);
    };
    if set_parent_process_death_signal(Some(Signal::TERM)).is_err() {
        return ExitCode::from(UNAVAILABLE);
    }
    // Read after the signal is set: a parent that died before is noticed here, and one that dies later by the signal.
    let alive = getppid().is_some_and(|id| parent == *id.as_raw_nonzero().to_string());
    if !alive {
        return ExitCode::SUCCESS;
    }
    let Some(_lock) = take_lock(Path::new(&lock)) else {
        return ExitCode::from(HELD);
    };
    let error = Command::new(&program).args(args).exec();
    // Standard error is the server's log. If writing to it fails, there is nowhere to report that.
    drop(writeln!(std::io::stderr(), "cannot run {}: {error}", program.display()));
    ExitCode::from(UNAVAILABLE)
}

/// Opened without close-on-exec, so that the program inherits the lock and holds it as long as it lives.
fn take_lock(path: &Path) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::CREATE;
    let file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR).ok()?);
    let deadline = Instant::now() + LOCK_WAIT;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOCK_POLL);
    }
    Some(file)
}
