//! Reads back a finished file with libav's own demuxer and decoder.
//!
//! Invariants: nothing is stored; the file is a view of its pieces. One damaged packet fails the file.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Packet, Rational, ffi, format, media};
use jetreel_domain::codec::wire::{Budget, FromCodec, Verified};
use sha2::{Digest as _, Sha256};

use crate::decode::{Decoder, Pull, short_hash};
use crate::facts;
use crate::failure::{Outcome, internal, own_failure};
use crate::link::Link;
use crate::table::Payload;

/// Size of the first range read after a seek. Sequential reads grow up to [`WINDOW_BYTES_MAX`].
const WINDOW_BYTES_MIN: u64 = 64 << 10;
/// Largest range read in bytes.
const WINDOW_BYTES_MAX: u64 = 1 << 20;
/// Frames between two progress messages.
const PROGRESS_FRAMES: u64 = 256;

/// A file made of a header and of pieces of stored objects.
pub(crate) struct File {
    link: Link,
    header: Vec<u8>,
    /// File offset of each payload's first byte.
    payloads: Vec<(u64, Payload)>,
    size: u64,
    position: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl File {
    /// `header`, then `payloads` in order.
    pub(crate) fn new(
        link: Link,
        header: Vec<u8>,
        payloads: impl Iterator<Item = Payload>,
    ) -> Self {
        let mut size = header.len() as u64;
        let placed = payloads.map(|payload| {
            let start = size;
            size += payload.bytes;
            (start, payload)
        });
        let payloads = placed.collect();
        Self { link, header, payloads, size, position: 0, window: Vec::new(), window_start: 0 }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The available bytes at the position.
    fn fetch(&mut self) -> Result<&[u8]> {
        let position = self.position;
        if let Some(rest) = usize::try_from(position).ok().and_then(|at| self.header.get(at..))
            && !rest.is_empty()
        {
            return Ok(rest);
        }
        let length = self.window.len() as u64;
        let held = self.window_start..self.window_start + length;
        if !held.contains(&position) {
            let index = self.payloads.partition_point(|(start, _)| *start <= position);
            let Some((start, payload)) = index.checked_sub(1).map(|index| self.payloads[index])
            else {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            };
            let inside = position - start;
            let wanted = if position == held.end { length * 2 } else { 0 };
            let wanted = wanted.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
            let length = (payload.bytes - inside).min(wanted) as u32;
            self.window = self
                .link
                .read(payload.object, payload.offset + inside, length)
                .map_err(|failure| Error::other(failure.detail))?;
            self.window_start = position;
        }
        let inside = (position - self.window_start) as usize;
        Ok(self.window.get(inside..).unwrap_or_default())
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.position >= self.size {
            return Ok(0);
        }
        let bytes = self.fetch()?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Decodes the picture track of `file` from start to end.
pub(crate) fn decode(
    link: &Link,
    file: File,
    timescale: u32,
    budget: &Budget,
) -> Outcome<Verified> {
    let mut options = Dictionary::new();
    options.set("protocol_whitelist", "none");
    options.set("format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2");
    let mut input = StreamIo::from_read_seek(file)
        .and_then(|io| format::input_from_stream(io, None, Some(options)))
        .map_err(|error| own_failure(error, "open the finished file"))?;
    let stream = input
        .streams()
        .best(media::Type::Video)
        .ok_or_else(|| internal("the finished file has no pictures"))?;
    let (index, time_base) = (stream.index(), stream.time_base());
    if time_base != Rational(1, i32::try_from(timescale).unwrap_or(i32::MAX)) {
        return Err(internal(format!("the finished file has the time base {time_base}")));
    }
    let mut count =
        Count::new(link, Decoder::open(&stream, facts::rational(time_base), &[], budget)?);
    skip_others(&mut input, index);
    loop {
        let mut packet = Packet::empty();
        match packet.read(&mut input) {
            Ok(()) if packet.stream() != index => {}
            Ok(()) => count.feed(Some(&packet))?,
            Err(ffmpeg_next::Error::Eof) => break,
            Err(error) => {
                link.fault()?;
                return Err(own_failure(error, "read the finished file"));
            }
        }
    }
    link.fault()?;
    count.feed(None)?;
    count.verified()
}

/// Makes the demuxer read only one stream.
fn skip_others(input: &mut format::context::Input, wanted: usize) {
    for mut stream in input.streams_mut().filter(|stream| stream.index() != wanted) {
        #[expect(unsafe_code, reason = "discard is a plain field that the caller of libav sets")]
        unsafe {
            (*stream.as_mut_ptr()).discard = ffi::AVDiscard::AVDISCARD_ALL;
        }
    }
}

/// Counts decoded frames.
struct Count<'a> {
    link: &'a Link,
    decoder: Decoder,
    frames: u64,
    start: Option<i64>,
    hash: Sha256,
}

impl<'a> Count<'a> {
    fn new(link: &'a Link, decoder: Decoder) -> Self {
        Self { link, decoder, frames: 0, start: None, hash: Sha256::new() }
    }

    fn feed(&mut self, packet: Option<&Packet>) -> Outcome<()> {
        self.decoder.push(packet)?;
        let mut frame = Video::empty();
        while self.decoder.pull(&mut frame)? == Pull::Frame {
            let pts = frame
                .timestamp()
                .ok_or_else(|| internal("a frame of the finished file has no time"))?;
            if frame.is_corrupt() || frame.has_decode_errors() {
                return Err(internal(format!(
                    "the frame at {pts} of the finished file is damaged"
                )));
            }
            self.start.get_or_insert(pts);
            self.hash.update(pts.to_be_bytes());
            self.frames += 1;
            if self.frames.is_multiple_of(PROGRESS_FRAMES) {
                self.link.send(&FromCodec::Progress { frames: self.frames, pts })?;
            }
        }
        match self.decoder.damage() {
            0 => Ok(()),
            damage => Err(internal(format!("{damage} damaged packets in the finished file"))),
        }
    }

    fn verified(self) -> Outcome<Verified> {
        let start = self.start.ok_or_else(|| internal("the finished file has no frames"))?;
        let pts_hash = short_hash(&self.hash.finalize());
        Ok(Verified { frames: self.frames, start, pts_hash })
    }
}
