//! The permitted frames of an audio task: the missing parts in order, each cut as the settings require.

use super::breach::{Checked, ensure};
use super::fragment::{self, Row};
use super::text;
use crate::codec::wire::{AAC_CODECS, AAC_UNIT, AudioJob, AudioReport, Budget, Segment};

/// Seconds by which audio may exceed the outputs: rounding to whole access units, and a reserve.
const TAIL_SECONDS: f64 = 1.0;
/// Most bytes of an access unit per channel (ISO/IEC 14496-3, 4.5.3.3).
const UNIT_BYTES_MAX: u64 = 6144 / 8;

/// Frames that an audio task may still send.
#[derive(Debug, Clone)]
pub(super) struct Sound {
    /// Numbers of the parts that are stored already.
    done: Vec<u32>,
    /// Number of the current part.
    part: u32,
    row: Row,
    init: Option<Vec<u8>>,
    /// Whether a segment or part was shorter than planned. The track ends with it.
    ended: bool,
    channels: u64,
    segment_units: u64,
    part_segments: u64,
    units_max: u64,
    cpu_seconds_max: f64,
    /// Samples per second.
    rate: f64,
}

impl Sound {
    pub(super) fn new(job: &AudioJob, budget: &Budget, cpu_seconds_max: f64) -> Self {
        let seconds = job.end_seconds.min(budget.seconds_max).max(0.0) + TAIL_SECONDS;
        let samples = (seconds * f64::from(job.audio.sample_rate)).ceil() as u64;
        let mut sound = Self {
            done: job.done.clone(),
            part: 0,
            row: Row::default(),
            init: None,
            ended: false,
            channels: u64::from(job.audio.channels),
            segment_units: u64::from(job.segment_units()),
            part_segments: u64::from(job.part_segments()),
            units_max: samples.div_ceil(u64::from(AAC_UNIT)) + 1,
            cpu_seconds_max,
            rate: f64::from(job.audio.sample_rate.max(1)),
        };
        sound.skip();
        sound
    }

    pub(super) fn fragment_bytes_max(&self) -> u64 {
        self.bytes_max(self.segment_units)
    }

    /// Most access units of the whole track.
    pub(super) fn units_max(&self) -> u64 {
        self.units_max
    }

    pub(super) fn fragment(&mut self, part: u32, segment: &Segment, bytes: &[u8]) -> Checked {
        ensure(part == self.part && !self.ended, "a part that is not at work")?;
        let units = u64::from(segment.frames);
        ensure(units <= self.segment_units, "a segment longer than planned")?;
        ensure(bytes.len() as u64 <= self.bytes_max(units), "a segment above its rate cap")?;
        let ticks = units.saturating_mul(u64::from(AAC_UNIT));
        ensure(u64::try_from(segment.duration) == Ok(ticks), "a segment of another duration")?;
        let end = segment.start.saturating_add(segment.duration);
        let end = u64::try_from(end).map(|end| end.div_ceil(u64::from(AAC_UNIT)));
        let inside = segment.start >= 0 && end.is_ok_and(|end| end <= self.units_max);
        ensure(inside, "a segment outside of the track")?;
        self.row.append(segment, bytes)?;
        ensure(self.row.segments <= self.part_segments, "more segments than a part has")?;
        self.ended = units < self.segment_units;
        Ok(())
    }

    /// Checks the report of a part.
    pub(super) fn done(&mut self, report: &AudioReport) -> Checked {
        let AudioReport { part, init, frames, start, end, codecs, lost_seconds, cpu_seconds } =
            report;
        ensure(*part == self.part, "a part that is not at work")?;
        fragment::init(init)?;
        let known = self.init.get_or_insert_with(|| init.to_vec());
        ensure(known == init.as_ref(), "parts with different initialisation segments")?;
        let row = &self.row;
        let ends = (Some(*start), Some(*end)) == (row.start, row.next);
        ensure(ends && *frames == row.frames, "other frames than were sent")?;
        ensure(codecs == AAC_CODECS, "another codec than planned")?;
        text::seconds(*cpu_seconds, self.cpu_seconds_max)?;
        let samples = end.saturating_sub(*start).max(0) as f64;
        text::seconds(*lost_seconds, samples / self.rate)?;
        self.ended |= row.segments < self.part_segments;
        self.row = Row::from(*end);
        self.part += 1;
        self.skip();
        Ok(())
    }

    /// Whether all parts of a track with `parts` parts were sent.
    pub(super) fn complete(&self, parts: u32) -> bool {
        self.row.segments == 0 && self.part == parts
    }

    /// Moves to the next part that is not stored.
    fn skip(&mut self) {
        while self.done.contains(&self.part) {
            self.part += 1;
            self.row.next = None;
        }
    }

    fn bytes_max(&self, units: u64) -> u64 {
        let content = units.saturating_mul(self.channels * UNIT_BYTES_MAX);
        content.saturating_add(fragment::overhead_max(units))
    }
}
