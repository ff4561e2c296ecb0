//! The videos with open orders, and their troubles.
//!
//! States are read once, in the order of their writes, and after that only their changes. So the cost of a pass grows with the open orders,
//! not with all videos.

use std::collections::BTreeMap;
use std::mem;

use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::admission::Admission;
use jetreel_domain::order::document::{self, Document as _};
use jetreel_domain::order::owner::Owner;
use jetreel_domain::order::release::{self, Step};
use jetreel_domain::order::state::{Order, Video};
use jetreel_domain::upkeep::reconcile::{self, Found, Need, Position, Watch};
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use super::foreign::Foreign;
use super::nodes::Nodes;
use super::repair;
use crate::event::Event;
use crate::plans::Plans;
use crate::ports::Versioned;
use crate::releases;

/// States read in one pass.
const STATES_PER_PASS: usize = 500;
/// Videos examined in one pass. If more have open orders, the next pass continues with them.
const VIDEOS_PER_PASS: usize = 500;
/// Objects of an upload listed at a time.
const PARTS_PER_PAGE: usize = 1000;

/// Videos with open orders.
#[derive(Default)]
pub(super) struct Orders {
    read: u64,
    /// When the bucket that was read was created, in nanoseconds since the Unix epoch.
    born: i64,
    open: BTreeMap<VideoId, Open>,
    line: Admission,
    next: Option<VideoId>,
    plans: Plans,
    nodes: Nodes,
    foreign: Foreign,
}

#[derive(Default)]
struct Open {
    watch: Watch,
    /// By order number. Plans never change.
    planned: BTreeMap<u32, Planned>,
}

/// The part of a plan that the reconciler needs.
#[derive(Clone)]
struct Planned {
    steps: Vec<Step>,
    codec_build: String,
}

impl Orders {
    /// Reads changed states. `true` if there are more.
    pub(super) async fn read_on(&mut self, args: &Args) -> Result<bool, Failure> {
        let states = args.survey.states(self.read, STATES_PER_PASS).await?;
        if states.extent.is_another(self.born, self.read) {
            let (plans, nodes) = (mem::take(&mut self.plans), mem::take(&mut self.nodes));
            *self = Self { plans, nodes, ..Self::default() };
            return Ok(true);
        }
        self.born = states.extent.born;
        for video in states.videos {
            let video = video.value;
            self.foreign.note(&video);
            self.line.enter(&video);
            if video.is_newer() {
                // Only a newer program may change this state. Logged once for each change.
                self.open.remove(&video.id);
                args.pass_over(document::newer().with_detail(&video.id)).await?;
            } else if reconcile::is_settled(&video) {
                self.open.remove(&video.id);
            } else {
                self.open.entry(video.id).or_default();
            }
        }
        self.read = states.read;
        Ok(states.more)
    }

    /// Originals outside the folders of their videos.
    pub(super) fn foreign(&self) -> &Foreign {
        &self.foreign
    }

    /// Examines the videos with open orders and repairs troubles that have lasted long enough.
    pub(super) async fn look(&mut self, args: &Args) -> Result<(), Failure> {
        self.nodes.look(args).await;
        // Publishers have released what is newly admitted before a task counts as lost.
        self.line.look(releases::cluster_slots(&args.context));
        let position = self.position(args).await;
        for id in self.turn() {
            if let Err(failure) = self.look_at(args, &id, position).await {
                args.pass_over(failure).await?;
            }
        }
        Ok(())
    }

    /// Without a consumer of uploads, uploads are not examined; the rest of the pass goes on.
    async fn position(&self, args: &Args) -> Option<Position> {
        if self.open.is_empty() {
            return None;
        }
        match args.survey.uploads_position().await {
            Ok(position) => Some(position),
            Err(failure) => {
                let event = Event::StageFault { stage: "reconcile", failure };
                args.context.ports.environment.emit(event);
                None
            }
        }
    }

    /// The videos for this pass.
    fn turn(&mut self) -> Vec<VideoId> {
        let next = self.next.take();
        let after = self.open.keys().filter(|id| next.as_ref().is_none_or(|next| *id >= next));
        let mut ids: Vec<VideoId> = after.take(VIDEOS_PER_PASS + 1).cloned().collect();
        if ids.len() > VIDEOS_PER_PASS {
            self.next = ids.pop();
        }
        ids
    }

    async fn look_at(
        &mut self,
        args: &Args,
        id: &VideoId,
        position: Option<Position>,
    ) -> Result<(), Failure> {
        let ports = &args.context.ports;
        let policy = &args.context.config.reconciler;
        let video = match ports.broker.video(id).await? {
            Some(Versioned { value, .. })
                if !value.is_newer() && !reconcile::is_settled(&value) =>
            {
                value
            }
            Some(_) | None => {
                self.open.remove(id);
                self.line.remove(id);
                return Ok(());
            }
        };
        let mut found = BTreeMap::new();
        for order in &video.orders {
            match self.find(args, &video, order, position).await {
                Ok(about) => drop(found.insert(order.number, about)),
                // This order is not examined; the video's other orders are.
                Err(failure) => args.pass_over(failure).await?,
            }
        }
        let now = ports.environment.now();
        let amiss = reconcile::troubles(&video, &found, now, policy);
        let watch = &mut self.open.entry(id.clone()).or_default().watch;
        let ripe = watch.ripe(now, amiss, policy);
        if ripe.iter().any(|trouble| trouble.deletes()) {
            // Another video may use an object of this one as its source, so all changes are read before anything is deleted.
            while self.read_on(args).await? {}
        }
        for trouble in ripe {
            if let Err(failure) = repair::mend(args, &self.foreign, &video, trouble).await {
                args.pass_over(failure).await?;
            }
        }
        Ok(())
    }

    async fn find(
        &mut self,
        args: &Args,
        video: &Video,
        order: &Order,
        position: Option<Position>,
    ) -> Result<Found, Failure> {
        let id = video.order_id(order.number);
        let now = args.context.ports.environment.now();
        Ok(match (reconcile::need(order, now, &args.context.config.reconciler), position) {
            (Need::Nothing, _) | (Need::Announcement, None) => Found::Nothing,
            (Need::Announcement, Some(position)) => {
                let newest = args.survey.announced_upload(&id).await?;
                Found::Announcement(reconcile::announcement(newest, &position))
            }
            (Need::Tasks, _) => {
                let Some(Planned { steps, codec_build }) = self.planned(args, order, &id).await?
                else {
                    return Ok(Found::Nothing);
                };
                let stranded = self.nodes.strand(&codec_build);
                let queued = args.survey.queued_tasks(&id).await?;
                let finished = args.survey.finished_tasks(&id).await?;
                let windows = self.line.windows(video, order);
                Found::Tasks { steps, queued, finished, windows, stranded }
            }
            (Need::Parts, _) => Found::Parts(newest_part(args, &video.id).await?),
        })
    }

    async fn planned(
        &mut self,
        args: &Args,
        order: &Order,
        id: &OrderId,
    ) -> Result<Option<Planned>, Failure> {
        let open = self.open.entry(id.video.clone()).or_default();
        if let Some(planned) = open.planned.get(&order.number) {
            return Ok(Some(planned.clone()));
        }
        let Some(object) = order.plan.as_ref().map(|plan| &plan.object) else {
            return Ok(None);
        };
        let store = args.context.ports.store.as_ref();
        let plan = self.plans.get(store, id, &object.key, &object.sha256).await?;
        let codec_build = plan.codec_build.clone();
        let planned = Planned { steps: release::steps(&plan), codec_build };
        open.planned.insert(order.number, planned.clone());
        Ok(Some(planned))
    }
}

/// When the newest part of an upload was written. An upload whose parts cannot be listed must not be mistaken for one without parts.
async fn newest_part(args: &Args, video: &VideoId) -> Result<Option<i64>, Failure> {
    if let Some(newest) = args.survey.newest_part(video).await? {
        return Ok(Some(newest));
    }
    // The log is empty: the first part is being written, or an older program without logs writes the upload.
    let prefix = Owner::Original(video.clone()).prefix();
    let mut walk = args.context.ports.store.walk(&prefix).await?;
    let mut newest = None;
    loop {
        let page = walk.page(PARTS_PER_PAGE).await?;
        newest = page.iter().filter_map(|met| met.modified).max().max(newest);
        if page.len() < PARTS_PER_PAGE {
            return if walk.unread().is_empty() { Ok(newest) } else { Err(unread(walk.unread())) };
        }
    }
}

fn unread(folders: &[String]) -> Failure {
    Failure::task("folder-unreadable", "A folder of the store cannot be read.")
        .with_detail(folders.join(" "))
}
