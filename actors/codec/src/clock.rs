//! CPU time of this process.

use rustix::time::{ClockId, clock_gettime};

/// Seconds of CPU spent so far, user and system, all threads.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
