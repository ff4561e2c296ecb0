//! Changes the lane of an order that is not closed.
//!
//! One compare-and-set changes the lane. Whatever is released later goes into the new lane; what is queued already is moved, see
//! [`crate::delivery::transfer`].

use thiserror::Error;

use crate::id::OrderId;
use crate::order::lane::Lane;
use crate::order::state::{Order, Status, Video};
use crate::words::printable::printable;

/// Characters of a wrong name that an error quotes.
const QUOTED_MAX: usize = 40;

/// Why a lane cannot be changed. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PriorityRefused {
    #[error("There is no lane {0:?}. The lanes are high, normal and low.")]
    UnknownLane(String),
    #[error("There is no such job. GET /v1/jobs lists the newest.")]
    NoSuchJob,
    #[error("The job is completed. Its lane does not matter any more.")]
    Completed,
    #[error("The job was cancelled. Upload the video again, with the lane that you want.")]
    Cancelled,
    #[error("Another job took over from this one. Change the lane of {0} instead.")]
    Superseded(OrderId),
}

impl PriorityRefused {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownLane(_) => "unknown-lane",
            Self::NoSuchJob => "no-such-job",
            Self::Completed => "job-completed",
            Self::Cancelled => "job-cancelled",
            Self::Superseded(_) => "job-superseded",
        }
    }
}

/// The lane of that name.
///
/// # Errors
/// There is none.
pub fn lane(name: &str) -> Result<Lane, PriorityRefused> {
    name.parse().map_err(|_| {
        let quoted = printable(name).chars().take(QUOTED_MAX).collect();
        PriorityRefused::UnknownLane(quoted)
    })
}

impl Video {
    /// Puts an order into a lane: the order of this number, else the newest. Returns its number, and whether its lane was another.
    ///
    /// # Errors
    /// There is no such order, or it is closed. The video is unchanged then.
    pub fn prioritise(
        &mut self,
        number: Option<u32>,
        lane: Lane,
    ) -> Result<(u32, bool), PriorityRefused> {
        let number = number.or_else(|| self.newest().map(|order| order.number));
        let order = number.and_then(|number| self.order(number)).filter(|_| !self.is_deleted());
        let order = order.ok_or(PriorityRefused::NoSuchJob)?;
        let number = order.number;
        if order.superseded {
            let successor = self.successor(number).map(|next| self.order_id(next));
            return Err(successor.map_or(PriorityRefused::NoSuchJob, PriorityRefused::Superseded));
        }
        match order.status {
            Status::Completed => return Err(PriorityRefused::Completed),
            Status::Cancelled => return Err(PriorityRefused::Cancelled),
            Status::Receiving
            | Status::Queued
            | Status::Ingesting
            | Status::Encoding
            | Status::Publishing
            | Status::Failed => {}
        }
        let order = self.order_mut(number).ok_or(PriorityRefused::NoSuchJob)?;
        let before = std::mem::replace(&mut order.lane, lane);
        Ok((number, before != lane))
    }

    /// The order that the id of the video stands for: the newest that was not superseded.
    #[must_use]
    pub fn newest(&self) -> Option<&Order> {
        self.orders.iter().rev().find(|order| !order.superseded).or_else(|| self.orders.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::takeover::Takeover;
    use crate::words::sentence;

    fn video() -> Video {
        Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0)
    }

    #[test]
    fn an_order_changes_its_lane_until_it_is_closed() {
        for status in Status::ALL {
            let mut video = video();
            video.orders[0].status = status;
            let before = video.clone();
            let changed = video.prioritise(Some(1), Lane::High);
            assert_eq!(changed.is_ok(), !status.is_closed(), "{status}");
            if changed.is_err() {
                assert_eq!(video, before);
                continue;
            }
            assert_eq!((changed, video.orders[0].lane), (Ok((1, true)), Lane::High));
            assert_eq!(video.prioritise(None, Lane::High), Ok((1, false)), "it is there already");
        }
    }

    #[test]
    fn the_order_that_took_over_is_named() {
        let mut video = video();
        video.orders[0].status = Status::Encoding;
        assert_eq!(video.supersede(1, Takeover::CodecBuild, 5), Some(2));
        let refused = video.prioritise(Some(1), Lane::High).unwrap_err();
        assert_eq!(refused, PriorityRefused::Superseded(video.order_id(2)));
        assert_eq!(video.prioritise(None, Lane::Low), Ok((2, true)));
        assert_eq!(video.prioritise(Some(3), Lane::Low), Err(PriorityRefused::NoSuchJob));
        video.deleted = Some(9);
        assert_eq!(video.prioritise(None, Lane::High), Err(PriorityRefused::NoSuchJob));
    }

    #[test]
    fn a_lane_that_does_not_exist_is_quoted_in_print() {
        assert_eq!(lane("low"), Ok(Lane::Low));
        let wrong = lane("fast\u{202e}\n").unwrap_err();
        assert_eq!(wrong, PriorityRefused::UnknownLane("fast".to_owned()));
        assert!(lane(&"x".repeat(999)).unwrap_err().to_string().len() < 120);
        let all = [
            wrong,
            PriorityRefused::NoSuchJob,
            PriorityRefused::Completed,
            PriorityRefused::Cancelled,
            PriorityRefused::Superseded(OrderId::new(VideoId::from_bits(1), 2)),
        ];
        for refused in all {
            assert_eq!(sentence::check(&refused.to_string()), Ok(()));
        }
    }
}
