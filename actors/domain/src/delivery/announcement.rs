//! Announcements for subscribers: one message per fact, with a body that needs no further read.

use serde::{Deserialize, Serialize};

use crate::delivery::message::VERSION;
use crate::id::{OrderId, VideoId};
use crate::order::state::{Fact, Known, Published, Status, Video};

/// The body of a message on `video.transcodes.progress.…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Schema version.
    pub v: u32,
    pub video: VideoId,
    /// The job: `<video>-<number>`.
    pub order: String,
    /// The fact, such as `tier-720p`.
    pub fact: String,
    /// Number within the video, from 1, without gaps.
    pub seq: u64,
    /// When it became known, in seconds since the Unix epoch.
    pub at: i64,
    /// Title given by the uploader. For display only.
    pub title: String,
    /// Status of the order at the time of the announcement.
    pub status: Option<Status>,
    /// Tier of a `tier-…` fact; `None` for others.
    #[serde(default)]
    pub tier: Option<String>,
    /// Complete tiers, in the order in which they became complete.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// Path of the HLS master playlist on a gateway; `None` before playback can start.
    #[serde(default)]
    pub playlist: Option<String>,
    /// The finished set in the store; `None` except for `completed`.
    #[serde(default)]
    pub published: Option<Published>,
    /// Failure of the order; `None` except for `failed-…`.
    #[serde(default)]
    pub error: Option<Reason>,
    /// Size of the original in bytes.
    #[serde(default)]
    pub source_bytes: u64,
}

/// Failure of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable code, such as `unknown-format`.
    pub code: String,
    /// Sentence for users.
    pub message: String,
}

impl Announcement {
    /// The announcement of a fact of an order, from the state of its video.
    #[must_use]
    pub fn of(order: &OrderId, known: &Known, video: &Video) -> Self {
        let found = video.order(order.number);
        let facts = found.map_or(&[][..], |order| order.facts.as_slice());
        let complete =
            facts.iter().filter(|earlier| earlier.seq <= known.seq).filter_map(|k| tier(&k.fact));
        let playable = facts.iter().any(|k| k.seq <= known.seq && k.fact == Fact::Playable);
        let error =
            found.filter(|_| matches!(known.fact, Fact::Failed(_))).and_then(|o| o.failure());
        Self {
            v: VERSION,
            video: order.video.clone(),
            order: order.to_string(),
            fact: known.fact.to_string(),
            seq: known.seq,
            at: known.at,
            title: video.title.clone(),
            status: found.map(|order| order.status),
            tier: tier(&known.fact),
            tiers: complete.collect(),
            playlist: (playable || known.fact == Fact::Completed)
                .then(|| format!("/v/{}/master.m3u8", order.video)),
            published: found
                .filter(|_| known.fact == Fact::Completed)
                .and_then(|order| order.published.clone()),
            error: error.map(|f| Reason { code: f.code.clone(), message: f.message.clone() }),
            source_bytes: video.source_of(order.number).bytes,
        }
    }
}

fn tier(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Tier(name) => Some(name.clone()),
        Fact::Playable | Fact::Completed | Fact::Failed(_) | Fact::Cancelled | Fact::Deleted => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::order::lane::Lane;
    use crate::order::state::Dead;
    use crate::words::failure::Failure;

    use super::*;

    fn video() -> (OrderId, Video) {
        let id = VideoId::from_bits(5);
        let mut video = Video::receiving(id.clone(), "Holiday".into(), Lane::Normal, 0);
        video.learn(1, Fact::Playable, 10);
        video.learn(1, Fact::Tier("240p".into()), 20);
        (OrderId::new(id, 1), video)
    }

    fn told(order: &OrderId, video: &Video, index: usize) -> Announcement {
        let known = video.orders[0].facts[index].clone();
        Announcement::of(order, &known, video)
    }

    #[test]
    fn a_tier_is_told_with_all_a_subscriber_needs() {
        let (order, mut video) = video();
        video.learn(1, Fact::Tier("720p".into()), 30);
        let told = told(&order, &video, 1);
        assert_eq!((told.tier.as_deref(), told.seq), (Some("240p"), 2));
        assert_eq!(told.tiers, ["240p"], "what became known later is not told early");
        assert_eq!(told.playlist, Some(format!("/v/{}/master.m3u8", order.video)));
        assert_eq!((told.title.as_str(), told.error), ("Holiday", None));
    }

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let (order, mut video) = video();
        let dead =
            Dead { sequence: 9, failure: Failure::permanent("no-video", "no picture"), letter: 1 };
        video.bury(1, &"ingest".into(), dead, 40).unwrap();
        let told = told(&order, &video, 2);
        assert_eq!(told.fact, "failed-1");
        assert_eq!(told.error.unwrap().code, "no-video");
    }
}
