//! Cancels an order with one compare-and-set, which competes with the one that completes the order.

use crate::order::state::{Fact, IllegalMove, Order, Source, Status, Video};

impl Video {
    /// Cancels an order and records the fact. Its output stays named until [`Video::clear`], because workers take a moment to stop.
    ///
    /// # Errors
    /// The order is completed, cancelled or superseded. The video is unchanged then.
    pub fn cancel(&mut self, number: u32, now: i64) -> Result<(), IllegalMove> {
        if let Some(order) = self.order(number).filter(|order| order.superseded) {
            return Err(IllegalMove { from: order.status, to: Status::Cancelled });
        }
        self.advance(number, Status::Cancelled, now)?;
        self.learn(number, Fact::Cancelled, now);
        Ok(())
    }

    /// Whether the upload was given up before all bytes arrived, so that no order ever had work.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.source == Source::default()
            && self.orders.iter().all(|order| order.status == Status::Cancelled)
    }

    /// Whether a cancelled order still names its output.
    #[must_use]
    pub fn is_uncleared(&self, number: u32) -> bool {
        self.order(number).is_some_and(|order| {
            let original = !self.keeps_source() && self.source.names_objects();
            let letters = order.dead.values().any(|dead| dead.letter != 0);
            order.status == Status::Cancelled
                && (order.plan.is_some() || order.source.is_some() || original || letters)
        })
    }

    /// Dead letters that a cancelled order names. They are discarded before [`Video::clear`], which forgets them.
    pub fn letters_left(&self, number: u32) -> impl Iterator<Item = u64> {
        let cancelled = self.order(number).filter(|order| order.status == Status::Cancelled);
        let letters = cancelled.into_iter().flat_map(|order| order.dead.values());
        letters.map(|dead| dead.letter).filter(|letter| *letter != 0)
    }

    /// Removes from a cancelled order the names of its output, and from the video its original if no other order is made from it. These
    /// objects are orphans then. The failures of the order stay on record.
    pub fn clear(&mut self, number: u32) {
        let Some(order) = self.order_mut(number) else { return };
        if order.status != Status::Cancelled {
            return;
        }
        order.plan = None;
        order.source = None;
        order.dead.values_mut().for_each(|dead| dead.letter = 0);
        if !self.keeps_source() {
            self.source = Source { bytes: self.source.bytes, ..Source::default() };
        }
    }

    /// Whether any order was made, or can still be made, from the video's original.
    #[must_use]
    pub fn keeps_source(&self) -> bool {
        let gone = |order: &Order| order.superseded || order.status == Status::Cancelled;
        !self.orders.iter().all(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::lane::Lane;
    use crate::order::state::Part;
    use crate::order::takeover::Takeover;

    fn video() -> Video {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
        video.source.bytes = 7;
        video.source.parts.push(Part { key: "raw/a".into(), bytes: 7 });
        video
    }

    #[test]
    fn whatever_is_not_closed_can_be_cancelled_once() {
        for status in Status::ALL {
            let mut video = video();
            video.orders[0].status = status;
            let before = video.clone();
            let cancelled = video.cancel(1, 9);
            assert_eq!(cancelled.is_ok(), !status.is_closed(), "{status}");
            if cancelled.is_err() {
                assert_eq!(video, before);
                continue;
            }
            assert_eq!(
                (video.orders[0].status, video.orders[0].ended),
                (Status::Cancelled, Some(9))
            );
            assert!(video.orders[0].knows(&Fact::Cancelled));
            assert!(video.cancel(1, 10).is_err());
        }
    }

    #[test]
    fn an_order_that_was_taken_over_is_not_cancelled_but_its_successor_is() {
        let mut video = video();
        video.orders[0].status = Status::Encoding;
        assert_eq!(video.supersede(1, Takeover::CodecBuild, 5), Some(2));
        assert!(video.cancel(1, 6).is_err());
        video.cancel(2, 6).unwrap();
        assert!(video.is_uncleared(2), "nothing is made from the original any more");
        video.clear(2);
        assert_eq!((video.source.bytes, video.source.parts.len()), (7, 0));
        assert!(!video.is_uncleared(2));
    }

    #[test]
    fn the_letters_of_a_cancelled_order_are_cleared_away() {
        use crate::order::state::Dead;
        use crate::words::failure::Failure;
        let mut video = video();
        video.orders[0].status = Status::Completed;
        video.orders.push(Order::new(2, Status::Queued, Lane::Normal, 0));
        let failure = Failure::task("no-video", "there is no picture");
        let dead = |letter| Dead { sequence: 5, failure: failure.clone(), letter };
        video.bury(2, &"ingest".into(), dead(7), 1).unwrap();
        assert_eq!(video.letters_left(2).count(), 0, "it waits for somebody");
        video.cancel(2, 2).unwrap();
        assert!(video.is_uncleared(2), "though it names no object");
        assert_eq!(video.letters_left(2).collect::<Vec<_>>(), [7]);
        video.clear(2);
        assert!(!video.is_uncleared(2) && video.letters_left(2).count() == 0);
        assert_eq!(video.orders[1].failure(), Some(&failure));
    }

    #[test]
    fn an_original_that_another_order_needs_stays() {
        let mut video = video();
        video.orders[0].status = Status::Completed;
        video.orders.push(Order::new(2, Status::Queued, Lane::Normal, 0));
        video.cancel(2, 1).unwrap();
        assert!(!video.is_uncleared(2));
        video.clear(2);
        video.clear(1);
        assert_eq!(video.source.parts.len(), 1);
    }
}
