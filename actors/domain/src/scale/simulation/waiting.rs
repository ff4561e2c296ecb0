//! Tasks that wait for a slot, and which is taken next.
//!
//! Lanes share the slots 8:3:1 ([`crate::order::lane::turn`]). Within a lane first seconds go first, then the tasks of orders in the order of
//! their arrival. A window of release is not simulated: it only shortens queues, and slots never wait for it.

use std::collections::{BTreeMap, VecDeque};

use crate::order::lane::{self, Lane};

/// A task: index of the order, index of the task in it.
pub(super) type TaskAt = (usize, usize);

/// Waiting tasks of all lanes.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lanes: BTreeMap<Lane, Queue>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Queue {
    urgent: VecDeque<TaskAt>,
    /// Of each order the tasks that wait. Orders are numbered by arrival.
    orders: BTreeMap<usize, VecDeque<usize>>,
}

impl Waiting {
    /// A task may be taken from now on.
    pub(super) fn add(&mut self, lane: Lane, task: TaskAt, urgent: bool) {
        let queue = self.lanes.entry(lane).or_default();
        if urgent {
            queue.urgent.push_back(task);
        } else {
            queue.orders.entry(task.0).or_default().push_back(task.1);
        }
    }

    /// The task that the next free slot takes.
    pub(super) fn next(&mut self) -> Option<TaskAt> {
        let lanes = lane::turn(self.turn);
        let taken = lanes.into_iter().find_map(|lane| self.lanes.get_mut(&lane)?.next())?;
        self.turn += 1;
        Some(taken)
    }
}

impl Queue {
    fn next(&mut self) -> Option<TaskAt> {
        if let Some(urgent) = self.urgent.pop_front() {
            return Some(urgent);
        }
        let mut order = self.orders.first_entry()?;
        let (number, task) = (*order.key(), order.get_mut().pop_front());
        if order.get().is_empty() {
            order.remove();
        }
        task.map(|task| (number, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_seconds_then_orders_by_arrival_and_lanes_by_their_weights() {
        let mut waiting = Waiting::default();
        for task in [(1, 0), (0, 1), (1, 1), (0, 2)] {
            waiting.add(Lane::Normal, task, task.1 == 0);
        }
        let taken: Vec<TaskAt> = std::iter::from_fn(|| waiting.next()).collect();
        assert_eq!(taken, [(1, 0), (0, 1), (0, 2), (1, 1)]);
        for lane in Lane::ALL {
            (0..120).for_each(|task| waiting.add(lane, (lane as usize, task), false));
        }
        let taken: Vec<usize> =
            (0..120).filter_map(|_| waiting.next()).map(|task| task.0).collect();
        let of = |lane: Lane| taken.iter().filter(|order| **order == lane as usize).count();
        assert_eq!(Lane::ALL.map(of), [80, 30, 10]);
    }
}
