//! A source object as a seekable byte stream: range reads over the link, with a few cached windows.
//!
//! Invariants: [`WINDOWS`] times [`WINDOW_BYTES_MAX`] bounds the memory. A failed read is an error, never an end.
//!
//! A source can be switched to blank. It then answers with zeros of the right length and requests nothing from its parent. If an index
//! describes all packets, a demuxer can so walk through a file of any size without reading it.

use std::io::{Error, Read, Result, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::link::Link;
use crate::toplevel::TopLevel;

/// Size of the first read after a seek.
const WINDOW_BYTES_MIN: u32 = 128 << 10;
/// Size to which sequential reads grow.
const WINDOW_BYTES_MAX: u32 = 1 << 20;
/// Number of windows. Pictures, audio and index may lie far apart.
const WINDOWS: usize = 4;

/// Reads an object of the job.
pub(crate) struct Source {
    link: Link,
    object: u32,
    size: u64,
    position: u64,
    /// Windows, most recently used last.
    windows: Vec<Window>,
    /// Set when bytes beyond the end were requested: libav's next error then means "cut short", not "damaged".
    past_end: Arc<AtomicBool>,
    blank: Arc<AtomicBool>,
    fetched: Arc<AtomicU64>,
    boxes: Arc<Mutex<TopLevel>>,
    mends: Vec<Mend>,
}

/// Bytes to read in place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mend {
    /// Position of the first of them.
    pub position: u64,
    pub bytes: Vec<u8>,
}

impl Mend {
    /// Replaces bytes that were read from `start` on.
    fn apply(&self, start: u64, bytes: &mut [u8]) {
        for (at, byte) in (self.position..).zip(&self.bytes) {
            let place = at.checked_sub(start).and_then(|at| usize::try_from(at).ok());
            place.and_then(|place| bytes.get_mut(place)).into_iter().for_each(|old| *old = *byte);
        }
    }
}

struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn contains(&self, position: u64) -> bool {
        (self.start..self.end()).contains(&position)
    }
}

impl Source {
    /// The object with index `object` and `size` bytes.
    pub(crate) fn new(link: Link, object: u32, size: u64) -> Self {
        Self {
            link,
            object,
            size,
            position: 0,
            windows: Vec::with_capacity(WINDOWS),
            past_end: Arc::default(),
            blank: Arc::default(),
            fetched: Arc::default(),
            boxes: Arc::new(Mutex::new(TopLevel::new(size))),
            mends: Vec::new(),
        }
    }

    /// Adds replacements of bytes.
    pub(crate) fn mended(self, mends: Vec<Mend>) -> Self {
        Self { mends, ..self }
    }

    /// Top-level boxes of an MP4 whose headers were read. In another container they are meaningless.
    pub(crate) fn boxes(&self) -> Arc<Mutex<TopLevel>> {
        Arc::clone(&self.boxes)
    }

    /// Set when bytes beyond the end were requested.
    pub(crate) fn past_end(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.past_end)
    }

    /// Set it to read zeros from now on.
    pub(crate) fn blank(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.blank)
    }

    /// Number of requested bytes.
    pub(crate) fn fetched(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.fetched)
    }

    /// Makes the window that holds the position the last one. Fetches it if needed.
    fn fetch(&mut self) -> Result<()> {
        let position = self.position;
        if let Some(index) = self.windows.iter().position(|window| window.contains(position)) {
            let window = self.windows.remove(index);
            self.windows.push(window);
            return Ok(());
        }
        // A window that ends here is being read sequentially, so a larger one replaces it.
        let follows = self.windows.iter().position(|window| window.end() == position);
        let length = match follows.map(|index| self.windows.remove(index)) {
            Some(window) => (window.bytes.len() as u32).saturating_mul(2),
            None => WINDOW_BYTES_MIN,
        };
        let length = length.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let length = u64::from(length).min(self.size - position) as u32;
        let mut bytes = self
            .link
            .read(self.object, position, length)
            .map_err(|failure| Error::other(failure.detail))?;
        self.mends.iter().for_each(|mend| mend.apply(position, &mut bytes));
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner).see(position, &bytes);
        self.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if self.windows.len() == WINDOWS {
            self.windows.remove(0);
        }
        self.windows.push(Window { start: position, bytes });
        Ok(())
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.position >= self.size {
            self.past_end.store(true, Ordering::Relaxed);
            return Ok(0);
        }
        if self.blank.load(Ordering::Relaxed) {
            let rest = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
            let length = rest.min(buffer.len());
            buffer[..length].fill(0);
            self.position += length as u64;
            return Ok(length);
        }
        self.fetch()?;
        let Some(window) = self.windows.last() else { return Ok(0) };
        let from = usize::try_from(self.position - window.start).unwrap_or(usize::MAX);
        let rest = window.bytes.get(from..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if length == 0 {
            self.past_end.store(true, Ordering::Relaxed);
        }
        buffer[..length].copy_from_slice(&rest[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
        };
        match position.filter(|position| *position <= i64::MAX as u64) {
            Some(position) => {
                if position > self.size {
                    self.past_end.store(true, Ordering::Relaxed);
                }
                self.position = position;
                Ok(position)
            }
            None => Err(Error::from(std::io::ErrorKind::InvalidInput)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_changed_whatever_window_they_lie_in() {
        let mend = Mend { position: 10, bytes: vec![1, 2, 3] };
        for (start, expected) in
            [(0, [0; 4]), (8, [0, 0, 1, 2]), (11, [2, 3, 0, 0]), (12, [3, 0, 0, 0]), (13, [0; 4])]
        {
            let mut bytes = [0; 4];
            mend.apply(start, &mut bytes);
            assert_eq!(bytes, expected, "{start}");
        }
    }
}
