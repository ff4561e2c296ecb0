//! Codec processes.

use std::time::Duration;

use jetreel_domain::codec::budget::ProcessLimits;
use jetreel_domain::codec::wire::{FromCodec, Job};

use super::call::PortFuture;
use super::store::Readable;

/// Limits that the parent of a codec process enforces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessBudget {
    /// Wall clock of the whole job.
    pub wall: Duration,
    /// CPU time of the whole job.
    pub cpu: Duration,
    /// Longest time without progress while the parent waits for the process.
    pub silence: Duration,
    /// Bytes of all frames but reads, with [`jetreel_domain::codec::budget::FRAME_COST`] for each.
    pub output_bytes: u64,
    /// Address space.
    pub memory_bytes: u64,
}

impl From<ProcessLimits> for ProcessBudget {
    fn from(limits: ProcessLimits) -> Self {
        Self {
            wall: Duration::from_secs_f64(limits.wall_seconds),
            cpu: Duration::from_secs_f64(limits.cpu_seconds),
            silence: Duration::from_secs_f64(limits.silence_seconds),
            output_bytes: limits.output_bytes,
            memory_bytes: limits.memory_bytes,
        }
    }
}

/// A running codec process. Dropped, its whole process group is killed.
pub trait CodecSession: Send {
    /// The next frame that is not a read (reads are answered inside), and that the job permits
    /// ([`jetreel_domain::codec::contract::Contract`]). After [`FromCodec::Done`] the process is reaped; a failure report, a death, a
    /// breach or a spent budget is the error.
    fn next(&mut self) -> PortFuture<'_, FromCodec>;
    /// CPU seconds of the process, user and system; complete once `next` gave its last frame.
    fn cpu_seconds(&self) -> f64;
}

/// Codec processes.
pub trait Codec: Send + Sync {
    /// Starts a process on a job. `objects` are what the job may read, by index; the sizes in `job.objects` are filled in here.
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>>;
    /// The build that [`FromCodec::Hello`] names; asked once and kept.
    fn build(&self) -> PortFuture<'_, String>;
}
