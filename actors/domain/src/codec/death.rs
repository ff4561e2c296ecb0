//! Ends of codec processes without a report.

use crate::codec::wire::MEMORY_EXIT;
use crate::words::failure::Failure;
use crate::words::reason::{Reason, WorkFault};

/// How a codec process ended without a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecDeath {
    /// Killed by a signal that this node did not send.
    Signal(i32),
    /// Ended with this status, without a final frame.
    Exit(i32),
    /// Killed by its parent: it exceeded its wall-clock budget.
    WallClock,
    /// Killed by its parent: it exceeded its CPU budget.
    Cpu,
    /// Killed by its parent: no progress for too long.
    NoProgress,
    /// Killed by its parent: it wrote more than its budget.
    Output,
    /// Killed by its parent: it read more than its budget.
    Reads,
    /// Killed by its parent: it violated the protocol.
    Protocol,
}

/// `SIGKILL`. The process never sends it to itself.
const SIGKILL: i32 = 9;
/// `SIGXCPU` on Linux: the CPU limit is exceeded.
const SIGXCPU: i32 = 24;

impl From<CodecDeath> for Failure {
    fn from(death: CodecDeath) -> Self {
        match death {
            CodecDeath::Signal(SIGXCPU) | CodecDeath::Cpu => Self::task(
                "codec-cpu-budget",
                "The video needs more CPU time than it may use. Export it with smaller pictures and upload the new file.",
            ),
            CodecDeath::Signal(SIGKILL) => Self::task(
                "codec-signal",
                "The work on the video was killed (signal 9), most often because the machine ran out of memory. Try again when it has less to do.",
            ),
            CodecDeath::Signal(signal) => Self::task(
                "codec-signal",
                format!(
                    "The decoder crashes on this video (signal {signal}). Export the video again and upload the new file."
                ),
            ),
            CodecDeath::Exit(MEMORY_EXIT) => Reason::from(WorkFault::OutOfMemory).into(),
            CodecDeath::Exit(status) => Self::task(
                "codec-exit",
                format!("The decoder ended without a result (status {status}). Try again."),
            ),
            CodecDeath::WallClock => Self::task(
                "codec-wall-clock",
                "The work on the video takes longer than it may. Try again when the node has less to do.",
            ),
            CodecDeath::NoProgress => Self::task(
                "codec-no-progress",
                "The decoder makes no progress on this video. Export the video again and upload the new file.",
            ),
            CodecDeath::Output => Self::task(
                "codec-output-budget",
                "The video becomes more data than it may. Export the video again and upload the new file.",
            ),
            CodecDeath::Protocol => Self::task(
                "codec-protocol",
                "The decoder answers with nonsense on this video. Try again; if that does not help, export the video again.",
            ),
            CodecDeath::Reads => Self::task(
                "codec-read-budget",
                "The decoder reads far more of the video than there is. Export the video again and upload the new file.",
            ),
        }
    }
}
