//! The sweep: walks through the store page by page and deletes objects that no document names.

use std::collections::BTreeMap;

use jetreel_domain::order::owner::FOLDERS;
use jetreel_domain::order::owner::Owner;
use jetreel_domain::upkeep::sweep::Candidates;
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use super::clear::delete;
use super::named::named;
use super::orders::Orders;
use crate::event::{Event, Reconciled};
use crate::ports::{Met, Walk};

/// Progress of the walk through the store.
#[derive(Default)]
pub(super) struct Sweep {
    candidates: Candidates,
    walking: Option<Walking>,
    next_walk: i64,
}

struct Walking {
    walk: Box<dyn Walk>,
    folder: usize,
    /// Seconds since the Unix epoch. Older objects cannot be judged, because the bucket holds no states of that time.
    since: i64,
    met: u64,
    /// Folders that could not be read.
    unread: Vec<String>,
}

impl Sweep {
    /// Continues the walk by one page.
    pub(super) async fn look(&mut self, args: &Args, orders: &mut Orders) -> Result<(), Failure> {
        let policy = &args.context.config.reconciler;
        let now = args.context.ports.environment.now();
        let mut walking = match self.walking.take() {
            Some(walking) => walking,
            None if now < self.next_walk => return Ok(()),
            None => {
                args.bound.holds(args.binding.as_ref(), args.context.ports.store.as_ref()).await?;
                let since = args.survey.states_since().await?;
                let walk = args.context.ports.store.walk(FOLDERS[0]).await?;
                Walking { walk, folder: 0, since, met: 0, unread: Vec::new() }
            }
        };
        let limit = policy.objects_per_pass;
        let page = walking.walk.page(limit).await?;
        walking.met += page.len() as u64;
        let ended = page.len() < limit;
        // Recorded before the judgement, which may fail.
        page.iter().for_each(|met| self.candidates.meet(&met.key));
        let old = |met: &Met| {
            met.modified.is_some_and(|at| at >= walking.since && now - at >= policy.orphan_seconds)
        };
        let judged = self.judge(args, orders, page.into_iter().filter(old)).await;
        if !ended {
            self.walking = Some(walking);
            return judged;
        }
        walking.unread.extend_from_slice(walking.walk.unread());
        if let Some(folder) = FOLDERS.get(walking.folder + 1) {
            walking.walk = args.context.ports.store.walk(folder).await?;
            walking.folder += 1;
            self.walking = Some(walking);
        } else {
            self.end(args, &walking);
            self.next_walk = now + policy.sweep_seconds;
        }
        judged
    }

    fn end(&mut self, args: &Args, walking: &Walking) {
        self.candidates.end_walk(&walking.unread);
        let walked = Reconciled::StoreWalked {
            objects: walking.met,
            orphans: self.candidates.count(),
            unread: walking.unread.len(),
        };
        args.context.ports.environment.emit(Event::Reconciled(walked));
    }

    async fn judge(
        &mut self,
        args: &Args,
        orders: &mut Orders,
        page: impl Iterator<Item = Met>,
    ) -> Result<(), Failure> {
        let mut by_owner: BTreeMap<Owner, Vec<Met>> = BTreeMap::new();
        for met in page {
            if let Some(owner) = Owner::of(&met.key) {
                by_owner.entry(owner).or_default().push(met);
            }
        }
        for (owner, objects) in by_owner {
            if let Err(failure) = self.judge_owner(args, orders, &owner, objects).await {
                args.pass_over(failure).await?;
            }
        }
        Ok(())
    }

    async fn judge_owner(
        &mut self,
        args: &Args,
        orders: &mut Orders,
        owner: &Owner,
        objects: Vec<Met>,
    ) -> Result<(), Failure> {
        let Some(named) = named(args, owner, &objects).await? else { return Ok(()) };
        let mut again = Vec::new();
        for met in objects {
            if named.has(&met.key) {
                self.candidates.forget(&met.key);
            } else if self.candidates.note(&met.key) {
                again.push(met);
            }
        }
        if again.is_empty() { Ok(()) } else { self.delete(args, orders, owner, again).await }
    }

    /// Deletes orphans that an earlier walk met, unless a document names them by now.
    async fn delete(
        &mut self,
        args: &Args,
        orders: &mut Orders,
        owner: &Owner,
        objects: Vec<Met>,
    ) -> Result<(), Failure> {
        while orders.read_on(args).await? {}
        let Some(named) = named(args, owner, &objects).await? else { return Ok(()) };
        for met in objects {
            if !named.has(&met.key) && !orders.foreign().has(&met.key) {
                delete(args, &met).await?;
            }
            self.candidates.forget(&met.key);
        }
        Ok(())
    }
}
