//! Succession: one compare-and-set closes an order that cannot be carried out as planned, and opens its successor.

use crate::order::state::{Order, Status, Video};
use crate::order::takeover::Takeover;

impl Video {
    /// Closes an order and opens its successor. The successor is decoded in one go if this order was, or if its chunks do not fit together.
    /// Returns the successor's number, or `None` if the order is closed already.
    pub fn supersede(&mut self, number: u32, why: Takeover, now: i64) -> Option<u32> {
        let next = self.orders.iter().map(|order| order.number).max()?.checked_add(1)?;
        let order = self.order_mut(number)?;
        if order.is_closed() {
            return None;
        }
        order.superseded = true;
        order.takeover = Some(why);
        order.successor = Some(next);
        order.ended = Some(now);
        let sequential = order.sequential || why == Takeover::SeamMismatch;
        let (lane, source) = (order.lane, order.source.clone());
        let successor = Order { sequential, source, ..Order::new(next, Status::Queued, lane, now) };
        self.orders.push(successor);
        Some(next)
    }

    /// Number of orders that were planned anew because no node had the codec build.
    #[must_use]
    pub fn planned_anew(&self) -> u32 {
        let anew = |order: &&Order| order.takeover == Some(Takeover::CodecBuild);
        u32::try_from(self.orders.iter().filter(anew).count()).unwrap_or(u32::MAX)
    }

    /// The last of an order's successors. `None` if no order took over.
    #[must_use]
    pub fn successor(&self, number: u32) -> Option<u32> {
        let superseded = |number| self.order(number).filter(|order| order.superseded);
        let next = |order: &Order| order.successor.filter(|next| *next > order.number);
        let mut last = next(superseded(number)?)?;
        while let Some(order) = superseded(last) {
            last = next(order)?;
        }
        Some(last)
    }

    /// The last successor, if it still waits for ingest.
    #[must_use]
    pub fn waiting_successor(&self, number: u32) -> Option<&Order> {
        let next = self.order(self.successor(number)?)?;
        (next.status == Status::Queued).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::lane::Lane;

    #[test]
    fn who_takes_over_is_sequential_for_the_seams_alone_or_where_it_was_before() {
        let cases = [
            (Takeover::SeamMismatch, false, true),
            (Takeover::CodecBuild, false, false),
            (Takeover::CodecBuild, true, true),
        ];
        for (why, before, after) in cases {
            let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
            video.orders[0].status = Status::Encoding;
            video.orders[0].sequential = before;
            assert_eq!(video.supersede(1, why, 5), Some(2));
            let [first, second] = video.orders.as_slice() else { panic!("{video:?}") };
            assert!(first.is_closed() && first.takeover == Some(why) && first.ended == Some(5));
            assert_eq!((second.status, second.lane), (Status::Queued, Lane::High));
            assert_eq!(second.sequential, after, "{why:?} {before}");
            assert_eq!(video.supersede(1, why, 6), None, "once");
            assert_eq!((video.successor(1), video.successor(2)), (Some(2), None));
            assert_eq!(video.supersede(2, why, 7), Some(3));
            assert_eq!((video.successor(1), video.successor(2)), (Some(3), Some(3)));
        }
    }

    #[test]
    fn another_order_that_waits_is_no_successor() {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
        video.orders[0].status = Status::Encoding;
        assert_eq!(video.reopen(1, "corrected", None, 1), Some((2, true)));
        assert!(video.waiting_successor(1).is_none());
        assert_eq!(video.supersede(1, Takeover::CodecBuild, 2), Some(3));
        assert_eq!(video.waiting_successor(1).map(|next| next.number), Some(3));
        video.orders[2].status = Status::Ingesting;
        assert!(video.waiting_successor(1).is_none(), "it is in hand");
    }

    #[test]
    fn a_takeover_is_read_from_documents_of_every_version() {
        let read = |takeover: &str| -> Order {
            let text = format!(
                r#"{{"number":1,"status":"ENCODING","created":0,"superseded":true{takeover}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(read("").takeover, None);
        assert_eq!(read(r#","takeover":"codec-build""#).takeover, Some(Takeover::CodecBuild));
        assert_eq!(read(r#","takeover":"of-tomorrow""#).takeover, Some(Takeover::Other));
    }
}
