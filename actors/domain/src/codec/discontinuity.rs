//! Steps of a recording's clock, and the offsets that correct pictures and audio alike.
//!
//! A recording whose encoder restarted, or several concatenated recordings, have clocks that restart or jump. Each track shows such a step
//! at its own packet. Tracks whose clocks agree again afterwards belong to the same *epoch*, and all tracks of an epoch get the same
//! offset: the largest that a track needs to follow its earlier packets. So no track overlaps itself, and tracks that were in sync stay in
//! sync.
//!
//! A distance between two packets is no step if another track's clock agrees with it: a slide show with speech has long distances.
//!
//! It is also no step if the track soon returns to its old clock ([`crate::codec::excursion`]): then a few timestamps are wrong.
//!
//! Not every track shows a step. A track may go back by only a few packets, begin there, or continue after a while. Such a packet is no
//! step by itself, and follows the step of another track.

use serde::{Deserialize, Serialize};

use crate::codec::excursion::excursions;
use crate::codec::jump::{Jump, Kind, agree};

/// A packet that follows a step of another track may precede it in the file by this many seconds of its own track.
const AHEAD_SECONDS: f64 = 1.0;

/// Jitter goes back more often than once in this many seconds.
const ALONE_SECONDS: f64 = 1.0;

/// A lone track whose packets jump forward more often than once in this many packets is a slide show.
const PACKETS_PER_JUMP_MIN: u64 = 20;

/// A step of a track's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// The step applies to packets at or after this byte of the file.
    pub byte: u64,
    /// Ticks to add to their timestamps.
    pub shift: i64,
}

/// Extent of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    pub packets: u64,
    /// Position of its last packet in the file, in bytes.
    pub last_byte: u64,
}

/// Entry of a track into an epoch.
#[derive(Debug, Clone, Copy)]
struct Entry {
    jump: usize,
    from: usize,
    to: usize,
}

/// For every jump, the seconds to add to the times of its track from there on. `jumps` are in file order.
#[must_use]
pub fn shifts(jumps: &[Jump], tracks: &[Extent]) -> Vec<f64> {
    let excursions = excursions(jumps, tracks.len());
    let entries = Entries::of(jumps, tracks.len(), &excursions).entries;
    let epochs = entries.iter().flatten().map(|entry| entry.to + 1).max().unwrap_or(1);
    let mut shifts = vec![0.0; epochs];
    for epoch in 1..epochs {
        shifts[epoch] = shift(epoch, &shifts, jumps, tracks, &entries);
    }
    let (mut current, mut away) = (vec![0; tracks.len()], vec![0.0; tracks.len()]);
    let after = |((jump, entry), excursion): ((&Jump, &Option<Entry>), &Option<f64>)| {
        if let Some(entry) = entry {
            current[jump.track] = entry.to;
        }
        if let Some(seconds) = excursion {
            away[jump.track] = *seconds;
        }
        shifts[current[jump.track]] + away[jump.track]
    };
    jumps.iter().zip(&entries).zip(&excursions).map(after).collect()
}

/// The epochs that the jumps lead to.
struct Entries<'a> {
    jumps: &'a [Jump],
    /// Entry of every jump so far; `None` if it leads to no other epoch.
    entries: Vec<Option<Entry>>,
    /// Current epoch of every track.
    current: Vec<usize>,
    /// For every epoch but the first, the step that opened it.
    opened: Vec<usize>,
}

impl<'a> Entries<'a> {
    fn of(jumps: &'a [Jump], tracks: usize, excursions: &[Option<f64>]) -> Self {
        let entries = Vec::with_capacity(jumps.len());
        let mut all = Self { jumps, entries, current: vec![0; tracks], opened: Vec::new() };
        for (index, jump) in jumps.iter().enumerate() {
            all.entries.push(None);
            let leaps = jump.is_leap() && !jumps[jump.since..index].iter().any(Jump::is_step);
            if excursions[index].is_some() || leaps {
                continue;
            }
            if !jump.is_step() {
                all.follow(index);
                all.join(index);
            } else if !all.is_distance(jump) {
                all.step(index);
            }
        }
        all
    }

    fn enter(&mut self, index: usize, to: usize) {
        let track = self.jumps[index].track;
        let from = std::mem::replace(&mut self.current[track], to);
        self.entries[index] = Some(Entry { jump: index, from, to });
    }

    /// Other tracks whose clocks agree with the time after a jump.
    fn agreeing(&self, jump: &Jump) -> impl Iterator<Item = usize> {
        let agrees = |(other, clock): (usize, &Option<f64>)| {
            let near = clock.is_some_and(|clock| agree(clock, jump.after));
            (near && other != jump.track).then_some(other)
        };
        jump.clocks.iter().enumerate().filter_map(agrees)
    }

    /// Moves the track to a later epoch in which other tracks agree.
    fn follow(&mut self, index: usize) {
        let jump = &self.jumps[index];
        let from = self.current[jump.track];
        let was_in_step = |epoch: usize| {
            let opener = &self.jumps[self.opened[epoch - 1]];
            jump.goes_on() && agree(opener.before, jump.before)
        };
        let epochs = self.agreeing(jump).map(|other| self.current[other]);
        if let Some(to) = epochs.filter(|epoch| *epoch > from && !was_in_step(*epoch)).max() {
            self.enter(index, to);
        }
    }

    /// Opens an epoch if two tracks go back by little at the same place of the file, and neither did so shortly before: that is a joint and
    /// no jitter.
    fn join(&mut self, index: usize) {
        let jump = &self.jumps[index];
        let goes_back = |index: usize| {
            let jump = &self.jumps[index];
            self.entries[index].is_none() && jump.kind == Kind::Loose && self.is_alone(index)
        };
        if !goes_back(index) {
            return;
        }
        let others = (jump.since..index).filter(|other| self.jumps[*other].track != jump.track);
        let others: Vec<usize> = others.filter(|other| goes_back(*other)).collect();
        if others.is_empty() {
            return;
        }
        self.opened.push(index);
        let to = self.opened.len();
        self.enter(index, to);
        others.into_iter().for_each(|other| self.enter(other, to));
    }

    /// Whether a packet goes back, and no packet of its track did within a second before it.
    fn is_alone(&self, index: usize) -> bool {
        let jump = &self.jumps[index];
        let own = |other: &&Jump| other.track == jump.track && !other.is_leap();
        let earlier = self.jumps[..index].iter().rev().find(own);
        let near = |other: &Jump| {
            other.kind != Kind::GoesOn && (jump.before - other.after).abs() < ALONE_SECONDS
        };
        jump.before.is_finite() && !jump.is_forward() && !earlier.is_some_and(near)
    }

    /// Whether a jump forward is a distance between two packets: another track continued all the time.
    fn is_distance(&self, jump: &Jump) -> bool {
        let from = self.current[jump.track];
        let began = |other: usize| {
            let since = &self.jumps[jump.since..self.entries.len()];
            since.iter().any(|first| first.track == other && first.before == f64::NEG_INFINITY)
        };
        let mut own = self.agreeing(jump).filter(|other| self.current[*other] == from);
        jump.is_forward() && own.any(|other| !jump.is_long() || !began(other))
    }

    fn step(&mut self, index: usize) {
        let jump = &self.jumps[index];
        let from = self.current[jump.track];
        let agreeing = self.agreeing(jump).map(|other| self.current[other]);
        // Even if tracks are far apart in the file, they step between about the same times.
        let alike = || {
            let same = |opener: &usize| {
                let opener = &self.jumps[*opener];
                agree(opener.before, jump.before) && agree(opener.after, jump.after)
            };
            let found = self.opened.iter().rposition(same).map(|epoch| epoch + 1);
            found.filter(|epoch| *epoch > from)
        };
        let known = agreeing.filter(|epoch| *epoch != from).max().or_else(alike);
        if let Some(to) = known {
            return self.enter(index, to);
        }
        self.opened.push(index);
        let to = self.opened.len();
        self.enter(index, to);
        self.take_along(index, to);
    }

    /// Moves tracks whose packets came before the step that opens an epoch.
    fn take_along(&mut self, step: usize, to: usize) {
        let opener = &self.jumps[step];
        for index in opener.since..step {
            let jump = &self.jumps[index];
            let nearer = (jump.after - opener.after).abs() < (jump.after - opener.before).abs();
            let ahead = opener.clocks[jump.track].map(|clock| clock - jump.after);
            let fresh = ahead.is_some_and(|ahead| ahead < AHEAD_SECONDS);
            let other = jump.track != opener.track && jump.kind == Kind::Loose;
            if other && nearer && fresh && self.entries[index].is_none() {
                self.enter(index, to);
            }
        }
    }
}

/// The offset of `epoch`, from those of earlier ones.
fn shift(
    epoch: usize,
    known: &[f64],
    jumps: &[Jump],
    tracks: &[Extent],
    entries: &[Option<Entry>],
) -> f64 {
    let entered =
        || entries.iter().flatten().filter(|entry| entry.to == epoch && entry.from < epoch);
    let needed = |entry: &Entry| {
        let jump = &jumps[entry.jump];
        known[entry.from] + jump.before - jump.after
    };
    let step = entered().find(|entry| jumps[entry.jump].is_step());
    let Some(first) = step.or_else(|| entered().next()) else { return 0.0 };
    let jump = &jumps[first.jump];
    let alone = entered().all(|entry| jumps[entry.jump].track == jump.track);
    let in_step = |(goes_on, clock): (&bool, &Option<f64>)| {
        *goes_on && clock.is_some_and(|clock| agree(clock, jump.before))
    };
    let others_go_on = jump.goes_on.iter().zip(&jump.clocks).any(in_step);
    let doubted = if jump.is_forward() {
        // While other tracks continue on the old clock, nothing stands still for so long.
        let wild = jump.is_long() && others_go_on;
        !wild && !returns(first, jumps, entries) && !is_gap_free(jump, jumps, tracks)
    } else {
        // One track has wild timestamps, while another one shows that the clock has not stepped.
        others_go_on
    };
    if alone && doubted {
        return known[first.from];
    }
    entered().map(needed).fold(f64::NEG_INFINITY, f64::max)
}

/// Whether the track of a jump forward returns to an earlier epoch. Then some timestamps were wild.
fn returns(entry: &Entry, jumps: &[Jump], entries: &[Option<Entry>]) -> bool {
    let track = jumps[entry.jump].track;
    let later = entries.iter().flatten().filter(|other| other.jump > entry.jump);
    let next = later.into_iter().find(|other| jumps[other.jump].track == track);
    next.is_some_and(|next| jumps[next.jump].after < jumps[entry.jump].after)
}

/// Whether a jump forward that no other track confirms is still a step: no other track continues after it, and it is an exception.
fn is_gap_free(jump: &Jump, jumps: &[Jump], tracks: &[Extent]) -> bool {
    let goes_on = |(other, extent): (usize, &Extent)| {
        other != jump.track && extent.packets > 0 && extent.last_byte > jump.byte
    };
    let own =
        jumps.iter().filter(|other| other.track == jump.track && other.is_step()).count() as u64;
    let packets = tracks.get(jump.track).map_or(0, |extent| extent.packets);
    jump.is_long()
        && !tracks.iter().enumerate().any(goes_on)
        && own * PACKETS_PER_JUMP_MIN <= packets
}

#[cfg(test)]
#[path = "discontinuity_tests.rs"]
mod tests;
