//! Trying again what is dead of an order, when its user asks for it: once, however many ask.

use crate::order::state::Video;

/// After somebody asked, others are told so for this long, in seconds: what is tried again has begun by then, or waits where it can be seen.
pub const ASKED_SECONDS: i64 = 10;

impl Video {
    /// Takes note that somebody asks for what is dead of an order. `false`: nothing is, or somebody asked a moment ago.
    pub fn ask_again(&mut self, number: u32, now: i64) -> bool {
        let Some(order) = self.order_mut(number) else { return false };
        // A clock that was set back must not keep anybody waiting for as long as it was set.
        let lately = order.asked.is_some_and(|asked| (0..ASKED_SECONDS).contains(&(now - asked)));
        if order.dead.is_empty() || order.is_closed() || lately {
            return false;
        }
        order.asked = Some(now);
        true
    }

    /// What was asked for could not be done: whoever asks next is not too early.
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
        // It died again at once: who asked before that was known did not ask for this.
        assert!(video.revive(1, &INGEST, 10));
        video.bury(1, &INGEST, Dead { sequence: 10, ..dead }, 101).unwrap();
        assert!(!video.ask_again(1, 100 + ASKED_SECONDS - 1));
        assert!(video.ask_again(1, 100 + ASKED_SECONDS));
        assert!(video.ask_again(1, 50), "a clock was set back");
        assert!(video.unask(1) && video.ask_again(1, 50));
        assert!(!video.ask_again(2, 1000));
    }
}
