//! Retries the dead tasks of an order at its user's request. Concurrent requests count as one.

use crate::order::state::Video;

/// A further request within this many seconds is not a new one. By then the dead tasks run again, or wait visibly in their queues.
pub const ASKED_SECONDS: i64 = 10;

impl Video {
    /// Records a request to retry the dead tasks of an order. `false` if none is dead, or a request was recorded less than
    /// [`ASKED_SECONDS`] ago.
    pub fn ask_again(&mut self, number: u32, now: i64) -> bool {
        let Some(order) = self.order_mut(number) else { return false };
        // A request in the future comes from a clock that was set back. It must not block new requests.
        let lately = order.asked.is_some_and(|asked| (0..ASKED_SECONDS).contains(&(now - asked)));
        if order.dead.is_empty() || order.is_closed() || lately {
            return false;
        }
        order.asked = Some(now);
        true
    }

    /// Removes the record of a request that could not be carried out, so that the next request counts.
    pub fn unask(&mut self, number: u32) -> bool {
        self.order_mut(number).is_some_and(|order| order.asked.take().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::stage::{Stage, Unit};
    use crate::id::VideoId;
    use crate::order::lane::Lane;
    use crate::order::state::Dead;
    use crate::words::failure::Failure;

    const INGEST: Unit = Unit::Stage(Stage::Ingest);

    #[test]
    fn of_many_who_ask_one_is_heard() {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
        assert!(!video.ask_again(1, 100), "nothing is dead");
        let dead = Dead { sequence: 9, failure: Failure::permanent("no-video", "x"), letter: 0 };
        video.bury(1, &INGEST, dead.clone(), 100).unwrap();
        assert!(video.ask_again(1, 100) && !video.ask_again(1, 100));
        // The task died again at once. A request from before that death did not ask for this retry.
        assert!(video.revive(1, &INGEST, 10));
        video.bury(1, &INGEST, Dead { sequence: 10, ..dead }, 101).unwrap();
        assert!(!video.ask_again(1, 100 + ASKED_SECONDS - 1));
        assert!(video.ask_again(1, 100 + ASKED_SECONDS));
        assert!(video.ask_again(1, 50), "a clock was set back");
        assert!(video.unask(1) && video.ask_again(1, 50));
        assert!(!video.ask_again(2, 1000));
    }
}
