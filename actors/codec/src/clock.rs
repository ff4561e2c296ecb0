//! CPU time of this process and of its threads.

use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads so far, user and system, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread so far, in seconds.
pub(crate) fn thread_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
