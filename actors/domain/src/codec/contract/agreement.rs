//! The contract of one job: checks its frames from the greeting to the last one.

use super::breach::{Breach, Checked, ensure, nonsense};
use super::frame::FrameKind;
use super::reads::Reads;
use super::terms::{DETAIL_BYTES_MAX, MESSAGE_BYTES_MAX, Terms};
use super::text;
use crate::codec::wire::{CodecFailure, FromCodec, Job, Report};

/// Whether a permitted frame restarts the no-progress timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The frame shows progress.
    Progress,
    /// The frame shows none. A read counts as progress by the bytes that the node fetches for it.
    None,
}

/// The frames that the process of a job may still send.
#[derive(Debug, Clone)]
pub struct Contract {
    reads: Reads,
    terms: Terms,
    /// Frames in the last progress message.
    frames: u64,
    frames_max: u64,
    ended: bool,
}

impl Contract {
    /// The contract of a job that may take `cpu_seconds_max` seconds of CPU time.
    #[must_use]
    pub fn new(job: &Job, cpu_seconds_max: f64) -> Self {
        let terms = Terms::new(job, cpu_seconds_max);
        let frames_max = terms.progress_max(job);
        Self { reads: Reads::new(job), terms, frames: 0, frames_max, ended: false }
    }

    /// Largest frame body that is permitted next, in bytes.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        let kinds = FrameKind::ALL.into_iter();
        kinds.map(|kind| self.terms.bytes_max(kind)).max().unwrap_or(0)
    }

    /// Checks that a frame body of this kind may have `bytes` bytes.
    ///
    /// # Errors
    /// The broken rule.
    pub fn admit_length(&self, kind: FrameKind, bytes: usize) -> Checked {
        ensure(bytes <= self.terms.bytes_max(kind), "a frame longer than its kind can be")
    }

    /// Checks that this may be the next frame.
    ///
    /// # Errors
    /// The broken rule.
    pub fn admit(&mut self, frame: &FromCodec) -> Result<Effect, Breach> {
        ensure(!self.ended, "a frame after the last word")?;
        match frame {
            FromCodec::Hello { .. } => return Err(nonsense("a second greeting")),
            FromCodec::Read { object, offset, length } => {
                self.reads.ask(*object, *offset, *length)?;
                return Ok(Effect::None);
            }
            FromCodec::Progress { frames, pts } => return self.progress(*frames, *pts),
            FromCodec::Fragment { .. }
            | FromCodec::Picture { .. }
            | FromCodec::ChunkDone(_)
            | FromCodec::AudioFragment { .. }
            | FromCodec::AudioPartDone(_)
            | FromCodec::Output { .. } => self.terms.result(frame)?,
            FromCodec::Done(report) => self.done(report)?,
            FromCodec::Failed(failure) => self.failed(failure)?,
        }
        Ok(Effect::Progress)
    }

    /// Counts bytes that the node fetched for a read.
    ///
    /// # Errors
    /// The reads exceed the limit of the work.
    pub fn fetched(&mut self, bytes: u64) -> Result<Effect, Breach> {
        self.reads.fetch(bytes)?;
        Ok(if bytes > 0 { Effect::Progress } else { Effect::None })
    }

    fn progress(&mut self, frames: u64, pts: i64) -> Result<Effect, Breach> {
        text::tick(pts)?;
        let counted = (self.frames..=self.frames_max).contains(&frames);
        ensure(counted && frames > 0, "a sign of life that goes back, or beyond the work")?;
        let effect = if frames > self.frames { Effect::Progress } else { Effect::None };
        self.frames = frames;
        Ok(effect)
    }

    fn done(&mut self, report: &Report) -> Checked {
        self.terms.report(report)?;
        self.ended = true;
        Ok(())
    }

    fn failed(&mut self, failure: &CodecFailure) -> Checked {
        let CodecFailure { code: _, message, detail } = failure;
        text::words(message, MESSAGE_BYTES_MAX)?;
        text::words(detail, DETAIL_BYTES_MAX)?;
        self.ended = true;
        Ok(())
    }
}
