//! The permitted frames of a task with named outputs: exactly its files, one after the other.

use std::collections::VecDeque;

use super::breach::{Checked, ensure, nonsense};
use super::fragment;
use crate::codec::wire::{ImagesJob, OUTPUT_BYTES, PackageJob, PackageTrack};
use crate::plan::thumbnails;

/// Bytes per pixel of a picture that cannot be compressed.
const PIXEL_BYTES: u64 = 3;
const JPEG_BYTES_BASE: u64 = 64 << 10;
/// Bytes of a progressive file's index besides its tables.
const INDEX_BYTES_BASE: u64 = 64 << 10;
/// Bytes per sample in the tables: duration, composition offset, size, key.
const SAMPLE_BYTES: u64 = 32;
/// Bytes per chunk in the tables: position and number of samples.
const CHUNK_BYTES: u64 = 32;

/// A file to be sent.
#[derive(Debug, Clone)]
struct Wanted {
    name: String,
    bytes_max: u64,
    /// The content, if it follows from the job.
    content: Option<Vec<u8>>,
}

/// Files still to be sent.
#[derive(Debug, Clone)]
pub(super) struct Files {
    wanted: VecDeque<Wanted>,
    /// Bytes of the first of `wanted` received so far.
    written: u64,
}

impl Files {
    /// The files of an images job: sheets, poster, index.
    pub(super) fn of_images(job: &ImagesJob) -> Self {
        let sheets = thumbnails::sheets(job).map(|sheet| Wanted {
            name: sheet.name,
            bytes_max: sheet.pixels.saturating_mul(PIXEL_BYTES) + JPEG_BYTES_BASE,
            content: None,
        });
        let poster = job.pictures.iter().map(|picture| u64::from(picture.bytes)).max();
        let poster = Wanted {
            name: thumbnails::POSTER.to_owned(),
            bytes_max: poster.unwrap_or(0),
            content: None,
        };
        let index = thumbnails::index(job).into_bytes();
        let index = Wanted {
            name: thumbnails::INDEX.to_owned(),
            bytes_max: index.len() as u64,
            content: Some(index),
        };
        Self { wanted: sheets.chain([poster, index]).collect(), written: 0 }
    }

    /// The file of a package job: the samples of its tracks, and their index.
    pub(super) fn of_package(job: &PackageJob) -> Self {
        let tracks = || [Some(&job.video), job.audio.as_ref()].into_iter().flatten();
        let bytes = tracks().map(track_bytes).fold(INDEX_BYTES_BASE, u64::saturating_add);
        let file = Wanted { name: job.name.clone(), bytes_max: bytes, content: None };
        Self { wanted: [file].into(), written: 0 }
    }

    /// Checks and counts bytes of a file.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8], end: bool) -> Checked {
        let wanted = self.wanted.front().filter(|wanted| wanted.name == name);
        let wanted = wanted.ok_or_else(|| nonsense("a file that is not to be made"))?;
        let whole = if end { bytes.len() <= OUTPUT_BYTES } else { bytes.len() == OUTPUT_BYTES };
        ensure(whole, "a piece of another length")?;
        let before = self.written;
        self.written += bytes.len() as u64;
        ensure(self.written <= wanted.bytes_max, "a file longer than it can be")?;
        ensure(!end || self.written > 0, "an empty file")?;
        if let Some(content) = &wanted.content {
            let ends = !end || self.written == content.len() as u64;
            let same = content.get(before as usize..self.written as usize) == Some(bytes);
            ensure(same && ends, "a file with other content than the job gives it")?;
        }
        if end {
            self.wanted.pop_front();
            self.written = 0;
        }
        Ok(())
    }

    /// Whether every file was sent.
    pub(super) fn complete(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// Number of samples of a track.
pub(super) fn samples(track: &PackageTrack) -> u64 {
    track.segments.iter().map(|(_, segment)| u64::from(segment.frames)).sum()
}

fn track_bytes(track: &PackageTrack) -> u64 {
    let content = track.segments.iter().map(|(_, segment)| segment.bytes);
    let content = content.fold(track.init.len() as u64, u64::saturating_add);
    let tables = samples(track) * SAMPLE_BYTES + track.segments.len() as u64 * CHUNK_BYTES;
    content.saturating_add(tables).saturating_add(fragment::overhead_max(0))
}
