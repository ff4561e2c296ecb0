//! The videos that are not at rest, and what is amiss with them.
//!
//! States are read once, in the order in which they were written; from then on only what changed. So a pass costs as much as there
//! is under way, not as much as there is.

use std::collections::BTreeMap;
use std::mem;

use jetreel_domain::id::{OrderId, VideoId};
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

/// States read in one pass.
const STATES_PER_PASS: usize = 500;
/// Videos looked at in one pass; where more are under way, the next pass goes on with them.
const VIDEOS_PER_PASS: usize = 500;
/// Objects of an upload asked for at a time.
const PARTS_PER_PAGE: usize = 1000;

/// What is under way.
#[derive(Default)]
pub(super) struct Orders {
    read: u64,
    /// When the bucket was made that was read.
    born: i64,
    open: BTreeMap<VideoId, Open>,
    next: Option<VideoId>,
    plans: Plans,
    nodes: Nodes,
    foreign: Foreign,
}

#[derive(Default)]
struct Open {
    watch: Watch,
    /// By order: plans never change.
    planned: BTreeMap<u32, Planned>,
}

/// What is of interest of a plan.
#[derive(Clone)]
struct Planned {
    steps: Vec<Step>,
    codec_build: String,
}

impl Orders {
    /// Reads what changed. `true`: there is more.
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
            if video.is_newer() {
                // Only a newer program changes it, whatever is amiss. Told once for each change.
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

    /// Looks at the videos under way, and mends what has been amiss for long.
    pub(super) async fn look(&mut self, args: &Args) -> Result<(), Failure> {
        self.nodes.look(args).await;
        let position = self.position(args).await;
        for id in self.turn() {
            if let Err(failure) = self.look_at(args, &id, position).await {
                args.pass_over(failure).await?;
            }
        }
        Ok(())
    }

    /// Without a consumer of uploads, nothing is said of uploads; the rest goes on.
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

    /// The videos whose turn it is.
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
                return Ok(());
            }
        };
        let mut found = BTreeMap::new();
        for order in &video.orders {
            match self.find(args, &video, order, position).await {
                Ok(about) => drop(found.insert(order.number, about)),
                // Not judged; the video's other orders are.
                Err(failure) => args.pass_over(failure).await?,
            }
        }
        let now = ports.environment.now();
        let amiss = reconcile::troubles(&video, &found, now, policy);
        let watch = &mut self.open.entry(id.clone()).or_default().watch;
        let ripe = watch.ripe(now, amiss, policy);
        if ripe.iter().any(|trouble| trouble.deletes()) {
            // Another video may be made from what this one leaves.
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
                Found::Tasks { steps, queued, finished, stranded }
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

/// When the newest part of an upload was written. An upload whose parts cannot be seen must not be taken for one without.
async fn newest_part(args: &Args, video: &VideoId) -> Result<Option<i64>, Failure> {
    if let Some(newest) = args.survey.newest_part(video).await? {
        return Ok(Some(newest));
    }
    // Its first part is being written, or an older program writes it, which keeps no log.
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
