//! Requests for another lane.

use jetreel_actors::lanes;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::lane::Lane;

use super::broker::ports;
use super::people::persist;
use super::port::Port;
use super::schedule::Rng;

/// Most requests for one video.
const WISHES_MAX: u64 = 3;

/// A request for another lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// Milliseconds since the start.
    pub(crate) at: u64,
    lane: Lane,
    /// The gateway dies between state and queues.
    silent: bool,
}

impl Wish {
    /// Requests for one video, perhaps none.
    pub(crate) fn some(rng: &mut Rng) -> Vec<Self> {
        let one = |rng: &mut Rng| Self {
            at: rng.below(90_000),
            lane: *rng.pick(&Lane::ALL),
            silent: rng.chance(0.3),
        };
        (0..rng.below(WISHES_MAX + 1)).map(|_| one(rng)).collect()
    }

    /// A gateway's handling of it.
    pub(crate) async fn come_true(self, user: Port, id: VideoId) {
        user.world.scheduler.hold(self.at).await;
        let ports = ports(&user);
        let done = persist(&user, || lanes::prioritise(&ports, &id, None, self.lane)).await;
        let Ok(job) = done else { return };
        user.world.tell(&user.body, format_args!("{} is {} now", job.order(), self.lane));
        if !self.silent {
            // Whatever fails here, the publishers do it.
            lanes::settle(&ports, &job.order()).await.ok();
        }
    }
}
