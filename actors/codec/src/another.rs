//! Finds another recording that libav does not read: joined files of containers that end with their first recording.
//!
//! Invariants: an ordinary file has none. Only a few headers are read.

use crate::boxes::Movie;
use crate::failure::Outcome;
use crate::input::{Input, MOVIE_FORMAT};
use crate::link::Link;
use crate::partitions::{self, MXF_FORMAT};

/// Most objects of an ASF file that are examined: header, data and a few indexes.
const OBJECTS_MAX: usize = 64;
/// First bytes of the header object, little-endian fields first.
const ASF_HEADER: [u8; 16] =
    [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0, 0xaa, 0, 0x62, 0xce, 0x6c];
/// Bytes of an object before its content: its kind and its length.
const ASF_HEAD: usize = 24;

/// Bytes of an MXF that contain the position of its footer.
const MXF_HEAD: u64 = 256;

/// Bytes per read after the last packet of an Ogg file, and number of reads. A page has at most 65,307 bytes.
const OGG_BYTES: u64 = 128 << 10;
const OGG_READS_MAX: usize = 64;
/// Bytes of a page before its segment table.
const OGG_HEAD: usize = 27;
/// Flag of a page that begins a stream.
const OGG_BEGINS: u8 = 0x02;

/// First byte of a recording after the one that was read, whose last packet is at `last_byte`.
pub(crate) fn recording(
    link: &Link,
    size: u64,
    input: &Input,
    movie: Option<&Movie>,
    last_byte: u64,
) -> Outcome<Option<u64>> {
    match input.format().as_str() {
        MOVIE_FORMAT if movie.is_some_and(|movie| movie.fragmented) => Ok(input.another_movie()),
        MOVIE_FORMAT => Ok(movie.and_then(|movie| movie.another)),
        MXF_FORMAT => mxf(link, size),
        "asf" => asf(link, size),
        "ogg" => ogg(link, size, last_byte),
        _ => Ok(None),
    }
}

/// A header partition after the footer.
fn mxf(link: &Link, size: u64) -> Outcome<Option<u64>> {
    let head = link.read(0, 0, MXF_HEAD.min(size) as u32)?;
    partitions::another(link, 0, size, &head)
}

/// A second header among the objects.
fn asf(link: &Link, size: u64) -> Outcome<Option<u64>> {
    let mut position = 0;
    for _ in 0..OBJECTS_MAX {
        if position + ASF_HEAD as u64 > size {
            break;
        }
        let head = link.read(0, position, ASF_HEAD as u32)?;
        if position > 0 && head.starts_with(&ASF_HEADER) {
            return Ok(Some(position));
        }
        match asf_length(&head) {
            Some(length) if length <= size - position => position += length,
            Some(_) | None => break,
        }
    }
    Ok(None)
}

/// Size of an object in bytes; `None` if it is unknown.
fn asf_length(head: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(head.get(16..ASF_HEAD)?.try_into().ok()?);
    (length >= ASF_HEAD as u64).then_some(length)
}

/// A page that begins a stream, after the page at `last_byte`.
fn ogg(link: &Link, size: u64, last_byte: u64) -> Outcome<Option<u64>> {
    let mut position = last_byte;
    for _ in 0..OGG_READS_MAX {
        if position >= size {
            break;
        }
        let bytes = link.read(0, position, OGG_BYTES.min(size - position) as u32)?;
        let (found, passed) = pages(&bytes);
        match found {
            Some(at) if position + at > last_byte => return Ok(Some(position + at)),
            _ if passed == 0 => break,
            Some(_) | None => position += passed,
        }
    }
    Ok(None)
}

/// Position of the first page that begins a stream, except one at the very beginning, and the size of all whole pages.
fn pages(bytes: &[u8]) -> (Option<u64>, u64) {
    let mut at = 0;
    while let Some(page) = bytes.get(at..).filter(|page| page.starts_with(b"OggS")) {
        let begins = page.get(5).is_some_and(|flags| flags & OGG_BEGINS != 0);
        if begins && at > 0 {
            return (Some(at as u64), at as u64);
        }
        let Some(segments) = page.get(OGG_HEAD - 1).map(|count| usize::from(*count)) else { break };
        let Some(table) = page.get(OGG_HEAD..OGG_HEAD + segments) else { break };
        let length =
            OGG_HEAD + segments + table.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        if page.len() < length {
            break;
        }
        at += length;
    }
    (None, at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(flags: u8, segments: &[u8]) -> Vec<u8> {
        let body = segments.iter().map(|byte| usize::from(*byte)).sum();
        let head = [&b"OggS\0"[..], &[flags], &[0; 20], &[segments.len() as u8]].concat();
        [head, segments.to_vec(), vec![7; body]].concat()
    }

    #[test]
    fn pages_that_begin_a_stream_are_found_behind_the_first() {
        let last = [page(0, &[255, 3]), page(4, &[])].concat();
        assert_eq!(pages(&last), (None, last.len() as u64));
        let joined = [last.clone(), page(2, &[30]), page(0, &[9])].concat();
        assert_eq!(pages(&joined).0, Some(last.len() as u64));
        // The only page of a stream.
        assert_eq!(pages(&page(2, &[30])).0, None);
    }

    #[test]
    fn pages_that_are_cut_short_are_not_passed() {
        let whole = [page(0, &[255, 3]), page(0, &[200])].concat();
        let first = page(0, &[255, 3]).len() as u64;
        for length in [first as usize + 3, first as usize + 26, whole.len() - 1] {
            assert_eq!(pages(&whole[..length]), (None, first), "{length}");
        }
        assert_eq!(pages(b"no pages"), (None, 0));
    }

    #[test]
    fn an_object_that_does_not_tell_its_length_ends_the_search() {
        let head = |length: u64| [&ASF_HEADER[..], &length.to_le_bytes()].concat();
        assert_eq!(asf_length(&head(5000)), Some(5000));
        assert_eq!(asf_length(&head(0)), None);
        assert_eq!(asf_length(&head(50)[..20]), None);
    }
}
