//! Writes the finished set of an order once, and closes the order with one compare-and-set.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::order::state::{Fact, Order, Published, Status, Video};
use jetreel_domain::output::cost::CostSheet;
use jetreel_domain::output::manifest;
use jetreel_domain::output::playlist;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;
use tokio_util::bytes::Bytes;

use crate::change;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::Versioned;
use crate::trace;

/// Files of a finished set that are written at once. Bounded so that a node does not flood a slow store.
const WRITES_AT_ONCE: usize = 8;

/// Which publisher writes the set if several see that an order is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// The publisher that moves the order to PUBLISHING. If it dies, its message is delivered again.
    Mover,
    /// This publisher in any case: the one that began may have died.
    Anyone,
}

/// Announces the facts of a complete order in PUBLISHING. If `writes`, writes playlists and manifest, and completes the order; the same
/// write records that the facts are announced. Returns the state afterwards, `None` if the video was removed.
pub(super) async fn complete(
    context: &Context,
    order: &OrderId,
    plan: &Plan,
    view: &View,
    found: Versioned<Video>,
    writes: bool,
) -> Result<Option<Versioned<Video>>, Failure> {
    let ports = &context.ports;
    let publishing = |state: &Order| state.status == Status::Publishing && !state.superseded;
    if !writes || !found.value.order(order.number).is_some_and(publishing) {
        return change::announce_from(ports, found).await;
    }
    let told = change::tell(ports, &found.value).await?;
    crash::point("publish-after-publishing");
    let set = write_set(context, order, plan, view);
    let (published, sheet) = trace::step("publish", set).await?;
    crash::point("publish-after-set");
    let now = ports.environment.now();
    let mut completed = false;
    let after = change::from(ports, found, |video| {
        let noted = told.is_some_and(|last| change::note(video, last));
        let open = video.order(order.number).is_some_and(publishing);
        completed = open && video.advance(order.number, Status::Completed, now).is_ok();
        if !completed {
            return Ok(noted);
        }
        video.learn(order.number, Fact::Completed, now);
        if let Some(state) = video.order_mut(order.number) {
            state.published = Some(published.clone());
        }
        Ok(true)
    })
    .await?;
    crash::point("publish-after-complete");
    if completed {
        let event = Event::OrderMoved { order: order.clone(), to: Status::Completed };
        ports.environment.emit(event);
        ports.environment.emit(Event::CostCounted { order: order.clone(), sheet });
    }
    Ok(after)
}

/// Writes playlists and initialisation segments, then the manifest that names them all.
async fn write_set(
    context: &Context,
    order: &OrderId,
    plan: &Plan,
    view: &View,
) -> Result<(Published, CostSheet), Failure> {
    let uuid = context.ports.environment.uuid();
    let prefix = format!("out/{}/{}/final-{uuid}", order.video, order.number);
    let prefix = prefix.as_str();
    let writes = stream::iter(contents(plan, view)?).map(async |(name, bytes)| {
        let object = write(context, &format!("{prefix}/{name}"), bytes).await?;
        Ok::<_, Failure>((name, object))
    });
    let files: Vec<_> = writes.buffered(WRITES_AT_ONCE).try_collect().await?;
    let manifest = manifest::build(plan, view, files);
    let sheet = CostSheet::of_manifest(&manifest);
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| {
        Failure::task("manifest-encode", "The manifest cannot be written.").with_detail(error)
    })?;
    let manifest = write(context, &format!("{prefix}/manifest.json"), bytes.into()).await?;
    Ok((Published { prefix: prefix.to_owned(), manifest }, sheet))
}

/// Names and bytes of every file of the finished set except the manifest.
fn contents(plan: &Plan, view: &View) -> Result<Vec<(String, Bytes)>, Failure> {
    let mut files = vec![("master.m3u8".to_owned(), playlist::master(plan, Some(view)).into())];
    for (index, tier) in plan.tiers.iter().enumerate() {
        let init = playlist::init(plan, view, &tier.name).ok_or_else(|| {
            Failure::permanent(
                "no-frames",
                format!("The rendition {} has no pictures. Export the video again.", tier.name),
            )
        })?;
        let text = playlist::video(plan, view, index, true);
        files.push((format!("{}.m3u8", tier.name), text.into()));
        files.push((playlist::init_name(&tier.name), init.into()));
    }
    for (index, audio) in plan.audio.iter().enumerate() {
        // A track without a decodable sample is left out, as in the master playlist.
        let Some(init) = playlist::init(plan, view, &audio.name) else { continue };
        let text = playlist::audio(plan, view, index, true);
        files.push((format!("{}.m3u8", audio.name), text.into()));
        files.push((playlist::init_name(&audio.name), init.into()));
    }
    Ok(files)
}

/// Writes an object and reads it back.
async fn write(context: &Context, key: &str, bytes: Bytes) -> Result<Object, Failure> {
    let store = &context.ports.store;
    let object = store.write(key, bytes.clone()).await?;
    if store.read_all(key).await? == bytes {
        Ok(object)
    } else {
        let message = "An object reads back differently from what was written.";
        Err(Failure::dependency("store-corrupt", message).with_detail(key))
    }
}
