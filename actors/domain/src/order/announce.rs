//! Facts of a video that are not on PROGRESS yet.
//!
//! Facts are numbered when they become known and announced in that order, each confirmed before the next. The state records the last number
//! announced.

use crate::order::state::{Known, Video};

/// The unannounced facts, ascending, each with the number of its order.
#[must_use]
pub fn due(video: &Video) -> Vec<(u32, Known)> {
    let all = video
        .orders
        .iter()
        .flat_map(|order| order.facts.iter().map(|known| (order.number, known.clone())));
    let mut due: Vec<(u32, Known)> = all.filter(|(_, known)| known.seq > video.announced).collect();
    due.sort_by_key(|(_, known)| known.seq);
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::lane::Lane;
    use crate::order::state::{Fact, Order, Status};

    #[test]
    fn facts_of_all_orders_come_in_the_order_in_which_they_became_known() {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
        video.orders.push(Order::new(2, Status::Queued, Lane::Normal, 0));
        video.learn(2, Fact::Playable, 1);
        video.learn(1, Fact::Playable, 2);
        video.learn(2, Fact::Completed, 3);
        let numbers = |video: &Video| -> Vec<(u32, u64)> {
            due(video).into_iter().map(|(order, known)| (order, known.seq)).collect()
        };
        assert_eq!(numbers(&video), [(2, 1), (1, 2), (2, 3)]);
        video.announced = 2;
        assert_eq!(numbers(&video), [(2, 3)]);
        video.announced = 3;
        assert_eq!(numbers(&video), []);
    }
}
