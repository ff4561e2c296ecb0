//! Splits packets of several frames for decoders that decode one frame per packet.
//!
//! Phones pack up to fifteen frames of speech into one sample of a 3GP or 3G2 file. libav's decoders decode the first and drop the rest.
//! Frames of these codecs last 20 ms, and their first byte determines their length.
//!
//! Invariant: a packet is split only if its frames fill it exactly. Every other packet is left to the decoder.

use ffmpeg_next::codec::Id;

/// Duration of one frame in seconds.
pub(crate) const FRAME_SECONDS: f64 = 0.02;

/// Length of a frame type with unknown length.
const UNKNOWN: u8 = 0;

/// Bytes of a frame, its first byte included, by frame type: 3GPP TS 26.101 and TS 26.201, octet-aligned.
const AMR_NB: [u8; 16] = [13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1];
const AMR_WB: [u8; 16] = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1];
/// Bytes of a frame by rate: RFC 3625 (QCELP) and RFC 3558 (EVRC).
const QCELP: [u8; 16] = [1, 4, 8, 17, 35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const EVRC: [u8; 16] = [1, 3, 6, 11, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// For each codec: the frame type from a first byte, and the bytes of a frame of that type.
type Format = (Id, fn(u8) -> usize, [u8; 16]);

const FORMATS: [Format; 4] = [
    (Id::AMR_NB, |first| usize::from(first >> 3 & 15), AMR_NB),
    (Id::AMR_WB, |first| usize::from(first >> 3 & 15), AMR_WB),
    (Id::QCELP, usize::from, QCELP),
    (Id::EVRC, usize::from, EVRC),
];

/// Lengths of the frames in `data`; `None` if it holds one frame, or no valid sequence of frames. A frame of several channels consists of
/// one for each.
pub(crate) fn lengths(codec: Id, channels: u16, data: &[u8]) -> Option<Vec<usize>> {
    let (_, kind, sizes) = FORMATS.iter().find(|(id, ..)| *id == codec)?;
    let one = |from: usize| {
        let bytes = sizes.get(kind(*data.get(from)?)).copied();
        bytes.filter(|bytes| *bytes != UNKNOWN).map(usize::from)
    };
    let (mut found, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let start = at;
        for _ in 0..channels.max(1) {
            at += one(at)?;
        }
        found.push(at - start);
    }
    (at == data.len() && found.len() > 1).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that begin with these bytes.
    fn packet(frames: &[(u8, usize)]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|(first, bytes)| [&[*first][..], &vec![0xa5; bytes - 1]].concat())
            .collect()
    }

    #[test]
    fn a_packet_of_several_frames_is_split_at_their_lengths() {
        // 12.2 kb/s, silence, no data.
        let amr = packet(&[(7 << 3 | 4, 32), (8 << 3 | 4, 6), (15 << 3 | 4, 1), (0x04, 13)]);
        assert_eq!(lengths(Id::AMR_NB, 1, &amr), Some(vec![32, 6, 1, 13]));
        let wide = packet(&[(8 << 3 | 4, 61), (0x04, 18)]);
        assert_eq!(lengths(Id::AMR_WB, 1, &wide), Some(vec![61, 18]));
        let cdma = packet(&[(4, 23), (1, 3), (3, 11)]);
        assert_eq!(lengths(Id::EVRC, 1, &cdma), Some(vec![23, 3, 11]));
        let old = packet(&[(4, 35), (3, 17), (0, 1)]);
        assert_eq!(lengths(Id::QCELP, 1, &old), Some(vec![35, 17, 1]));
    }

    #[test]
    fn frames_of_two_channels_stay_together() {
        let pairs = packet(&[(0x3c, 32), (0x04, 13), (0x3c, 32), (0x3c, 32)]);
        assert_eq!(lengths(Id::AMR_NB, 2, &pairs), Some(vec![45, 64]));
    }

    #[test]
    fn what_is_one_frame_or_no_sequence_of_frames_is_left_as_it_is() {
        let one = packet(&[(0x3c, 32)]);
        let cut = &packet(&[(0x3c, 32), (0x3c, 32)])[..60];
        assert_eq!(lengths(Id::AMR_NB, 1, &one), None);
        assert_eq!(lengths(Id::AMR_NB, 1, cut), None);
        assert_eq!(lengths(Id::EVRC, 1, &packet(&[(4, 23), (9, 5)])), None);
        assert_eq!(lengths(Id::AAC, 1, &one), None);
        assert_eq!(lengths(Id::AMR_NB, 1, &[]), None);
    }
}
