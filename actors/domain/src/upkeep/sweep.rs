//! Decides which stored objects no document names any more.
//!
//! Only keys that Jetreel itself makes (`raw/<video>/…`, `out/<video>/<order>/…`, probes, signs of nodes) are judged. Other objects in the
//! store belong to other programs. An object is an orphan if state, plan, ledger, claims and manifest all leave it out, at two walks through
//! the store and once more right before it is deleted. It must also be so old that no worker is still about to name it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::delivery::claim::Claim;
use crate::id::{OrderId, TaskId};
use crate::order::ledger::Entry;
use crate::order::owner::Owner;
use crate::order::parts::PartList;
use crate::order::state::{Published, Source, Status, Video};
use crate::output::manifest::Manifest;

/// What must be read to know the objects that an order names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The state is sufficient.
    State,
    /// Ledger and claims.
    Ledger,
    /// The manifest of the finished set.
    Manifest(Published),
}

/// What must be read to know the objects that an order names.
#[must_use]
pub fn evidence(video: Option<&Video>, number: u32) -> Evidence {
    let there = video.filter(|video| !video.is_deleted());
    let Some(order) = there.and_then(|video| video.order(number)) else { return Evidence::State };
    match (&order.published, order.status) {
        (Some(published), Status::Completed) => Evidence::Manifest(published.clone()),
        _ if order.is_closed() => Evidence::State,
        (_, Status::Encoding | Status::Publishing | Status::Failed) => Evidence::Ledger,
        (
            _,
            Status::Receiving
            | Status::Queued
            | Status::Ingesting
            | Status::Completed
            | Status::Cancelled,
        ) => Evidence::State,
    }
}

/// Named objects: whole keys, and prefixes of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    keys: BTreeSet<String>,
    prefixes: BTreeSet<String>,
    lists: Vec<Arc<PartList>>,
}

impl Names {
    /// Whether the object at `key` must stay.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.contains(key)
            || self.prefixes.iter().any(|prefix| key.starts_with(prefix))
            || self.lists.iter().any(|list| list.has(key))
    }

    /// Adds the objects of a ledger entry.
    pub fn add_entry(&mut self, entry: &Entry) {
        for output in &entry.outputs {
            self.keys.extend(output.objects().into_iter().map(|object| object.key.clone()));
        }
    }

    /// Adds the objects that the holder of a claim has written and not yet entered.
    pub fn add_claim(&mut self, order: &OrderId, task: TaskId, claim: &Claim) {
        if !claim.released {
            let Claim { attempt_id, .. } = claim;
            self.prefixes
                .insert(format!("out/{}/{}/{task}/{attempt_id}/", order.video, order.number));
        }
    }

    /// Adds all objects of an owner.
    pub fn add_all(&mut self, owner: &Owner) {
        self.prefixes.insert(owner.prefix());
    }

    /// Adds the parts of an original.
    pub fn add_parts(&mut self, list: Arc<PartList>) {
        self.lists.push(list);
    }

    /// Adds all objects that a manifest names.
    pub fn add_manifest(&mut self, manifest: &Manifest) {
        self.keys.extend(manifest.objects().map(|object| object.key.clone()));
    }
}

/// The sources of a video whose parts are in a list. The names in the state are incomplete without these lists.
pub fn listed(video: &Video) -> impl Iterator<Item = &Source> {
    let there = !video.is_deleted();
    sources(video).filter(move |source| there && source.list.is_some())
}

/// The names that the state gives to an owner's objects. Empty for a deleted video and if there is no such video (`None`).
#[must_use]
pub fn names(video: Option<&Video>, owner: &Owner) -> Names {
    let mut names = Names::default();
    let Some(video) = video.filter(|video| !video.is_deleted()) else { return names };
    match owner {
        Owner::Probe | Owner::Node(_) => {}
        Owner::Original(_) => {
            names.keys.extend(source_keys(video).map(ToOwned::to_owned));
            if video.orders.iter().any(|order| order.status == Status::Receiving) {
                names.prefixes.insert(owner.prefix());
            }
        }
        Owner::Order(id) => {
            let Some(order) = video.order(id.number) else { return names };
            names.keys.extend(order.plan.iter().map(|plan| plan.object.key.clone()));
            if let Some(published) = &order.published {
                names.keys.insert(published.manifest.key.clone());
                names.prefixes.insert(format!("{}/", published.prefix));
            }
            if order.is_closed() {
                return names;
            }
            // The output is being written and not named yet.
            match order.status {
                Status::Queued | Status::Ingesting => {
                    names.prefixes.insert(format!("{}plan-", owner.prefix()));
                }
                Status::Publishing => {
                    names.prefixes.insert(format!("{}final-", owner.prefix()));
                }
                Status::Receiving
                | Status::Encoding
                | Status::Completed
                | Status::Failed
                | Status::Cancelled => {}
            }
        }
    }
    names
}

/// Keys of originals outside of the folder of their video, as states of older versions name them. Such a video was made from an object that
/// was in the store before. A list never names objects in another video's folder.
pub fn foreign_keys(video: &Video) -> impl Iterator<Item = &str> {
    let own = Owner::Original(video.id.clone()).prefix();
    let there = !video.is_deleted();
    source_keys(video).filter(move |key| there && !key.starts_with(&own))
}

fn sources(video: &Video) -> impl Iterator<Item = &Source> {
    let others = video.orders.iter().filter_map(|order| order.source.as_ref());
    std::iter::once(&video.source).chain(others)
}

fn source_keys(video: &Video) -> impl Iterator<Item = &str> {
    sources(video).flat_map(|source| {
        let list = source.list.iter().map(|list| list.key.as_str());
        source.parts.iter().map(|part| part.key.as_str()).chain(list)
    })
}

/// Most orphans held in memory. Further ones wait for a later walk.
const CANDIDATES_MAX: usize = 65_536;

/// Orphans, by the walk in which each was first seen.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    seen: BTreeMap<String, Seen>,
    walk: u64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: u64,
    last: u64,
}

impl Candidates {
    /// Adds an orphan. `true` if an earlier walk met it too.
    pub fn note(&mut self, key: &str) -> bool {
        let walk = self.walk;
        if let Some(seen) = self.seen.get_mut(key) {
            seen.last = walk;
            return seen.first < walk;
        }
        if self.seen.len() < CANDIDATES_MAX {
            self.seen.insert(key.to_owned(), Seen { first: walk, last: walk });
        }
        false
    }

    /// Records that an object still exists, even if this walk cannot judge it.
    pub fn meet(&mut self, key: &str) {
        if let Some(seen) = self.seen.get_mut(key) {
            seen.last = self.walk;
        }
    }

    /// Removes an object that is deleted or named again.
    pub fn forget(&mut self, key: &str) {
        self.seen.remove(key);
    }

    /// Ends a walk. Objects that it did not meet are forgotten, except in folders that could not be read.
    pub fn end_walk(&mut self, unread: &[String]) {
        let walk = self.walk;
        let unseen = |key: &str| unread.iter().any(|folder| key.starts_with(folder.as_str()));
        self.seen.retain(|key, seen| seen.last == walk || unseen(key));
        self.walk += 1;
    }

    /// Number of orphans.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
