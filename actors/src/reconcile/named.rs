//! Collects the objects of an owner that state, plan, ledger, claims and manifest name.

use std::collections::BTreeSet;

use jetreel_domain::delivery::intake;
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::document::Document;
use jetreel_domain::order::ledger;
use jetreel_domain::order::owner::Owner;
use jetreel_domain::order::state::{Order, Published};
use jetreel_domain::output::manifest::{self, Manifest};
use jetreel_domain::upkeep::sweep::{self, Evidence, Names};
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use crate::intact::is_intact;
use crate::ports::Met;

/// The named objects of an owner. `None` if the names cannot be determined now, so that all objects must stay.
pub(super) async fn named(
    args: &Args,
    owner: &Owner,
    objects: &[Met],
) -> Result<Option<Names>, Failure> {
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
    if let Owner::Node(id) = owner
        && reports(args, id).await?
    {
        names.add_all(owner);
    }
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

/// Whether the bucket holds a report of the node, decoded or not.
async fn reports(args: &Args, id: &str) -> Result<bool, Failure> {
    let said = args.nodes.said(0, usize::MAX).await?;
    let mut odd = said.unreadable.iter().map(|word| &word.id);
    Ok(said.words.iter().any(|word| word.id == id) || odd.any(|odd| odd == id))
}

async fn manifest(
    args: &Args,
    order: &OrderId,
    published: &Published,
) -> Result<Manifest, Failure> {
    let object = &published.manifest;
    let bytes = args.context.ports.store.read_all(&object.key).await?;
    let broken = |why: String| {
        let message = "The manifest of a published video differs from the one that was written.";
        Failure::task("manifest-broken", message).with_detail(format!("{}: {why}", object.key))
    };
    if !is_intact(&bytes, &object.sha256) {
        return Err(broken("its hash is another".to_owned()));
    }
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    intake::manifest(&object.key, order, &manifest)
        .map_err(|contradiction| contradiction.of_document())?;
    Ok(manifest)
}
