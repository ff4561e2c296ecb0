//! The codec: processes that do one job each.

use std::time::Duration;

use jetreel_domain::codec::budget::ProcessLimits;
use jetreel_domain::codec::wire::{FromCodec, Job};

use super::call::PortFuture;
use super::store::Readable;

/// Limits of a codec process that its parent enforces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessBudget {
    /// Wall time of the whole job.
    pub wall: Duration,
    /// CPU time of the whole job.
    pub cpu: Duration,
    /// Longest time without progress while the parent waits for the process.
    pub silence: Duration,
    /// Bytes of all frames except reads. Each frame also counts [`jetreel_domain::codec::budget::FRAME_COST`].
    pub output_bytes: u64,
    /// Address space in bytes.
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

/// A running codec process. Dropping it kills its whole process group.
pub trait CodecSession: Send {
    /// The next frame that the job permits ([`jetreel_domain::codec::contract::Contract`]). Reads are answered inside. After
    /// [`FromCodec::Done`] the process is reaped. A failure report, a death, a breach of the contract or a spent budget is the error.
    fn next(&mut self) -> PortFuture<'_, FromCodec>;
    /// CPU time of the process, user and system, in seconds. Final once `next` returned the last frame.
    fn cpu_seconds(&self) -> f64;
}

/// Starts codec processes.
pub trait Codec: Send + Sync {
    /// Starts a process on a job. `objects` are what the job may read, by index. The sizes in `job.objects` are filled in here.
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>>;
    /// The codec build from [`FromCodec::Hello`]. Read once and cached.
    fn build(&self) -> PortFuture<'_, String>;
}
