//! Top-level boxes of an MP4. Finds another movie after the first one, of which libav reads only one.
//!
//! Invariant: a file with one movie has one `moov`, and no `ftyp` after it, except for [`Repeats`].

use crate::repeats::Repeats;

/// Fewest bytes after a further `ftyp` that are worth a warning.
const MOVIE_BYTES_MIN: u64 = 4096;
/// Bytes of the longest box header.
const HEADER_BYTES: usize = 16;

/// A box at the top level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopBox {
    pub kind: [u8; 4],
    /// Position in the file.
    pub position: u64,
    /// Size of the header in bytes.
    pub header: u64,
    /// Size with the header in bytes.
    pub length: u64,
}

impl TopBox {
    /// The box whose `bytes` begin at `position` of a file of `size` bytes.
    pub(crate) fn read(bytes: &[u8], position: u64, size: u64) -> Option<Self> {
        let (kind, header, length) = header(bytes, size.checked_sub(position)?)?;
        Some(Self { kind, position, header, length })
    }

    fn end(&self) -> u64 {
        self.position + self.length
    }
}

/// Kind, header size and total size of the box at the start of `bytes`. `rest` bytes are left in the file.
pub(crate) fn header(bytes: &[u8], rest: u64) -> Option<([u8; 4], u64, u64)> {
    let small = u64::from(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?));
    let kind: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    let (header, length) = match small {
        0 => (8, rest),
        1 => (16, u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?)),
        _ => (8, small),
    };
    (length >= header && length <= rest).then_some((kind, header, length))
}

/// Facts about movies from the boxes.
#[derive(Debug, Default)]
struct Movies {
    first: Option<TopBox>,
    /// Whether media precedes its `moov`.
    media_first: bool,
    /// Number of boxes with media.
    media: u32,
    /// Position of the further `ftyp` or `moov`.
    type_again: Option<u64>,
    movie_again: Option<u64>,
}

impl Movies {
    fn take(&mut self, found: &TopBox) {
        match &found.kind {
            b"moov" if self.first.is_none() => self.first = Some(*found),
            b"moov" => self.movie_again = self.movie_again.or(Some(found.position)),
            b"ftyp" if self.first.is_some() => {
                self.type_again = self.type_again.or(Some(found.position));
            }
            b"mdat" if found.length > found.header => {
                self.media_first |= self.first.is_none();
                self.media += 1;
            }
            _ => {}
        }
    }

    /// Position of another movie in a file of `size` bytes.
    fn another(&self, size: u64) -> Option<u64> {
        let first = self.first.as_ref()?;
        if let Some(begins) = self.type_again {
            return (size.saturating_sub(begins) >= MOVIE_BYTES_MIN).then_some(begins);
        }
        let again = self.movie_again.filter(|_| self.media > 1)?;
        Some(if self.media_first { first.end() } else { again })
    }
}

/// Reads the boxes of a file from its bytes, in windows of any size.
#[derive(Debug, Default)]
pub(crate) struct TopLevel {
    movies: Movies,
    repeats: Repeats,
    /// Position of the next box; `None` if no more box can be found.
    next: Option<u64>,
    size: u64,
    /// Bytes from `next` on that were seen already.
    head: Vec<u8>,
}

impl TopLevel {
    /// For a file of `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        Self { next: Some(0), size, ..Self::default() }
    }

    /// Position of a box that was not seen.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next.filter(|next| next + 8 <= self.size)
    }

    /// Position of another movie, as far as is known.
    pub(crate) fn another(&self) -> Option<u64> {
        if self.repeats.is_open() { None } else { self.movies.another(self.size) }
    }

    fn take(&mut self, start: u64, bytes: &[u8]) {
        if self.repeats.bytes(start, bytes) {
            (self.movies.type_again, self.movies.movie_again) = (None, None);
        }
    }

    /// Processes `bytes` at the position `start`. Bytes after a box that was not seen are ignored. Returns the last complete box.
    pub(crate) fn see(&mut self, start: u64, bytes: &[u8]) -> Option<TopBox> {
        let mut last = None;
        self.take(start, bytes);
        while let Some(next) = self.next() {
            let known = next + self.head.len() as u64;
            let from = known.checked_sub(start).and_then(|from| usize::try_from(from).ok());
            let Some(rest) = from.and_then(|from| bytes.get(from..)) else { return last };
            let wanted = HEADER_BYTES.min((self.size - next) as usize) - self.head.len();
            self.head.extend_from_slice(&rest[..wanted.min(rest.len())]);
            if rest.len() < wanted {
                return last;
            }
            let head = std::mem::take(&mut self.head);
            let found = TopBox::read(&head, next, self.size);
            self.next = found.map(|found| found.end());
            self.movies.take(found.as_ref()?);
            self.repeats.header(found.as_ref()?, &head);
            self.take(start, bytes);
            last = found;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], bytes: usize) -> Vec<u8> {
        [&(bytes as u32 + 8).to_be_bytes(), &kind[..], &vec![0; bytes]].concat()
    }

    fn file(kinds: &[&[u8; 4]]) -> Vec<u8> {
        kinds.iter().flat_map(|kind| boxed(kind, 5000)).collect()
    }

    /// Position of another movie if the bytes come in windows of `window` bytes.
    fn another(bytes: &[u8], window: usize) -> Option<u64> {
        let mut boxes = TopLevel::new(bytes.len() as u64);
        let mut start = 0;
        for bytes in bytes.chunks(window) {
            boxes.see(start, bytes);
            start += bytes.len() as u64;
        }
        assert_eq!(boxes.next(), None);
        boxes.another()
    }

    #[test]
    fn a_movie_behind_the_first_one_is_found_whatever_the_order() {
        for (kinds, begins) in [
            (&[b"ftyp", b"free", b"mdat", b"moov", b"ftyp", b"mdat", b"moov"][..], 4),
            (&[b"ftyp", b"moov", b"mdat", b"ftyp", b"moov", b"mdat"], 3),
            (&[b"ftyp", b"moov", b"moof", b"mdat", b"ftyp", b"moov", b"moof", b"mdat"], 4),
            (&[b"moov", b"mdat", b"moov", b"mdat"], 2),
            (&[b"wide", b"mdat", b"moov", b"wide", b"mdat", b"moov"], 3),
        ] {
            for window in [3, 100, 5008, 1 << 20] {
                let found = another(&file(kinds), window);
                assert_eq!(found, Some(begins * 5008), "{kinds:?} {window}");
            }
        }
    }

    #[test]
    fn a_file_with_one_movie_has_no_other() {
        for kinds in [
            &[b"ftyp", b"moov", b"free", b"mdat", b"mdat", b"free", b"uuid"][..],
            &[b"ftyp", b"mdat", b"mdat", b"moov", b"free"],
            &[b"ftyp", b"moov", b"sidx", b"moof", b"mdat", b"moof", b"mdat", b"mfra"],
            // A movie header that was written twice.
            &[b"ftyp", b"moov", b"mdat", b"moov"],
            &[b"ftyp", b"mdat"],
        ] {
            assert_eq!(another(&file(kinds), 4096), None, "{kinds:?}");
        }
        let small = [file(&[b"ftyp", b"moov", b"mdat"]), boxed(b"ftyp", 8)].concat();
        assert_eq!(another(&small, 4096), None);
    }

    #[test]
    fn bytes_that_are_no_boxes_end_the_search() {
        let mut boxes = TopLevel::new(1000);
        boxes.see(0, &[1; 8]);
        boxes.see(8, &[1; 8]);
        assert_eq!((boxes.next(), boxes.another()), (None, None));
        // A window that was left out.
        let mut boxes = TopLevel::new(1000);
        boxes.see(500, &boxed(b"moov", 20));
        assert_eq!(boxes.next(), Some(0));
    }
}
