//! Events by time, and random numbers from a seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Random numbers from a seed (splitmix64, public domain).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Equal seeds give equal numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from `low` to `high`.
    pub(crate) fn within(&mut self, (low, high): (u64, u64)) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True with that probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }
}

/// Events by their time in milliseconds; those of one time in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Clock<E> {
    pub(crate) now: u64,
    added: u64,
    events: BinaryHeap<Reverse<(u64, u64, Held<E>)>>,
}

/// An event, of no order by itself.
#[derive(Debug)]
struct Held<E>(E);

impl<E> PartialEq for Held<E> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<E> Eq for Held<E> {}

impl<E> PartialOrd for Held<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Held<E> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<E> Default for Clock<E> {
    fn default() -> Self {
        Self { now: 0, added: 0, events: BinaryHeap::new() }
    }
}

impl<E> Clock<E> {
    /// Adds an event that happens so many milliseconds from now.
    pub(crate) fn after(&mut self, milliseconds: u64, event: E) {
        self.added += 1;
        self.events.push(Reverse((self.now + milliseconds, self.added, Held(event))));
    }

    /// The next event. It is its time then.
    pub(crate) fn next(&mut self) -> Option<E> {
        let Reverse((at, _, Held(event))) = self.events.pop()?;
        self.now = at;
        Some(event)
    }
}
