//! Checks the form of CMAF fragments and initialisation segments: the expected boxes, of permitted sizes.
//!
//! The content of the boxes is not checked. Only confined processes and players read it.

use serde_bytes::ByteBuf;

use super::breach::{Checked, ensure};
use super::text;
use crate::codec::wire::Segment;

/// Most bytes of an initialisation segment: parameter sets and some fixed boxes, usually 800.
pub(super) const INIT_BYTES_MAX: usize = 8 << 10;

/// Bytes of a `moof` besides its samples, usually 100.
const MOOF_BYTES_BASE: u64 = 512;
/// Bytes per sample in a `moof`: duration, size, flags and composition offset.
const MOOF_BYTES_PER_SAMPLE: u64 = 16;
/// Bytes of the size and name of an `mdat`.
const MDAT_HEADER: u64 = 8;

/// Consecutive segments of one object.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Bytes so far.
    bytes: u64,
    /// Start of the first segment.
    pub(super) start: Option<i64>,
    /// Start of the next segment; `None` if it may be anywhere.
    pub(super) next: Option<i64>,
    pub(super) segments: u64,
    pub(super) frames: u64,
}

impl Row {
    /// An empty object whose first segment starts at `next`.
    pub(super) fn from(next: i64) -> Self {
        Self { next: Some(next), ..Self::default() }
    }

    /// Checks and adds the next segment.
    pub(super) fn append(&mut self, segment: &Segment, bytes: &[u8]) -> Checked {
        let Segment { offset, bytes: length, header_bytes, start, duration, frames } = segment;
        ensure(*offset == self.bytes, "a segment that leaves a hole in its object")?;
        ensure(*length == bytes.len() as u64, "a segment of another length than its bytes")?;
        ensure(*frames > 0 && *duration > 0, "a segment without frames or duration")?;
        text::tick(*start)?;
        text::tick(*duration)?;
        ensure(self.next.is_none_or(|next| next == *start), "a segment that does not follow")?;
        fragment(bytes, u64::from(*header_bytes), u64::from(*frames))?;
        self.bytes = self.bytes.saturating_add(*length);
        self.start = self.start.or(Some(*start));
        self.next = Some(start.saturating_add(*duration));
        self.segments += 1;
        self.frames += u64::from(*frames);
        Ok(())
    }
}

/// Most bytes of a fragment besides its `frames` frames.
pub(super) fn overhead_max(frames: u64) -> u64 {
    MOOF_BYTES_BASE + MDAT_HEADER + frames.saturating_mul(MOOF_BYTES_PER_SAMPLE)
}

/// Checks that the bytes are one `moof` and one `mdat`.
fn fragment(bytes: &[u8], header: u64, frames: u64) -> Checked {
    ensure(
        header + MDAT_HEADER <= overhead_max(frames),
        "a header larger than its frames explain",
    )?;
    let moof = length_of(bytes, *b"moof") == Some(header);
    let content = usize::try_from(header).ok().and_then(|header| bytes.get(header..));
    let mdat = content.is_some_and(|rest| length_of(rest, *b"mdat") == Some(rest.len() as u64));
    ensure(moof && mdat, "a fragment that is none")
}

/// Checks that the bytes are one `ftyp` and one `moov`.
pub(super) fn init(bytes: &ByteBuf) -> Checked {
    ensure(bytes.len() <= INIT_BYTES_MAX, "an initialisation segment that is too long")?;
    let header = length_of(bytes, *b"ftyp").and_then(|length| usize::try_from(length).ok());
    let rest = header.and_then(|header| bytes.get(header..)).unwrap_or_default();
    let moov = length_of(rest, *b"moov") == Some(rest.len() as u64);
    ensure(moov, "an initialisation segment that is none")
}

/// Length of the box that `bytes` begin with; `None` if it is no `kind`.
fn length_of(bytes: &[u8], kind: [u8; 4]) -> Option<u64> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u64::from(u32::from_be_bytes(*length));
    (rest.starts_with(&kind) && length >= MDAT_HEADER).then_some(length)
}
