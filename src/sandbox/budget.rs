//! What a job has used of its budget. Pure: time is an argument.

use std::time::Duration;

use jetreel_actors::ports::ProcessBudget;
use jetreel_domain::failure::CodecDeath;
use jetreel_domain::wire::FromCodec;
use tokio::time::Instant;

/// The meter of one job.
#[derive(Debug)]
pub(super) struct Meter {
    budget: ProcessBudget,
    started: Instant,
    output_bytes: u64,
}

impl Meter {
    pub(super) fn new(budget: ProcessBudget, now: Instant) -> Self {
        Self { budget, started: now, output_bytes: 0 }
    }

    /// Until when the process may keep its parent waiting, and what it dies of then.
    pub(super) fn deadline(&self, waiting_since: Instant) -> (Instant, CodecDeath) {
        let wall = (self.started + self.budget.wall, CodecDeath::WallClock);
        let silence = (waiting_since + self.budget.silence, CodecDeath::NoProgress);
        if silence.0 < wall.0 { silence } else { wall }
    }

    /// Counts the results in a frame.
    pub(super) fn count(&mut self, frame: &FromCodec) -> Result<(), CodecDeath> {
        self.output_bytes = self.output_bytes.saturating_add(output_bytes(frame));
        if self.output_bytes > self.budget.output_bytes {
            return Err(CodecDeath::Output);
        }
        Ok(())
    }

    /// What a process died of that ended by itself: the kernel's way to enforce the CPU limit may look like a crash.
    pub(super) fn explain(&self, death: CodecDeath, cpu: Duration) -> CodecDeath {
        const SIGKILL: i32 = 9;
        match death {
            CodecDeath::Signal(SIGKILL) if cpu >= self.budget.cpu => CodecDeath::Cpu,
            CodecDeath::Signal(_)
            | CodecDeath::Exit(_)
            | CodecDeath::WallClock
            | CodecDeath::Cpu
            | CodecDeath::NoProgress
            | CodecDeath::Output
            | CodecDeath::Protocol => death,
        }
    }
}

fn output_bytes(frame: &FromCodec) -> u64 {
    match frame {
        FromCodec::Fragment { bytes, .. }
        | FromCodec::Picture { bytes, .. }
        | FromCodec::AudioFragment { bytes, .. }
        | FromCodec::Output { bytes, .. } => bytes.len() as u64,
        FromCodec::Hello { .. }
        | FromCodec::Read { .. }
        | FromCodec::Progress { .. }
        | FromCodec::ChunkDone(_)
        | FromCodec::AudioPartDone(_)
        | FromCodec::Done(_)
        | FromCodec::Failed(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn meter() -> (Meter, Instant) {
        let now = Instant::now();
        let budget = ProcessBudget {
            wall: S(100),
            cpu: S(10),
            silence: S(30),
            output_bytes: 10,
            memory_bytes: 0,
        };
        (Meter::new(budget, now), now)
    }

    #[test]
    fn silence_counts_from_the_last_frame_and_wall_clock_from_the_start() {
        let (meter, start) = meter();
        assert_eq!(meter.deadline(start + S(5)), (start + S(35), CodecDeath::NoProgress));
        assert_eq!(meter.deadline(start + S(80)), (start + S(100), CodecDeath::WallClock));
    }

    #[test]
    fn output_is_counted_over_all_frames() {
        let (mut meter, _) = meter();
        let frame = FromCodec::Picture { chunk: 0, pts: 0, bytes: ByteBuf::from(vec![0; 6]) };
        assert_eq!(meter.count(&frame), Ok(()));
        assert_eq!(meter.count(&frame), Err(CodecDeath::Output));
    }

    #[test]
    fn a_kill_after_the_cpu_budget_is_spent_is_no_crash() {
        let (meter, _) = meter();
        assert_eq!(meter.explain(CodecDeath::Signal(9), S(10)), CodecDeath::Cpu);
        assert_eq!(meter.explain(CodecDeath::Signal(9), S(1)), CodecDeath::Signal(9));
        assert_eq!(meter.explain(CodecDeath::Signal(6), S(10)), CodecDeath::Signal(6));
    }
}
