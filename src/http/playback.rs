//! `/v/<video>/…`: playlists, media and pictures.
//!
//! The playlists of an open order are rendered from plan and ledger; those of a complete order are files. The address of an object is its
//! key after `out/<video>/`, so the same relative addresses work for both, and for an exported folder.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::order::progress;
use jetreel_domain::order::state::{Order, Published, Status, Video};
use jetreel_domain::output::assembly;
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::output::playlist;
use jetreel_domain::plan::Plan;

use super::Gateway;
use super::catalog::Playing;
use super::objects::{Freshness, media_type, rendered, stored};
use super::problem::Problem;

/// Longest address of an object, in bytes.
const REST_LENGTH_MAX: usize = 256;

/// A media object, by its address in a playlist.
pub(super) async fn object(
    State(gateway): State<Arc<Gateway>>,
    Path((video, rest)): Path<(String, String)>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let video: VideoId = video.parse().map_err(|_| no_such_video())?;
    if !is_plain(&rest) {
        return Err(no_such_file());
    }
    let key = format!("out/{video}/{rest}");
    let number = rest.split('/').next().and_then(|number| number.parse().ok());
    let size = number.and_then(|number| gateway.orders.size(&OrderId::new(video, number), &key));
    stored(&gateway, key, size, &request, Freshness::Immutable).await
}

/// A playlist, an initialisation segment, a picture or a progressive file, by its name.
pub(super) async fn file(
    State(gateway): State<Arc<Gateway>>,
    Path((video, name)): Path<(String, String)>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let id: VideoId = video.parse().map_err(|_| no_such_video())?;
    if !is_plain(&name) || name.contains('/') {
        return Err(no_such_file());
    }
    let broker = &*gateway.ports.broker;
    match gateway.catalog.playing(broker, &id).await?.ok_or_else(no_such_video)? {
        Playing::Finished(finished) => {
            let manifest = gateway.orders.manifest(&gateway.ports, &finished).await?;
            let object = in_manifest(&manifest, &finished.published, &name);
            let Object { key, bytes, .. } = object.ok_or_else(no_such_file)?;
            stored(&gateway, key, Some(bytes), &request, Freshness::Revalidate).await
        }
        Playing::Open(video) => {
            let order = video.playback_order().ok_or_else(no_such_video)?;
            match unfinished(&gateway, &video, order, &name).await? {
                Some(Found::Body(body)) => {
                    Ok(rendered(body, media_type(&name), &request, Freshness::Revalidate))
                }
                Some(Found::Object(Object { key, bytes, .. })) => {
                    stored(&gateway, key, Some(bytes), &request, Freshness::Revalidate).await
                }
                None => Err(not_yet(order)),
            }
        }
    }
}

/// Content behind a name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Body(Bytes),
    /// This object.
    Object(Object),
}

async fn unfinished(
    gateway: &Gateway,
    video: &Video,
    order: &Order,
    name: &str,
) -> Result<Option<Found>, Problem> {
    let cancelled = order.status == Status::Cancelled;
    let Some(plan) = order.plan.as_ref().filter(|_| !cancelled) else { return Ok(None) };
    let id = video.order_id(order.number);
    let ended = order.status.is_ended();
    let at = |plan: &Plan, view: &View| render(plan, view, name, ended);
    Ok(gateway.orders.look(&gateway.ports, &id, plan, at).await?)
}

fn in_manifest(manifest: &Manifest, published: &Published, name: &str) -> Option<Object> {
    if name == "manifest.json" {
        return Some(published.manifest.clone());
    }
    let progressive = name.strip_suffix(".mp4").and_then(|tier| {
        let tier = manifest.tiers.iter().find(|summary| summary.name == tier)?;
        tier.progressive.as_ref()
    });
    let picture = || manifest.images.as_ref().and_then(|images| images.files.get(name));
    manifest.file(name).or(progressive).or_else(picture).cloned()
}

fn render(plan: &Plan, view: &View, name: &str, ended: bool) -> Option<Found> {
    let body = |text: String| Some(Found::Body(Bytes::from(text)));
    if name == "master.m3u8" {
        let playable = progress::playable(plan, view);
        return playable.then(|| playlist::master(plan, Some(view))).and_then(body);
    }
    if let Some(rendition) = name.strip_suffix(".m3u8") {
        // Players give up on a media playlist without a segment.
        playlist::init(plan, view, rendition)?;
        if let Some(tier) = plan.tiers.iter().position(|tier| tier.name == rendition) {
            return body(playlist::video(plan, view, tier, ended));
        }
        let track = plan.audio.iter().position(|audio| audio.name == rendition)?;
        return body(playlist::audio(plan, view, track, ended));
    }
    let renditions =
        plan.tiers.iter().map(|t| &t.name).chain(plan.audio.iter().map(|audio| &audio.name));
    if let Some(rendition) = renditions.into_iter().find(|r| playlist::init_name(r) == name) {
        return playlist::init(plan, view, rendition).map(|init| Found::Body(Bytes::from(init)));
    }
    let stored = |object: &Object| Some(Found::Object(object.clone()));
    if let Some(tier) = name.strip_suffix(".mp4") {
        let tier = plan.tiers.iter().position(|planned| planned.name == tier)?;
        return stored(&assembly::package(plan, view, tier)?.object);
    }
    stored(assembly::images(plan, view)?.files.get(name)?)
}

/// Whether a path has only letters, digits and `-_.`, in segments that are not empty and do not begin with a dot.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let segment =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    path.len() <= REST_LENGTH_MAX && path.split('/').all(segment)
}

fn no_such_video() -> Problem {
    Problem::not_found("no-such-video", "There is no such video. GET /v1/jobs lists the newest.")
}

fn no_such_file() -> Problem {
    Problem::not_found("no-such-file", "The video has no such file. Start at its master.m3u8.")
}

fn not_yet(order: &Order) -> Problem {
    match order.status {
        Status::Completed => no_such_file(),
        Status::Failed | Status::Cancelled => Problem::not_found(
            "not-made",
            "The job ended before this file was made. The status of the job says why.",
        ),
        Status::Receiving
        | Status::Queued
        | Status::Ingesting
        | Status::Encoding
        | Status::Publishing => {
            let detail = "The file is not ready yet. The status of the job shows its progress.";
            Problem::not_found("not-yet", detail).retry_after(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_folder_of_its_video() {
        for path in ["../x", "1/../2", "1//2", "/1", ".hidden", "1/.x", "a\\b", "a%2e", "é", ""] {
            assert!(!is_plain(path), "{path:?}");
        }
        assert!(is_plain("1/main-0003/5f-e2/720p.mp4"));
        assert!(!is_plain(&"a".repeat(REST_LENGTH_MAX + 1)));
    }
}
