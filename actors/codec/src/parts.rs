//! Sends access units to the parent as fragments, and parts as checkpoints.
//!
//! Invariants: only the settings determine where segments and parts are cut. A part that is stored already is cut in the same way and not
//! sent.

use jetreel_domain::codec::wire::{AAC_CODECS, AudioJob, AudioReport, FromCodec, Report, Segment};

use crate::clock::cpu_seconds;
use crate::failure::Outcome;
use crate::link::Link;
use crate::mux::{self, Sample};

/// The parts of a track.
pub(crate) struct Parts<'a> {
    link: &'a Link,
    job: &'a AudioJob,
    init: Vec<u8>,
    segment_units: usize,
    part_segments: u32,
    part: u32,
    /// Number of segments in the current part.
    segments: u32,
    bytes: u64,
    report: Option<AudioReport>,
    /// Number of segments in the track so far.
    sequence: u32,
    frames: u64,
    cpu_before: f64,
    /// Seconds of the source that were lost since the last part.
    lost_seconds: f64,
}

impl<'a> Parts<'a> {
    /// A track without segments. `init` is its initialisation segment.
    pub(crate) fn new(link: &'a Link, job: &'a AudioJob, init: Vec<u8>) -> Self {
        Self {
            link,
            job,
            init,
            segment_units: job.segment_units() as usize,
            part_segments: job.part_segments(),
            part: 0,
            segments: 0,
            bytes: 0,
            report: None,
            sequence: 0,
            frames: 0,
            cpu_before: 0.0,
            lost_seconds: 0.0,
        }
    }

    /// Number of access units in a segment.
    pub(crate) fn segment_units(&self) -> usize {
        self.segment_units
    }

    /// Records that `seconds` of the source could not be decoded.
    pub(crate) fn lose(&mut self, seconds: f64) {
        self.lost_seconds += seconds;
    }

    /// Adds the units of the next segment.
    pub(crate) fn segment(&mut self, units: &[Sample]) -> Outcome<()> {
        self.sequence += 1;
        let (bytes, header_bytes) = mux::fragment(self.sequence, mux::TRACK, 0, units)?;
        let start = units.first().map_or(0, |unit| unit.pts);
        let duration = units.iter().map(|unit| i64::from(unit.duration)).sum::<i64>();
        let segment = Segment {
            offset: self.bytes,
            bytes: bytes.len() as u64,
            header_bytes,
            start,
            duration,
            frames: units.len() as u32,
        };
        self.bytes += segment.bytes;
        self.segments += 1;
        self.frames += units.len() as u64;
        let report = self.report.get_or_insert_with(|| AudioReport {
            part: self.part,
            init: self.init.clone().into(),
            frames: 0,
            start,
            end: start,
            codecs: AAC_CODECS.to_owned(),
            lost_seconds: 0.0,
            cpu_seconds: 0.0,
        });
        report.frames += units.len() as u64;
        report.end = start + duration;
        if !self.job.done.contains(&self.part) {
            let bytes = bytes.into();
            self.link.send(&FromCodec::AudioFragment { part: self.part, segment, bytes })?;
        }
        let seconds = (start + duration) as f64 / f64::from(self.job.audio.sample_rate);
        let pts = self.job.source.time_base.ticks(seconds + self.job.origin_seconds);
        self.link.send(&FromCodec::Progress { frames: self.frames, pts })?;
        if self.segments == self.part_segments { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Outcome<()> {
        let Some(mut report) = self.report.take() else { return Ok(()) };
        let samples = (report.end - report.start).max(0) as f64;
        let seconds = samples / f64::from(self.job.audio.sample_rate);
        report.lost_seconds = self.lost_seconds.min(seconds);
        self.lost_seconds -= report.lost_seconds;
        let cpu = cpu_seconds();
        report.cpu_seconds = cpu - self.cpu_before;
        self.cpu_before = cpu;
        if !self.job.done.contains(&self.part) {
            self.link.send(&FromCodec::AudioPartDone(report))?;
        }
        self.part += 1;
        self.segments = 0;
        self.bytes = 0;
        Ok(())
    }

    /// Closes the last part.
    pub(crate) fn finish(mut self) -> Outcome<Report> {
        self.close()?;
        Ok(Report::Audio { parts: self.part })
    }
}
