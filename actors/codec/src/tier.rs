//! One tier of one chunk: frames in, fragments out.
//!
//! Invariants: every kept frame leaves exactly once. Segments begin with an IDR at the instants of the grid. Durations tile the chunk
//! without gap or overlap.

use std::collections::VecDeque;

use ffmpeg_next::frame::Video;
use jetreel_domain::codec::wire::{EncoderSpec, FromCodec, Segment, TierReport};
use jetreel_domain::plan::gop::Mark;
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::decode::short_hash;
use crate::encode::{Coded, Encoder, Settings};
use crate::failure::{Outcome, internal};
use crate::link::Link;
use crate::mux::{self, Clock};

/// A tier of a chunk being encoded.
pub(crate) struct Tier {
    chunk: u32,
    index: u32,
    encoder: Encoder,
    init: Vec<u8>,
    /// See [`Clock::shift`].
    shift: u32,
    /// PTS of segments whose IDR has not left the encoder yet.
    announced: VecDeque<i64>,
    /// Coded frames of the open segment.
    coded: Vec<Coded>,
    /// Number of bytes sent.
    offset: u64,
    segments: u32,
    frames_in: u64,
    pts: Vec<i64>,
    idr: Vec<i64>,
    cpu: f64,
}

impl Tier {
    /// Opens the tier with index `index` of the job for `chunk`.
    pub(crate) fn open(
        chunk: u32,
        index: u32,
        spec: &EncoderSpec,
        settings: &Settings<'_>,
    ) -> Outcome<Self> {
        let before = clock::thread_seconds();
        let encoder = Encoder::open(spec, settings)?;
        let clock = Clock { timescale: settings.timescale, shift: settings.composition_shift };
        let init = mux::video_init(spec.width, spec.height, clock, encoder.configuration())?;
        Ok(Self {
            chunk,
            index,
            encoder,
            init,
            shift: settings.composition_shift,
            announced: VecDeque::new(),
            coded: Vec::new(),
            offset: 0,
            segments: 0,
            frames_in: 0,
            pts: Vec::new(),
            idr: Vec::new(),
            cpu: clock::thread_seconds() - before,
        })
    }

    /// Encodes a kept frame at `pts` (output ticks).
    pub(crate) fn encode(
        &mut self,
        frame: &mut Video,
        pts: i64,
        mark: Mark,
        link: &Link,
    ) -> Outcome<()> {
        if mark.segment {
            self.announced.push_back(pts);
        }
        self.frames_in += 1;
        let before = clock::thread_seconds();
        let mut fresh = Vec::new();
        self.encoder.encode(frame, pts, mark.idr, &mut fresh)?;
        self.cpu += clock::thread_seconds() - before;
        self.accept(fresh, link)
    }

    /// Ends the tier. `end` is where its last frame ends, in output ticks.
    pub(crate) fn finish(mut self, end: i64, link: &Link) -> Outcome<TierReport> {
        let before = clock::thread_seconds();
        let mut fresh = Vec::new();
        self.encoder.finish(&mut fresh)?;
        self.cpu += clock::thread_seconds() - before;
        self.accept(fresh, link)?;
        let last = self.pts.iter().copied().max();
        let end = last.map_or(end, |last| end.max(last + 1));
        self.close_segment(end, link)?;
        if self.pts.len() as u64 != self.frames_in {
            return Err(internal(format!(
                "{} frames went into an encoder, {} came out",
                self.frames_in,
                self.pts.len()
            )));
        }
        self.pts.sort_unstable();
        let mut hash = Sha256::new();
        self.pts.iter().for_each(|pts| hash.update(pts.to_be_bytes()));
        Ok(TierReport {
            init: ByteBuf::from(self.init),
            frames: self.pts.len() as u64,
            frames_in: self.frames_in,
            pts_hash: short_hash(&hash.finalize()),
            start: self.pts.first().copied().unwrap_or(end),
            end,
            idr: self.idr,
            cpu_seconds: self.cpu,
        })
    }

    fn accept(&mut self, fresh: Vec<Coded>, link: &Link) -> Outcome<()> {
        for coded in fresh {
            if coded.idr && self.announced.front() == Some(&coded.pts) {
                self.announced.pop_front();
                self.close_segment(coded.pts, link)?;
            }
            if coded.idr {
                self.idr.push(coded.pts);
            }
            self.pts.push(coded.pts);
            self.coded.push(coded);
        }
        Ok(())
    }

    /// Sends the open segment, which ends at `end`.
    fn close_segment(&mut self, end: i64, link: &Link) -> Outcome<()> {
        if self.coded.is_empty() {
            return Ok(());
        }
        let samples = samples(std::mem::take(&mut self.coded), end);
        let start = samples.iter().map(|sample| sample.pts).min().unwrap_or(end);
        self.segments += 1;
        let (bytes, header_bytes) = mux::fragment(self.segments, mux::TRACK, self.shift, &samples)?;
        let segment = Segment {
            offset: self.offset,
            bytes: bytes.len() as u64,
            header_bytes,
            start,
            duration: end - start,
            frames: samples.len() as u32,
        };
        self.offset += segment.bytes;
        link.send(&FromCodec::Fragment {
            chunk: self.chunk,
            tier: self.index,
            segment,
            bytes: ByteBuf::from(bytes),
        })
    }
}

/// Samples in decode order, each lasting until the next one in presentation order, the last until `end`.
fn samples(coded: Vec<Coded>, end: i64) -> Vec<mux::Sample> {
    let mut instants: Vec<i64> = coded.iter().map(|coded| coded.pts).collect();
    instants.sort_unstable();
    instants.push(end);
    coded
        .into_iter()
        .map(|coded| {
            let next = instants.partition_point(|instant| *instant <= coded.pts);
            let until = instants.get(next).copied().unwrap_or(end);
            mux::Sample {
                pts: coded.pts,
                duration: u32::try_from(until - coded.pts).unwrap_or(u32::MAX),
                sync: coded.idr,
                data: coded.data,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_presentation_order_and_reach_the_end() {
        let coded = [0, 30, 10, 20].map(|pts| Coded { pts, idr: pts == 0, data: vec![1] });
        let samples = samples(coded.into(), 45);
        let durations: Vec<(i64, u32)> = samples.iter().map(|s| (s.pts, s.duration)).collect();
        assert_eq!(durations, [(0, 10), (30, 15), (10, 10), (20, 10)]);
    }
}
