//! MP4 edits with the duration 0. Writers that do not know the length of a track write 0, which means the whole media.

use crate::boxes::{child, children, u32_at};
use crate::source::Mend;

/// Replacements of the durations, for tracks with one edit that shows media and has the duration 0. `moov` begins at `start`.
pub(crate) fn whole(moov: &[u8], start: u64) -> Vec<Mend> {
    let scale = child(moov, b"mvhd").and_then(clock).map_or(0, |(scale, _)| scale);
    let tracks = children(moov).filter(|(kind, _)| kind == b"trak");
    let mend = |(_, trak): (_, &[u8])| {
        let media = child(trak, b"mdia").and_then(|mdia| child(mdia, b"mdhd")).and_then(clock)?;
        let elst = child(trak, b"edts").and_then(|edts| child(edts, b"elst"))?;
        let (at, bytes) = duration(elst, scale, media)?;
        let place = elst.as_ptr().addr() - moov.as_ptr().addr() + at;
        Some(Mend { position: start + place as u64, bytes })
    };
    tracks.filter_map(mend).collect()
}

/// Position of the duration of the only edit that shows media, and its replacement, if it is 0.
fn duration(elst: &[u8], scale: u64, (media_scale, media): (u64, u64)) -> Option<(usize, Vec<u8>)> {
    let wide = elst.first() == Some(&1);
    let count = u32_at(elst, 4)? as usize;
    let (length, time) = if wide { (20, 8..16) } else { (12, 4..8) };
    let entries = elst.get(8..)?.chunks_exact(length).take(count).enumerate();
    let mut shown =
        entries.filter(|(_, entry)| entry[time.clone()].iter().any(|byte| *byte != 0xff));
    let (index, entry) = shown.next()?;
    if number(&entry[..time.start]) != 0 || shown.next().is_some() || media_scale == 0 {
        return None;
    }
    // The result exceeds the media by what the edit leaves out at its beginning, which does no harm.
    let ticks = u128::from(media) * u128::from(scale);
    let whole = ticks.div_ceil(u128::from(media_scale)).max(1);
    let bytes = if wide {
        u64::try_from(whole).unwrap_or(u64::MAX >> 1).to_be_bytes().to_vec()
    } else {
        u32::try_from(whole).unwrap_or(u32::MAX >> 1).to_be_bytes().to_vec()
    };
    Some((8 + index * length, bytes))
}

/// Ticks per second and ticks of a header (`mvhd`, `mdhd`).
fn clock(header: &[u8]) -> Option<(u64, u64)> {
    let wide = header.first() == Some(&1);
    let (scale, length) = if wide { (20, 24..32) } else { (12, 16..20) };
    let ticks = number(header.get(length.clone())?);
    // All ones is an unknown length.
    let unknown = number(&vec![0xff; length.len()]);
    let ticks = if ticks == 0 || ticks == unknown { u64::from(u32::MAX) } else { ticks };
    Some((u64::from(u32_at(header, scale)?), ticks))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::tests::boxed;

    const EMPTY: [u32; 3] = [21, u32::MAX, 0x1_0000];

    fn header(scale: u32, ticks: u32) -> Vec<u8> {
        [0, 0, 0, scale, ticks].iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn trak(media: (u32, u32), edits: &[[u32; 3]]) -> Vec<u8> {
        let words = [0, edits.len() as u32].into_iter().chain(edits.iter().flatten().copied());
        let elst: Vec<u8> = words.flat_map(u32::to_be_bytes).collect();
        let edts = boxed(b"edts", &boxed(b"elst", &elst));
        let mdia = boxed(b"mdia", &boxed(b"mdhd", &header(media.0, media.1)));
        boxed(b"trak", &[edts, mdia].concat())
    }

    fn moov(tracks: &[Vec<u8>]) -> Vec<u8> {
        [boxed(b"mvhd", &header(1000, 0)), tracks.concat()].concat()
    }

    #[test]
    fn an_edit_of_no_time_shows_the_whole_media() {
        let media = (12_800, 12_800 * 12);
        let moov = moov(&[
            trak(media, &[[12_000, 1024, 0x1_0000]]),
            trak(media, &[EMPTY, [0, 1024, 0x1_0000]]),
        ]);
        let mends = whole(&moov, 100);
        let [Mend { position, bytes }] = mends.as_slice() else { panic!("{mends:?}") };
        assert_eq!(*bytes, 12_000_u32.to_be_bytes());
        let at = (*position - 100) as usize;
        assert_eq!(moov[at..at + 8], [0, 0, 0, 0, 0, 0, 4, 0]);
    }

    #[test]
    fn other_edits_are_left_as_they_are() {
        let media = (12_800, 128_000);
        for edits in [
            &[][..],
            &[EMPTY],
            &[[0, u32::MAX, 0x1_0000]],
            &[[5, 0, 0x1_0000]],
            &[[0, 0, 0x1_0000], [0, 0, 0x1_0000]],
            &[[500, 0, 0x1_0000], [0, 0, 0x1_0000]],
        ] {
            assert_eq!(whole(&moov(&[trak(media, edits)]), 0), [], "{edits:?}");
        }
        assert_eq!(whole(&moov(&[trak((0, 9), &[[0, 0, 0x1_0000]])]), 0), []);
    }

    #[test]
    fn a_media_of_unknown_length_is_long() {
        for unknown in [0, u32::MAX] {
            let mends = whole(&moov(&[trak((1, unknown), &[[0, 0, 0x1_0000]])]), 0);
            assert_eq!(mends[0].bytes, (u32::MAX >> 1).to_be_bytes());
        }
    }
}
