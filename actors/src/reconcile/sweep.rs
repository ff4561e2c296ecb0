//! The sweep: walks through the store page by page and deletes objects that no document names.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_domain::delivery::intake;
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::document::Document;
use jetreel_domain::order::ledger;
use jetreel_domain::order::owner::FOLDERS;
use jetreel_domain::order::owner::Owner;
use jetreel_domain::order::state::{Order, Published};
use jetreel_domain::output::manifest::{self, Manifest};
use jetreel_domain::upkeep::sweep::{self, Candidates, Evidence, Names};
use jetreel_domain::words::failure::Failure;
use sha2::{Digest, Sha256};

use super::args::Args;
use super::foreign::Foreign;
use super::orders::Orders;
use crate::crash;
use crate::event::{Event, Reconciled};
use crate::ports::{Met, Walk};

/// Objects of one owner listed at a time.
const OBJECTS_PER_PAGE: usize = 1000;

/// Walks through the objects of a cancelled order if folders could not be read.
const CLEARING_WALKS_MAX: usize = 3;

/// Code of a failure that the store denies the request.
const DENIED: &str = "storage-denied";

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

/// Deletes every object of an owner that no document names, whatever its age. The order was cancelled, and its workers have stopped.
pub(super) async fn clear(args: &Args, foreign: &Foreign, owner: &Owner) -> Result<(), Failure> {
    args.bound.holds(args.binding.as_ref(), args.context.ports.store.as_ref()).await?;
    for _ in 0..CLEARING_WALKS_MAX {
        if clear_once(args, foreign, owner).await? {
            return Ok(());
        }
    }
    // Objects in folders that could not be read are orphans from now on.
    Ok(())
}

/// Returns whether all folders could be read.
async fn clear_once(args: &Args, foreign: &Foreign, owner: &Owner) -> Result<bool, Failure> {
    let mut walk = args.context.ports.store.walk(&owner.prefix()).await?;
    loop {
        let page = walk.page(OBJECTS_PER_PAGE).await?;
        if let Some(named) = named(args, owner, &page).await? {
            let unnamed = |met: &&Met| !named.has(&met.key) && !foreign.has(&met.key);
            for met in page.iter().filter(unnamed) {
                delete(args, met).await?;
            }
        }
        if page.len() < OBJECTS_PER_PAGE {
            return Ok(walk.unread().is_empty());
        }
    }
}

/// Deletes an object. An object that the store refuses to delete stays, and the sweep continues.
async fn delete(args: &Args, met: &Met) -> Result<(), Failure> {
    match args.context.ports.store.delete(&met.key).await {
        Err(failure) if failure.code == DENIED => {
            let event = Event::StageFault { stage: "reconcile", failure };
            args.context.ports.environment.emit(event);
            return Ok(());
        }
        deleted => deleted?,
    }
    crash::point("sweep-after-delete");
    let event =
        Event::Reconciled(Reconciled::OrphanDeleted { key: met.key.clone(), bytes: met.bytes });
    args.context.ports.environment.emit(event);
    Ok(())
}

/// The named objects of an owner. `None` if the names cannot be determined now, so that all objects must stay.
async fn named(args: &Args, owner: &Owner, objects: &[Met]) -> Result<Option<Names>, Failure> {
    let broker = &args.context.ports.broker;
    let found = match owner.video() {
        Some(video) => broker.video(video).await?.map(|found| found.value),
        None => None,
    };
    if found.as_ref().is_some_and(Document::is_newer) {
        // A newer program may name objects in fields that this program does not know.
        return Ok(None);
    }
    let mut names = sweep::names(found.as_ref(), owner);
    if let (Owner::Original(id), Some(video)) = (owner, &found) {
        for source in sweep::listed(video) {
            let store = args.context.ports.store.as_ref();
            names.add_parts(args.context.lists.get(store, id, source).await?);
        }
    }
    let Owner::Order(order) = owner else { return Ok(Some(names)) };
    match sweep::evidence(found.as_ref(), order.number) {
        Evidence::State => {}
        Evidence::Manifest(published) => {
            let manifest = manifest(args, order, &published).await?;
            if manifest.v > manifest::VERSION {
                return Ok(None);
            }
            names.add_manifest(&manifest);
        }
        Evidence::Ledger => {
            if !add_records(args, order, objects, &mut names).await? {
                return Ok(None);
            }
            // The records of an order that was closed in the meantime may have been removed before they were read.
            let after = broker.video(&order.video).await?;
            let open = after.as_ref().and_then(|after| after.value.order(order.number));
            if open.is_none_or(Order::is_closed) {
                return Ok(None);
            }
        }
    }
    Ok(Some(names))
}

/// Adds the objects that ledger entries and claims name. `false` if a newer program wrote some of them, which may name more.
async fn add_records(
    args: &Args,
    order: &OrderId,
    objects: &[Met],
    names: &mut Names,
) -> Result<bool, Failure> {
    let broker = &args.context.ports.broker;
    // Claims are read first. A worker that loses its claim after this read has its results in the ledger, or writes no entry any more.
    let tasks: BTreeSet<TaskId> = objects.iter().filter_map(|met| Owner::task(&met.key)).collect();
    for task in tasks {
        if let Some(claim) = broker.claim(order, &task.into()).await? {
            names.add_claim(order, task, &claim.value);
        }
    }
    let (entries, _) = broker.entries(order, 0).await?;
    entries.iter().for_each(|entry| names.add_entry(entry));
    Ok(entries.iter().all(|entry| entry.v <= ledger::VERSION))
}

async fn manifest(
    args: &Args,
    order: &OrderId,
    published: &Published,
) -> Result<Manifest, Failure> {
    let object = &published.manifest;
    let bytes = args.context.ports.store.read_all(&object.key).await?;
    let hash = hex::encode(Sha256::digest(&bytes));
    let broken = |why: String| {
        let message = "The manifest of a published video differs from the one that was written.";
        Failure::task("manifest-broken", message).with_detail(format!("{}: {why}", object.key))
    };
    if hash != object.sha256 {
        return Err(broken("its hash is another".to_owned()));
    }
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    intake::manifest(&object.key, order, &manifest)
        .map_err(|contradiction| contradiction.of_document())?;
    Ok(manifest)
}
