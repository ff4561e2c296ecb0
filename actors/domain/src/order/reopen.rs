//! Reopens a video: a new order reads another object, or the original again.

use crate::order::state::{Order, Source, Status, VERSION, Video};

impl Video {
    /// Opens an order that reads the source `other`, made of the object `key`, or the original if `other` is `None`. Returns the existing
    /// order if it was opened before. The order waits for ingest.
    pub fn reopen(
        &mut self,
        after: u32,
        key: &str,
        other: Option<Source>,
        now: i64,
    ) -> Option<(u32, bool)> {
        if let Some(number) = self.reopened(after, key) {
            return Some((number, false));
        }
        let lane = self.order(after)?.lane;
        let next = self.orders.iter().map(|order| order.number).max()?.checked_add(1)?;
        if other.as_ref().is_some_and(|source| source.list.is_some()) {
            // An older program would find no parts in this state.
            self.v = self.v.max(VERSION);
        }
        let reopened = Some(key.to_owned());
        let order = Order::new(next, Status::Queued, lane, now);
        self.orders.push(Order { source: other, reopened, ..order });
        Some((next, true))
    }

    /// The order after `after` that was opened for the object `key`.
    #[must_use]
    pub fn reopened(&self, after: u32, key: &str) -> Option<u32> {
        let reads = |order: &&Order| {
            let part = |source: &Source| source.parts.iter().any(|part| part.key == key);
            let asked = order.reopened.as_deref() == Some(key);
            order.number > after && (asked || order.source.as_ref().is_some_and(part))
        };
        self.orders.iter().find(reads).map(|order| order.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::lane::Lane;
    use crate::order::ledger::Object;

    #[test]
    fn a_part_of_the_original_stands_for_all_of_it() {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
        let list = |name: &str| Object { key: name.into(), bytes: 9, sha256: "00".repeat(32) };
        (video.v, video.source) = (1, Source::listed(10, list("raw/list-a")));
        assert_eq!(video.reopen(1, "raw/00001", None, 1), Some((2, true)));
        assert_eq!(video.reopen(1, "raw/00001", None, 2), Some((2, false)), "once");
        assert_eq!((video.v, &video.orders[1].source), (1, &None));
        assert_eq!(video.source_of(2), &video.source);
        let other = || Some(Source::listed(7, list("raw/list-b")));
        assert_eq!(video.reopen(1, "in/other.mp4", other(), 3), Some((3, true)));
        assert_eq!(video.reopen(1, "in/other.mp4", other(), 4), Some((3, false)), "once");
        assert_eq!((video.source_of(3).bytes, video.v), (7, VERSION));
    }
}
