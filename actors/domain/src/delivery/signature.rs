//! First bytes of the supported containers.
//!
//! Recognises files that are hardly videos without a codec process. Only the order of work may depend on the result: the codec decides what
//! a file is.

/// Boxes that an MP4 or MOV begins with, at its fifth byte (ISO/IEC 14496-12; QuickTime File Format).
const BOXES: [&[u8; 4]; 16] = [
    b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"sidx", b"emsg", b"prft", b"free", b"skip",
    b"wide", b"pnot", b"pict", b"junk", b"uuid", b"udta",
];

/// First bytes: EBML (RFC 8794), RIFF and its old relatives, FLV, Ogg (RFC 3533), the GUID of an ASF header.
const BEGINNINGS: [&[u8]; 7] = [
    &[0x1a, 0x45, 0xdf, 0xa3],
    b"RIFF",
    b"RIFX",
    b"ON2 ",
    b"FLV",
    b"OggS",
    &[0x30, 0x26, 0xb2, 0x75],
];

/// Byte sequences that may stand after others: a start code (ISO/IEC 13818-1), a SMPTE label, which an MXF file has within its first 64 KiB
/// (SMPTE ST 377-1), the head of a DV frame (IEC 61834).
const ANYWHERE: [&[u8]; 4] =
    [&[0, 0, 1], &[0x06, 0x0e, 0x2b, 0x34], &[0x1f, 0x07, 0x00, 0x3f], &[0x1f, 0x07, 0x00, 0xbf]];

/// Packet sizes of a transport stream: plain, preceded by a time stamp (Blu-ray), followed by Reed-Solomon bytes.
const PACKETS: [usize; 3] = [188, 192, 204];

/// First byte of a transport stream packet.
const SYNC: u8 = 0x47;

/// Packets in a row that identify a transport stream.
const RUN: usize = 4;

/// Whether a file may be a video. `head` holds its first 64 KiB, or all of it.
#[must_use]
pub fn is_plausible(head: &[u8]) -> bool {
    let boxed =
        head.get(4..8).is_some_and(|name| BOXES.iter().any(|known| name == known.as_slice()));
    boxed
        || BEGINNINGS.iter().any(|beginning| head.starts_with(beginning))
        || ANYWHERE.iter().any(|bytes| head.windows(bytes.len()).any(|there| there == *bytes))
        || PACKETS.iter().any(|bytes| is_transport(head, *bytes))
}

/// Whether packets of that size follow each other anywhere in `head`.
fn is_transport(head: &[u8], packet: usize) -> bool {
    let is_sync = |at: usize| head.get(at) == Some(&SYNC);
    (0..head.len()).any(|start| (0..RUN).all(|nth| is_sync(start + nth * packet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_plausible_by_their_first_bytes() {
        let transport = |packet: usize, before: usize| {
            let mut bytes = vec![0xff; before + RUN * packet];
            (0..RUN).for_each(|nth| bytes[before + nth * packet] = SYNC);
            bytes
        };
        for head in [
            b"\0\0\0\x18ftypmp42".to_vec(),
            b"\0\0\0\x08wide".to_vec(),
            vec![0x1a, 0x45, 0xdf, 0xa3, 1],
            b"RIFF\0\0\0\0AVI ".to_vec(),
            b"FLV\x01".to_vec(),
            b"OggS\0".to_vec(),
            vec![0xff, 0, 0, 1, 0xba],
            [&[7_u8; 60_000][..], &[0x06, 0x0e, 0x2b, 0x34]].concat(),
            transport(188, 0),
            transport(192, 4),
            transport(204, 5000),
        ] {
            assert!(is_plausible(&head), "{:x?}", &head[..head.len().min(12)]);
        }
    }

    #[test]
    fn what_is_surely_no_video_is_not() {
        let text = "this is no video\n".repeat(4000);
        let odd: Vec<u8> =
            (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u8 | 2).collect();
        for head in
            [&b""[..], text.as_bytes(), &[0; 65_536], b"GIF89a", b"%PDF-1.7", b"PK\x03\x04", &odd]
        {
            assert!(!is_plausible(head), "{:x?}", &head[..head.len().min(12)]);
        }
    }
}
