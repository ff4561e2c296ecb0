//! Follows an order until it ends, through the ports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jetreel_actors::plans::Plans;
use jetreel_actors::ports::Ports;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::ledger::View;
use jetreel_domain::order::progress;
use jetreel_domain::order::state::{Fact, Order, Video};
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;

use super::bars::Bars;
use crate::bus::news::News;

/// Pause between two polls without an announcement.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Failed polls in a row after which the command gives up.
const FAULTS_MAX: u32 = 40;

/// An order that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// Final state of the video.
    pub(super) video: Video,
    /// Number of the newest order that was not superseded.
    pub(super) number: u32,
    /// Time from `started` until playback could have begun; `None` if it never could.
    pub(super) first_playable: Option<Duration>,
}

/// What is known of the followed order.
struct Watched {
    number: u32,
    view: View,
    after: u64,
    plans: Plans,
    first_playable: Option<Duration>,
}

/// Follows the newest order of a video until it ends. Times count from `started`.
pub(super) async fn until_ended(
    ports: &Ports,
    id: &VideoId,
    mut news: News,
    started: Instant,
    bars: &mut Bars,
) -> Result<Ended, Failure> {
    let mut watched = Watched {
        number: 0,
        view: View::default(),
        after: 0,
        plans: Plans::default(),
        first_playable: None,
    };
    let mut faults = 0;
    loop {
        match watched.look(ports, id, started, bars).await {
            Ok(Some(ended)) => return Ok(ended),
            Ok(None) => faults = 0,
            Err(failure) if faults >= FAULTS_MAX => return Err(failure),
            Err(failure) => {
                tracing::warn!(%failure, "the job cannot be followed");
                faults += 1;
            }
        }
        news.wait(LOOK_INTERVAL).await;
    }
}

impl Watched {
    async fn look(
        &mut self,
        ports: &Ports,
        id: &VideoId,
        started: Instant,
        bars: &mut Bars,
    ) -> Result<Option<Ended>, Failure> {
        let Some(read) = ports.broker.video(id).await? else {
            return Err(Failure::permanent("video-gone", "The video was deleted."));
        };
        let video = read.value;
        let Some(order) = video.orders.iter().rev().find(|order| !order.superseded) else {
            return Ok(None);
        };
        if order.number != self.number {
            // The order was superseded: its successor has another plan and another ledger.
            (self.number, self.view, self.after) = (order.number, View::default(), 0);
        }
        let plan = self.read_on(ports, &video, order).await?;
        let playable = plan.as_ref().is_some_and(|plan| progress::playable(plan, &self.view));
        if self.first_playable.is_none() && (playable || order.knows(&Fact::Playable)) {
            self.first_playable = Some(started.elapsed());
        }
        self.show(order, plan.as_deref(), bars);
        let (number, first_playable) = (self.number, self.first_playable);
        Ok(order.status.is_ended().then(|| Ended { video: video.clone(), number, first_playable }))
    }

    async fn read_on(
        &mut self,
        ports: &Ports,
        video: &Video,
        order: &Order,
    ) -> Result<Option<Arc<Plan>>, Failure> {
        let Some(plan) = &order.plan else { return Ok(None) };
        let object = &plan.object;
        let id = video.order_id(order.number);
        let store = ports.store.as_ref();
        let plan = self.plans.get(store, &id, &object.key, &object.sha256).await?;
        let (entries, last) = ports.broker.entries(&id, self.after).await?;
        entries.into_iter().for_each(|entry| self.view.insert(entry));
        self.after = self.after.max(last);
        Ok(Some(plan))
    }

    fn show(&self, order: &Order, plan: Option<&Plan>, bars: &mut Bars) {
        let word = order.status.as_str().to_lowercase();
        let Some(plan) = plan else { return bars.show(&word, &[]) };
        let percent = |tier| progress::tier_percent(plan, &self.view, tier);
        let tiers = plan.tiers.iter().enumerate();
        let parts: Vec<(String, u8)> =
            tiers.map(|(index, tier)| (tier.name.clone(), percent(index))).collect();
        bars.show(&word, &parts);
    }
}
