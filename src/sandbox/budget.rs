//! Measures how much of its budget a job has used. Pure: time is an argument.

use std::time::Duration;

use jetreel_actors::ports::ProcessBudget;
use jetreel_domain::codec::budget::FRAME_COST;
use jetreel_domain::codec::contract::FrameKind;
use jetreel_domain::codec::death::CodecDeath;
use tokio::time::Instant;

/// The meter of one job.
#[derive(Debug)]
pub(super) struct Meter {
    budget: ProcessBudget,
    started: Instant,
    output_bytes: u64,
    /// Time that the parent has waited for the process since its last progress.
    idle: Duration,
    /// Start of the parent's current wait; `None` while it does not wait.
    waiting_since: Option<Instant>,
}

impl Meter {
    pub(super) fn new(budget: ProcessBudget, now: Instant) -> Self {
        Self { budget, started: now, output_bytes: 0, idle: Duration::ZERO, waiting_since: None }
    }

    /// Begins the parent's wait, if it has not begun. Returns the deadline, and the failure of a process that misses it.
    pub(super) fn wait(&mut self, now: Instant) -> (Instant, CodecDeath) {
        let since = *self.waiting_since.get_or_insert(now);
        let wall = self.wall();
        let stuck = since + self.budget.silence.saturating_sub(self.idle);
        if stuck < wall { (stuck, CodecDeath::NoProgress) } else { (wall, CodecDeath::WallClock) }
    }

    /// Ends the wait. Time that the parent uses is not counted.
    pub(super) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.idle += now.saturating_duration_since(since);
        }
    }

    /// Records progress: the waiting time starts at zero again.
    pub(super) fn progress(&mut self) {
        self.idle = Duration::ZERO;
    }

    /// Deadline of the job.
    pub(super) fn wall(&self) -> Instant {
        self.started + self.budget.wall
    }

    /// Most CPU seconds that the process may report. The kernel ends it one second after its budget.
    pub(super) fn cpu_seconds_max(budget: &ProcessBudget) -> f64 {
        budget.cpu.as_secs_f64() + 2.0
    }

    /// Charges a frame with a body of `bytes` bytes, whatever it contains. Reads have their own budget.
    pub(super) fn charge(&mut self, kind: FrameKind, bytes: usize) -> Result<(), CodecDeath> {
        if kind == FrameKind::Read {
            return Ok(());
        }
        let cost = (bytes as u64).saturating_add(FRAME_COST);
        self.output_bytes = self.output_bytes.saturating_add(cost);
        if self.output_bytes > self.budget.output_bytes {
            return Err(CodecDeath::Output);
        }
        Ok(())
    }

    /// The death of a process that ended by itself. When the kernel enforces the CPU limit, this may look like a crash.
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
            | CodecDeath::Reads
            | CodecDeath::Protocol => death,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn meter() -> (Meter, Instant) {
        let now = Instant::now();
        let budget = ProcessBudget {
            wall: S(100),
            cpu: S(10),
            silence: S(30),
            output_bytes: 2 * FRAME_COST + 10,
            memory_bytes: 0,
        };
        (Meter::new(budget, now), now)
    }

    #[test]
    fn patience_counts_from_the_last_progress_and_the_wall_clock_from_the_start() {
        let (mut meter, start) = meter();
        assert_eq!(meter.wait(start + S(5)), (start + S(35), CodecDeath::NoProgress));
        meter.go_on(start + S(15));
        assert_eq!(meter.wait(start + S(20)), (start + S(40), CodecDeath::NoProgress));
        meter.go_on(start + S(20));
        meter.progress();
        assert_eq!(meter.wait(start + S(30)), (start + S(60), CodecDeath::NoProgress));
        meter.go_on(start + S(30));
        assert_eq!(meter.wait(start + S(80)), (start + S(100), CodecDeath::WallClock));
    }

    #[test]
    fn a_wait_that_is_broken_off_and_begun_again_is_one_wait() {
        let (mut meter, start) = meter();
        assert_eq!(meter.wait(start), meter.wait(start + S(20)));
    }

    #[test]
    fn every_frame_is_charged_even_an_empty_one() {
        for kind in FrameKind::ALL {
            let mut meter = self::meter().0;
            let free = kind == FrameKind::Read;
            assert_eq!(meter.charge(kind, 10).and_then(|()| meter.charge(kind, 0)), Ok(()));
            assert_eq!(meter.charge(kind, 0).is_ok(), free, "{kind:?}");
        }
    }

    #[test]
    fn a_kill_after_the_cpu_budget_is_spent_is_no_crash() {
        let (meter, _) = meter();
        assert_eq!(meter.explain(CodecDeath::Signal(9), S(10)), CodecDeath::Cpu);
        assert_eq!(meter.explain(CodecDeath::Signal(9), S(1)), CodecDeath::Signal(9));
        assert_eq!(meter.explain(CodecDeath::Signal(6), S(10)), CodecDeath::Signal(6));
    }
}
