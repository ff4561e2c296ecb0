//! A video that is made once more: from another object, or from its original.

use crate::state::{Order, Part, Source, Status, Video};

impl Video {
    /// The order that reads the object `key` instead of the original, or the original once more where `key` is one of its parts: the
    /// order that is there, or a new one, which waits for ingest. Opened once, however often it is asked for.
    pub fn reopen(&mut self, after: u32, key: &str, bytes: u64, now: i64) -> Option<(u32, bool)> {
        let reads = |order: &&Order| {
            let part = |source: &Source| source.parts.iter().any(|part| part.key == key);
            let asked = order.reopened.as_deref() == Some(key);
            order.number > after && (asked || order.source.as_ref().is_some_and(part))
        };
        if let Some(order) = self.orders.iter().find(reads) {
            return Some((order.number, false));
        }
        let lane = self.order(after)?.lane;
        let next = self.orders.iter().map(|order| order.number).max()?.checked_add(1)?;
        let other = Source { bytes, parts: vec![Part { key: key.to_owned(), bytes }] };
        let source = (!self.original_has(key)).then_some(other);
        let reopened = Some(key.to_owned());
        let order = Order::new(next, Status::Queued, lane, now);
        self.orders.push(Order { source, reopened, ..order });
        Some((next, true))
    }

    /// Whether an object is a part of the original.
    #[must_use]
    pub fn original_has(&self, key: &str) -> bool {
        self.source.parts.iter().any(|part| part.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::lane::Lane;

    #[test]
    fn a_part_of_the_original_stands_for_all_of_it() {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
        let part = |index: u32| Part { key: format!("raw/{index:05}"), bytes: 5 };
        video.source = Source { bytes: 10, parts: vec![part(0), part(1)] };
        assert_eq!(video.reopen(1, "raw/00001", 5, 1), Some((2, true)));
        assert_eq!(video.reopen(1, "raw/00001", 5, 2), Some((2, false)), "once");
        assert_eq!((&video.orders[1].source, video.source_of(2).parts.len()), (&None, 2));
        assert_eq!(video.reopen(1, "in/other.mp4", 7, 3), Some((3, true)));
        assert_eq!(video.source_of(3).bytes, 7);
    }
}
