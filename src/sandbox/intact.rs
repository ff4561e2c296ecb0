//! Checks stored parts against their hashes if a job reads them completely.
//!
//! A job that reads an original from beginning to end (a sequential task, an audio task, a scan for an index) checks all of it. A job that
//! reads an interval checks the parts within it. A part that is read in pieces is not checked.

use bytes::Bytes;
use jetreel_domain::order::parts::{Hash, PartList};
use jetreel_domain::words::failure::Failure;
use sha2::{Digest as _, Sha256};

/// The part of an object that is being read sequentially.
#[derive(Default)]
pub(super) struct Intact(Option<Running>);

struct Running {
    index: usize,
    /// Offset up to which the part is hashed.
    next: u64,
    hasher: Sha256,
}

impl Intact {
    /// Hashes the bytes of `list` at `offset`, as they were fetched.
    pub(super) async fn take(
        &mut self,
        list: &PartList,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), Failure> {
        let end = offset + bytes.len() as u64;
        let within = list.from_offset(offset).take_while(|(_, part)| part.start < end);
        for (index, part) in within {
            let Some(wanted) = part.sha256 else { continue };
            let (from, upto) = (part.start.max(offset), part.end().min(end));
            let piece = bytes.slice((from - offset) as usize..(upto - offset) as usize);
            let Some(running) = self.goes_on(index, from, upto, part.start) else { continue };
            let hasher = hashed(running.hasher, piece).await?;
            if upto < part.end() {
                self.0 = Some(Running { index, next: upto, hasher });
            } else if Hash::from(hasher.finalize()) != wanted {
                let message = "A part of the original differs from what was uploaded.";
                return Err(Failure::task("part-changed", message).with_detail(part.key()));
            }
        }
        Ok(())
    }

    /// The hasher that the bytes `from..upto` of a part continue; `None` if they continue none.
    fn goes_on(&mut self, index: usize, from: u64, upto: u64, start: u64) -> Option<Running> {
        let same = self.0.as_ref().filter(|running| running.index == index);
        match same.map(|running| running.next) {
            Some(next) if next == from => self.0.take(),
            // The bytes were fetched a second time.
            Some(next) if upto <= next => None,
            Some(_) | None => {
                self.0 = None;
                (from == start).then(|| Running { index, next: from, hasher: Sha256::new() })
            }
        }
    }
}

/// Hashes on a blocking thread: a block takes a millisecond.
async fn hashed(mut hasher: Sha256, piece: Bytes) -> Result<Sha256, Failure> {
    let work = tokio::task::spawn_blocking(move || {
        hasher.update(&piece);
        hasher
    });
    work.await.map_err(|error| {
        Failure::dependency("storage-failed", "The storage failed.").with_detail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(content: &[u8], sizes: &[usize], broken: Option<usize>) -> PartList {
        let (mut list, mut start) = (PartList::default(), 0);
        for (index, size) in sizes.iter().enumerate() {
            let mut hash = Hash::from(Sha256::digest(&content[start..start + size]));
            hash[0] ^= u8::from(broken == Some(index));
            list.push(&format!("raw/{index}"), *size as u64, Some(hash));
            start += size;
        }
        list
    }

    /// Reads intervals. Returns the key of the part that was found changed.
    async fn read(
        list: &PartList,
        content: &Bytes,
        intervals: &[(usize, usize)],
    ) -> Option<String> {
        let mut intact = Intact::default();
        for (from, upto) in intervals {
            let taken = intact.take(list, *from as u64, &content.slice(*from..*upto)).await;
            if let Err(failure) = taken {
                assert_eq!(failure.code, "part-changed");
                return Some(failure.detail);
            }
        }
        None
    }

    #[tokio::test]
    async fn a_part_that_is_read_whole_is_checked_whatever_the_blocks() {
        let content = Bytes::from_iter((0..100_u8).map(|n| n.wrapping_mul(37)));
        let sizes = [30, 30, 1, 39];
        for block in [1, 7, 30, 64, 100] {
            let blocks: Vec<(usize, usize)> =
                (0..100).step_by(block).map(|from| (from, (from + block).min(100))).collect();
            assert_eq!(read(&list(&content, &sizes, None), &content, &blocks).await, None);
            for broken in 0..sizes.len() {
                let found = read(&list(&content, &sizes, Some(broken)), &content, &blocks).await;
                assert_eq!(found, Some(format!("raw/{broken}")), "blocks of {block}");
            }
        }
    }

    #[tokio::test]
    async fn only_a_part_that_is_read_whole_and_in_order_is_checked() {
        let content = Bytes::from_iter(0..100_u8);
        let second_broken = list(&content, &[50, 50], Some(1));
        for unread in [vec![(0, 50), (60, 100)], vec![(50, 60), (70, 100)], vec![(75, 100)]] {
            assert_eq!(read(&second_broken, &content, &unread).await, None, "{unread:?}");
        }
        // After a jump back to the beginning of a part, and with blocks that are fetched twice.
        for whole in [vec![(80, 90), (50, 100)], vec![(50, 70), (50, 70), (70, 100)]] {
            assert!(read(&second_broken, &content, &whole).await.is_some(), "{whole:?}");
        }
        let unknown = PartList::one("film.mp4", 100);
        assert_eq!(read(&unknown, &content, &[(0, 100)]).await, None);
    }
}
