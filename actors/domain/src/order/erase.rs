//! Deletes a video with one compare-and-set. After it no object of the video is named; the reconciler removes what is left, and the state
//! last.

use crate::order::state::{Fact, Order, Video};

impl Video {
    /// Deletes a video, records the fact and cancels its open orders. `false` if it is deleted already.
    pub fn erase(&mut self, now: i64) -> bool {
        if self.is_deleted() {
            return false;
        }
        let open = self.orders.iter().filter(|order| !order.is_closed());
        let open: Vec<u32> = open.map(|order| order.number).collect();
        for number in open {
            if self.cancel(number, now).is_err() {
                return false;
            }
        }
        if let Some(newest) = self.orders.last().map(|order| order.number) {
            self.learn(newest, Fact::Deleted, now);
        }
        self.deleted = Some(now);
        true
    }

    /// Whether the video is deleted. No request returns it any more.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    /// Dead letters that the orders name, each with the number of its order.
    pub fn letters(&self) -> impl Iterator<Item = (u32, u64)> {
        let of = |order: &Order| {
            let number = order.number;
            let letters: Vec<u64> = order.dead.values().map(|dead| dead.letter).collect();
            letters.into_iter().map(move |letter| (number, letter))
        };
        self.orders.iter().flat_map(of).filter(|(_, letter)| *letter != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::announce;
    use crate::order::lane::Lane;
    use crate::order::state::Status;

    #[test]
    fn whatever_became_of_its_orders_a_video_is_deleted_once_and_that_is_told_last() {
        for status in Status::ALL {
            let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
            video.orders[0].status = status;
            assert!(video.erase(9), "{status}");
            assert!(video.orders[0].is_closed(), "{status}");
            let last = announce::due(&video).pop().map(|(_, known)| known.fact);
            assert_eq!((last, video.deleted), (Some(Fact::Deleted), Some(9)), "{status}");
            let before = video.clone();
            assert!(!video.erase(10), "{status}");
            assert_eq!(video, before);
        }
    }
}
