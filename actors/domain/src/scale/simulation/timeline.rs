//! What happens next: events by time, those of one instant in the order in which they were planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps of the clock in a second. Whole numbers order events exactly.
const STEPS_PER_SECOND: f64 = 1e6;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// An upload arrives: index into the orders.
    Upload(usize),
    /// A node has started.
    Ready(u32),
    /// A slot has finished its task. `serial` tells the task from an earlier one of the slot.
    Done { node: u32, slot: u32, serial: u64 },
    /// The grace of a draining node ends.
    DrainEnds(u32),
    /// A task of a lost node is delivered again.
    Back { order: usize, task: usize },
    /// Nodes are lost: index into the trace's list.
    Lose(usize),
    /// A slow time of the storage begins: index into the trace's list.
    Slow(usize),
    /// It ends.
    Fast(usize),
    /// The scaler decides.
    Poll,
}

/// Events to come.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: BinaryHeap<Reverse<(u64, u64, What)>>,
    planned: u64,
}

impl Timeline {
    /// Plans an event.
    pub(super) fn plan(&mut self, at_seconds: f64, what: What) {
        let at = (at_seconds.max(0.0) * STEPS_PER_SECOND).round() as u64;
        self.events.push(Reverse((at, self.planned, what)));
        self.planned += 1;
    }

    /// The next event and its time in seconds.
    pub(super) fn next(&mut self) -> Option<(f64, What)> {
        let Reverse((at, _, what)) = self.events.pop()?;
        Some((at as f64 / STEPS_PER_SECOND, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_planned() {
        let mut timeline = Timeline::default();
        let plan = [(2.0, What::Poll), (1.0, What::Ready(2)), (1.0, What::Ready(1))];
        plan.into_iter().for_each(|(at, what)| timeline.plan(at, what));
        let came: Vec<_> = std::iter::from_fn(|| timeline.next()).collect();
        assert_eq!(came, [(1.0, What::Ready(2)), (1.0, What::Ready(1)), (2.0, What::Poll)]);
    }
}
