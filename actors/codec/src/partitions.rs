//! Finds another recording in an MXF: a header partition after the footer of the first. libav gives all of its pictures the same time.
//!
//! Invariant: only a few headers are read.

use crate::failure::Outcome;
use crate::link::Link;

/// Name of libav's demuxer.
pub(crate) const MXF_FORMAT: &str = "mxf";
/// The key of a partition pack up to its kind (SMPTE 377-1, 7.1).
const PARTITION: [u8; 13] =
    [0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01, 0x0d, 0x01, 0x02, 0x01, 0x01];
/// The kind of a header partition.
const HEADER: u8 = 0x02;
const KEY_BYTES: usize = 16;
/// Bytes of a key and of the longest length.
const HEAD_BYTES: u64 = KEY_BYTES as u64 + 9;
/// Offset of the footer's position in the content of a partition pack.
const FOOTER_AT: usize = 24;
/// Items after the footer that are examined: index, metadata, fill.
const ITEMS_MAX: usize = 256;

/// First byte of a recording after the first one, whose first bytes are `head`.
pub(crate) fn another(link: &Link, object: u32, size: u64, head: &[u8]) -> Outcome<Option<u64>> {
    let Some(mut position) = footer(head).filter(|footer| *footer > 0) else { return Ok(None) };
    for _ in 0..ITEMS_MAX {
        let Some(rest) = size.checked_sub(position).filter(|rest| *rest >= HEAD_BYTES) else {
            break;
        };
        let item = link.read(object, position, HEAD_BYTES as u32)?;
        if is_header(&item) {
            return Ok(Some(position));
        }
        match length(&item) {
            Some(length) if length < rest => position += length,
            Some(_) | None => break,
        }
    }
    Ok(None)
}

fn is_header(item: &[u8]) -> bool {
    item.starts_with(&PARTITION) && item.get(PARTITION.len()) == Some(&HEADER)
}

/// Position of the footer from the header partition.
fn footer(head: &[u8]) -> Option<u64> {
    if !is_header(head) {
        return None;
    }
    let (_, content) = content(head)?;
    let place = head.get(content + FOOTER_AT..)?.first_chunk()?;
    Some(u64::from_be_bytes(*place))
}

/// Size of an item with its key in bytes.
fn length(item: &[u8]) -> Option<u64> {
    let (length, content) = content(item)?;
    length.checked_add(content as u64)
}

/// Size of an item's content in bytes, and its offset.
fn content(item: &[u8]) -> Option<(u64, usize)> {
    if item.get(..4)? != &PARTITION[..4] {
        return None;
    }
    let first = *item.get(KEY_BYTES)?;
    if first < 0x80 {
        return Some((u64::from(first), KEY_BYTES + 1));
    }
    let bytes = item.get(KEY_BYTES + 1..)?.get(..usize::from(first & 0x7f))?;
    let length = bytes.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    (1..=8).contains(&bytes.len()).then_some((length, KEY_BYTES + 1 + bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, footer: u64) -> Vec<u8> {
        let mut bytes = [&PARTITION[..], &[kind, 4, 0, 0x83, 0, 0, 0x88]].concat();
        bytes.extend([0; FOOTER_AT]);
        bytes.extend(footer.to_be_bytes());
        bytes
    }

    #[test]
    fn the_header_tells_where_the_footer_is() {
        assert_eq!(footer(&header(2, 1_042_944)), Some(1_042_944));
        assert_eq!(footer(&header(4, 1_042_944)), None);
        assert_eq!(footer(&header(2, 9)[..50]), None);
        assert_eq!(footer(b"no partition"), None);
    }

    #[test]
    fn lengths_are_read_as_they_are_written() {
        let item = |length: &[u8]| [&PARTITION[..], &[5, 1, 0], length, &[7; 8]].concat();
        assert_eq!(length(&item(&[0x28])), Some(16 + 1 + 0x28));
        assert_eq!(length(&item(&[0x82, 1, 0])), Some(16 + 3 + 256));
        assert_eq!(length(&item(&[0x80])), None);
        assert_eq!(length(&item(&[0x89])), None);
        assert_eq!(length(&[&item(&[0x88])[..17], &[0xff; 8]].concat()), None);
        assert_eq!(length(b"0123456789012345\x01"), None);
    }
}
