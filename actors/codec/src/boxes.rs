//! MP4 boxes that libav does not expose: edits, sample descriptions, fragments, encryption, another movie.
//!
//! Invariants: only headers and `moov` are read. Sizes are checked against the existing bytes. Nothing is allocated that a file merely
//! declares.

use crate::edits;
use crate::failure::Outcome;
use crate::link::Link;
use crate::source::Mend;
use crate::toplevel::{TopLevel, header};

/// Largest `moov` that is examined. Ten hours of video stay below it.
const MOOV_BYTES_MAX: u64 = 128 << 20;
/// Top-level boxes that are examined. Fragmented files have thousands, with `moov` among the first.
const TOP_BOXES_MAX: usize = 64;
/// Bytes per read.
const READ_BYTES: u64 = 4 << 20;

/// Facts from an MP4's `moov`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Movie {
    /// Whether fragments follow, so that the sample tables are incomplete.
    pub fragmented: bool,
    pub tracks: Vec<TrackBoxes>,
    /// Position of another movie in the file. Not searched after fragments, which are many.
    pub another: Option<u64>,
}

/// Facts from a `trak`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TrackBoxes {
    /// Track id, equal to libav's stream id.
    pub id: u32,
    /// Number of edits that show media.
    pub media_edits: u32,
    /// Number of sample descriptions.
    pub descriptions: u32,
    /// Whether the samples are encrypted.
    pub encrypted: bool,
}

/// Reads the `moov` of an object; `None` if there is none, or it is compressed or too large.
pub(crate) fn movie(link: &Link, object: u32, size: u64) -> Outcome<Option<Movie>> {
    let (mut boxes, mut movie) = (TopLevel::new(size), None);
    while let Some((start, body)) = next_moov(&mut boxes, link, object, size)? {
        if movie.is_some() {
            continue;
        }
        let Some(found) = moov(link, object, start, body)?.map(|moov| parse(&moov)) else {
            return Ok(None);
        };
        if found.fragmented {
            return Ok(Some(found));
        }
        movie = Some(found);
    }
    Ok(movie.map(|movie| Movie { another: boxes.another(), ..movie }))
}

/// Bytes to read differently so that libav shows tracks whose only edit has the duration 0, which means the whole media. Fragmented movies
/// have such edits too, and libav handles them.
pub(crate) fn mends(link: &Link, object: u32, size: u64) -> Outcome<Vec<Mend>> {
    let found = next_moov(&mut TopLevel::new(size), link, object, size)?;
    let Some((start, body)) = found else { return Ok(Vec::new()) };
    let Some(moov) = moov(link, object, start, body)? else { return Ok(Vec::new()) };
    Ok(if child(&moov, b"mvex").is_some() { Vec::new() } else { edits::whole(&moov, start) })
}

/// Start and length of the content of the next `moov` among the first boxes.
fn next_moov(
    boxes: &mut TopLevel,
    link: &Link,
    object: u32,
    size: u64,
) -> Outcome<Option<(u64, u64)>> {
    for _ in 0..TOP_BOXES_MAX {
        let Some(position) = boxes.next() else { return Ok(None) };
        let head = link.read(object, position, (size - position).min(16) as u32)?;
        let Some(found) = boxes.see(position, &head) else { return Ok(None) };
        if &found.kind == b"moov" {
            return Ok(Some((found.position + found.header, found.length - found.header)));
        }
    }
    Ok(None)
}

/// The content of a `moov`, unless it is too large.
fn moov(link: &Link, object: u32, start: u64, body: u64) -> Outcome<Option<Vec<u8>>> {
    if body > MOOV_BYTES_MAX {
        return Ok(None);
    }
    read_all(link, object, start, body).map(Some)
}

/// Whether an object begins like an MP4 or MOV.
pub(crate) fn begins(link: &Link, object: u32, size: u64) -> bool {
    const FIRST: [&[u8]; 6] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"];
    let head = link.read(object, 0, size.min(8) as u32).unwrap_or_default();
    head.get(4..8).is_some_and(|kind| FIRST.contains(&kind))
}

/// `length` bytes of an object from `start` on, fewer at its end.
pub(crate) fn read_all(link: &Link, object: u32, start: u64, length: u64) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < length {
        let done = bytes.len() as u64;
        let part = link.read(object, start + done, (length - done).min(READ_BYTES) as u32)?;
        if part.is_empty() {
            break;
        }
        bytes.extend(part);
    }
    Ok(bytes)
}

/// The boxes directly inside `bytes`.
pub(crate) fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, header, length) = header(bytes, bytes.len() as u64)?;
        let (this, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
        bytes = rest;
        Some((kind, this.get(header as usize..)?))
    })
}

/// The first box of a kind directly inside `bytes`.
pub(crate) fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(found, _)| found == kind).map(|(_, body)| body)
}

fn parse(moov: &[u8]) -> Movie {
    let tracks = children(moov).filter(|(kind, _)| kind == b"trak").map(|(_, body)| track(body));
    Movie { fragmented: child(moov, b"mvex").is_some(), tracks: tracks.collect(), another: None }
}

fn track(trak: &[u8]) -> TrackBoxes {
    let head = child(trak, b"tkhd").unwrap_or_default();
    // Version 1 has 64-bit times before the id.
    let id_at = if head.first() == Some(&1) { 20 } else { 12 };
    let stsd = child(trak, b"mdia")
        .and_then(|body| child(body, b"minf"))
        .and_then(|body| child(body, b"stbl"))
        .and_then(|body| child(body, b"stsd"))
        .unwrap_or_default();
    let entries = children(stsd.get(8..).unwrap_or_default());
    TrackBoxes {
        id: u32_at(head, id_at).unwrap_or(0),
        media_edits: child(trak, b"edts")
            .and_then(|body| child(body, b"elst"))
            .map_or(0, media_edits),
        descriptions: u32_at(stsd, 4).unwrap_or(0),
        encrypted: entries.map(|(kind, _)| kind).any(|kind| &kind == b"encv" || &kind == b"enca"),
    }
}

fn media_edits(elst: &[u8]) -> u32 {
    let wide = elst.first() == Some(&1);
    let count = u32_at(elst, 4).unwrap_or(0) as usize;
    let entries = elst.get(8..).unwrap_or_default();
    let empty = |entry: &[u8]| {
        // An edit that shows nothing has the media time -1.
        let time = if wide { entry.get(8..16) } else { entry.get(4..8) };
        time.is_some_and(|time| time.iter().all(|byte| *byte == 0xff))
    };
    let shown = entries.chunks_exact(if wide { 20 } else { 12 }).take(count);
    u32::try_from(shown.filter(|entry| !empty(entry)).count()).unwrap_or(u32::MAX)
}

/// Four bytes as a number.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], body].concat()
    }

    fn moov(elst: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 12];
        head.extend(7_u32.to_be_bytes());
        let stsd = [&[0, 0, 0, 0, 0, 0, 0, 2][..], &boxed(b"encv", &[0; 8]), &boxed(b"avc1", &[])];
        let stbl = boxed(b"stbl", &boxed(b"stsd", &stsd.concat()));
        let trak = [
            boxed(b"tkhd", &head),
            boxed(b"edts", &boxed(b"elst", elst)),
            boxed(b"mdia", &boxed(b"minf", &stbl)),
        ];
        [boxed(b"trak", &trak.concat()), boxed(b"mvex", &[])].concat()
    }

    #[test]
    fn empty_edits_do_not_count() {
        let mut elst = vec![0, 0, 0, 0, 0, 0, 0, 2];
        elst.extend([0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0]);
        elst.extend([0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 0]);
        let movie = parse(&moov(&elst));
        let track = TrackBoxes { id: 7, media_edits: 1, descriptions: 2, encrypted: true };
        assert_eq!(movie, Movie { fragmented: true, tracks: vec![track], another: None });
    }

    #[test]
    fn claims_beyond_the_bytes_are_not_believed() {
        assert_eq!(media_edits(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), 0);
        assert_eq!(parse(&[0, 0, 0, 99, b't', b'r', b'a', b'k']), Movie::default());
        assert_eq!(header(&[0, 0, 0, 4, b'm', b'o', b'o', b'v'], 100), None);
    }
}
