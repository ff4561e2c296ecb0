//! A fragmented MP4 with repeated `ftyp` and `moov`: one movie whose fragments continue, or another movie.
//!
//! Recorders and packagers write the initialisation before every fragment. It is the same movie if the `moov` is the same and the decode
//! times of the following fragments continue those before.
//!
//! Invariant: only one box is held in memory.

use crate::boxes::{child, children, u32_at};
use crate::toplevel::TopBox;

/// A longer `moov` or `moof` is not examined.
const BOX_BYTES_MAX: u64 = 256 << 10;
/// Most tracks of a fragment that are examined.
const TRACKS_MAX: usize = 64;

/// Facts from the boxes so far.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    /// The first `moov`.
    first: Option<Vec<u8>>,
    /// Track ids with the decode time of the last fragment.
    times: Vec<(u32, u64)>,
    standing: Standing,
    taking: Option<Taking>,
}

/// Whether there is one movie.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    One,
    /// The initialisation was repeated. The next fragment decides.
    Asked,
    Another,
}

/// A box whose bytes are being collected.
#[derive(Debug)]
struct Taking {
    found: TopBox,
    bytes: Vec<u8>,
}

impl Repeats {
    /// Whether it is still unknown if another movie begins.
    pub(crate) fn is_open(&self) -> bool {
        self.standing == Standing::Asked
    }

    /// Processes a header, whose first bytes are `head`.
    pub(crate) fn header(&mut self, found: &TopBox, head: &[u8]) {
        let again = self.first.is_some();
        match &found.kind {
            b"ftyp" | b"moov" if again => self.ask(),
            b"mdat" if self.is_open() && found.length > found.header => {
                self.standing = Standing::Another;
            }
            _ => {}
        }
        let looked_into = found.kind == *b"moov" || found.kind == *b"moof" && again;
        if !looked_into || self.standing == Standing::Another {
            return;
        }
        if found.length <= BOX_BYTES_MAX {
            let length = (found.length as usize).min(head.len());
            self.taking = Some(Taking { found: *found, bytes: head[..length].to_vec() });
        } else if again {
            self.standing = Standing::Another;
        }
    }

    fn ask(&mut self) {
        if self.standing == Standing::One {
            let fragments = !self.times.is_empty();
            self.standing = if fragments { Standing::Asked } else { Standing::Another };
        }
    }

    /// Processes `bytes` at the position `start`. Returns true if they show that an initialisation was repeated for the same movie.
    pub(crate) fn bytes(&mut self, start: u64, bytes: &[u8]) -> bool {
        let Some(mut taking) = self.taking.take() else { return false };
        let wanted = taking.found.length as usize - taking.bytes.len();
        let next = taking.found.position + taking.bytes.len() as u64;
        // Bytes that a seek skipped do not come again.
        let Some(from) = next.checked_sub(start) else { return false };
        let rest = usize::try_from(from).ok().and_then(|from| bytes.get(from..));
        let rest = rest.unwrap_or_default();
        taking.bytes.extend_from_slice(&rest[..wanted.min(rest.len())]);
        if rest.len() < wanted {
            self.taking = Some(taking);
            return false;
        }
        let content = taking.bytes.get(taking.found.header as usize..).unwrap_or_default();
        if taking.found.kind == *b"moov" { self.movie(content) } else { self.fragment(content) }
    }

    fn movie(&mut self, content: &[u8]) -> bool {
        match &self.first {
            None => self.first = Some(content.to_vec()),
            Some(first) if first == content => {}
            Some(_) => self.standing = Standing::Another,
        }
        false
    }

    fn fragment(&mut self, content: &[u8]) -> bool {
        let times = decode_times(content);
        let known = |track: u32| self.times.iter().position(|(known, _)| *known == track);
        let goes_on = |(track, time): &(u32, u64)| {
            known(*track).is_none_or(|index| *time > self.times[index].1)
        };
        let same = !times.is_empty() && times.iter().all(goes_on);
        let room = self.times.len() < TRACKS_MAX;
        for (track, time) in times {
            match self.times.iter_mut().find(|(known, _)| *known == track) {
                Some(known) => known.1 = time,
                None if room => self.times.push((track, time)),
                None => {}
            }
        }
        if !self.is_open() {
            return false;
        }
        self.standing = if same { Standing::One } else { Standing::Another };
        same
    }
}

/// Track ids of a `moof` with their decode times.
fn decode_times(moof: &[u8]) -> Vec<(u32, u64)> {
    let fragments = children(moof).filter(|(kind, _)| kind == b"traf").take(TRACKS_MAX);
    fragments.filter_map(|(_, traf)| decode_time(traf)).collect()
}

fn decode_time(traf: &[u8]) -> Option<(u32, u64)> {
    let track = u32_at(child(traf, b"tfhd")?, 4)?;
    let time = child(traf, b"tfdt")?;
    let (high, low) = match time.first()? {
        0 => (0, u32_at(time, 4)?),
        _ => (u32_at(time, 4)?, u32_at(time, 8)?),
    };
    Some((track, u64::from(high) << 32 | u64::from(low)))
}

#[cfg(test)]
mod tests {
    use crate::boxes::tests::boxed;
    use crate::toplevel::TopLevel;

    fn fragment(time: u32) -> Vec<u8> {
        let id = [0, 0, 0, 0, 0, 0, 0, 1];
        let time = [&[0; 4][..], &time.to_be_bytes()].concat();
        let traf = [boxed(b"tfhd", &id), boxed(b"tfdt", &time)].concat();
        let moof = [boxed(b"mfhd", &[0; 8]), boxed(b"traf", &traf)].concat();
        [boxed(b"moof", &moof), boxed(b"mdat", &[0; 5000])].concat()
    }

    fn init(content: u8) -> Vec<u8> {
        [boxed(b"ftyp", &[0; 20]), boxed(b"moov", &[content; 300])].concat()
    }

    fn another(pieces: &[Vec<u8>], window: usize) -> Option<u64> {
        let bytes = pieces.concat();
        let mut boxes = TopLevel::new(bytes.len() as u64);
        for (index, bytes) in bytes.chunks(window).enumerate() {
            boxes.see((index * window) as u64, bytes);
        }
        boxes.another()
    }

    #[test]
    fn an_initialisation_before_every_fragment_is_that_of_one_movie() {
        let whole = [init(1), fragment(0), init(1), fragment(9), init(1), fragment(18)];
        let begins = (init(1).len() + fragment(0).len()) as u64;
        let other = [init(1), fragment(0), init(2), fragment(9)];
        let anew = [init(1), fragment(0), init(1), fragment(0)];
        for window in [3, 100, 5008, 1 << 20] {
            assert_eq!(another(&whole, window), None, "{window}");
            assert_eq!(another(&other, window), Some(begins), "{window}");
            assert_eq!(another(&anew, window), Some(begins), "{window}");
        }
        let later = [&whole[..], &[init(1), fragment(0), init(1), fragment(99)]].concat();
        let begins = whole.concat().len() as u64;
        assert_eq!(another(&later, 1000), Some(begins), "another one stays another one");
    }

    #[test]
    fn what_was_not_read_is_no_other_movie() {
        let bytes = [init(1), fragment(0), init(1), fragment(9)].concat();
        let again = init(1).len() + fragment(0).len();
        let mut boxes = TopLevel::new(bytes.len() as u64);
        // A reader that continues after the beginning of the repeated `moov`.
        boxes.see(0, &bytes[..again + 50]);
        boxes.see(bytes.len() as u64 - 100, &bytes[bytes.len() - 100..]);
        assert_eq!(boxes.another(), None);
    }
}
