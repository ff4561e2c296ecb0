//! The job as users see it: a pure function of state, plan and ledger.

use jetreel_domain::id::VideoId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::View;
use jetreel_domain::order::line::Standing;
use jetreel_domain::order::owner_name::OwnerName;
use jetreel_domain::order::progress;
use jetreel_domain::order::state::{Fact, Order, Status, Video};
use jetreel_domain::output::losses;
use jetreel_domain::plan::ladder::display_size;
use jetreel_domain::plan::{Class, Plan};
use jetreel_domain::words::advice;
use jetreel_domain::words::failure::{Failure, Severity};
use jetreel_domain::words::printable::printable;
use serde::Serialize;

use super::time::rfc3339;
use super::waiting::Waiting;

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    id: String,
    video: String,
    title: String,
    /// Who uploaded it, if that was told.
    #[serde(skip_serializing_if = "OwnerName::is_empty")]
    owner: OwnerName,
    pub(super) status: Status,
    lane: Lane,
    /// The order that took over from this one; `None` if none did. The status of this one changes no more then.
    successor: Option<String>,
    /// Percentage from 0 to 100.
    progress: u8,
    playable: bool,
    source_bytes: u64,
    created: String,
    ended: Option<String>,
    error: Option<Error>,
    retry_available: bool,
    /// Address of the player's page.
    player: String,
    /// Address of the HLS master playlist; `None` before playback can start.
    playback: Option<String>,
    /// Address of the poster; `None` until it is made.
    poster: Option<String>,
    /// Why progress is unknown; `None` if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<Unreadable>,
}

/// Why a job's data are missing or incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unreadable {
    code: String,
    message: String,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Listed {
    Job(Box<Summary>),
    /// A video whose state cannot be read.
    Unreadable {
        video: String,
        unreadable: Unreadable,
    },
}

impl Listed {
    /// The entry of a video whose state cannot be read.
    pub(super) fn unreadable(video: &VideoId, failure: &Failure) -> Self {
        Self::Unreadable { video: video.to_string(), unreadable: failure.into() }
    }
}

impl Summary {
    /// The summary without progress, and with the reason.
    pub(super) fn without_progress(self, failure: &Failure) -> Self {
        Self { unreadable: Some(failure.into()), ..self }
    }
}

impl From<&Failure> for Unreadable {
    fn from(failure: &Failure) -> Self {
        Self { code: failure.code.clone(), message: failure.message.clone() }
    }
}

/// The document of one job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Document {
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// Jobs of the lane that are before it in line; `None` if it does not stand in line.
    place: Option<usize>,
    /// What it stands in line for: `first-seconds` or `bulk`.
    waits_for: Option<&'static str>,
    tiers: Vec<Tier>,
    source: Option<Source>,
    /// What tasks wait for that no live node takes now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits: Vec<Waiting>,
    /// Warnings for the user, each a sentence. They may quote the source.
    warnings: Vec<String>,
    thumbnails: Option<String>,
    manifest: Option<String>,
}

/// Failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Error {
    code: String,
    message: String,
    /// Whether trying the same file again cannot help.
    permanent: bool,
    /// Advice for the user.
    suggestion: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Tier {
    name: String,
    width: u32,
    height: u32,
    /// Percentage from 0 to 100.
    progress: u8,
    ready: bool,
    /// Address of the progressive file; `None` until the job is complete.
    download: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Source {
    duration_seconds: f64,
    /// Displayed width in square pixels.
    width: u32,
    /// Displayed height in square pixels.
    height: u32,
    frame_rate: f64,
    codec: String,
    class: Class,
}

/// Plan and ledger of an order; `None` before it is planned.
pub(super) type Known<'a> = Option<(&'a Plan, &'a View)>;

/// The list entry of an order. `pictures`: poster and thumbnails exist.
pub(super) fn summary(video: &Video, order: &Order, known: Known<'_>, pictures: bool) -> Summary {
    let playable = match order.status {
        Status::Completed => true,
        Status::Cancelled => false,
        Status::Receiving
        | Status::Queued
        | Status::Ingesting
        | Status::Encoding
        | Status::Publishing
        | Status::Failed => {
            order.knows(&Fact::Playable)
                || known.is_some_and(|(plan, view)| progress::playable(plan, view))
        }
    };
    let progress = match (order.status, known) {
        (Status::Completed, _) => 100,
        // 100 only once everything is published.
        (_, Some((plan, view))) => progress::percent(plan, view).min(99),
        (_, None) => 0,
    };
    Summary {
        id: video.order_id(order.number).to_string(),
        video: video.id.to_string(),
        title: video.title.clone(),
        owner: video.owner.clone(),
        status: order.status,
        lane: order.lane,
        successor: video.successor(order.number).map(|next| video.order_id(next).to_string()),
        progress,
        playable,
        source_bytes: video.source_of(order.number).bytes,
        created: rfc3339(order.created),
        ended: order.ended.map(rfc3339),
        error: order.failure().map(|failure| Error {
            code: failure.code.clone(),
            message: failure.message.clone(),
            permanent: failure.severity == Severity::Permanent,
            suggestion: advice::suggestion(failure),
        }),
        // A permanent failure may be retried after a change of settings, but no retry is offered.
        retry_available: order
            .failure()
            .filter(|_| order.status == Status::Failed)
            .is_some_and(|failure| failure.severity != Severity::Permanent),
        player: format!("/watch/{}", video.id),
        playback: playable.then(|| format!("/v/{}/master.m3u8", video.id)),
        poster: pictures.then(|| format!("/v/{}/poster.jpg", video.id)),
        unreadable: None,
    }
}

/// The document of an order. `pictures` as in [`summary`].
pub(super) fn document(video: &Video, order: &Order, known: Known<'_>, pictures: bool) -> Document {
    let completed = order.status == Status::Completed;
    Document {
        summary: summary(video, order, known, pictures),
        place: None,
        waits_for: None,
        tiers: known.map_or_else(Vec::new, |known| tiers(video, order, known)),
        source: known.and_then(|(plan, _)| source(plan)),
        waits: Vec::new(),
        warnings: known
            .map_or_else(Vec::new, |(plan, view)| printed(&losses::warnings(plan, view))),
        thumbnails: pictures.then(|| format!("/v/{}/thumbnails.vtt", video.id)),
        manifest: completed.then(|| format!("/v/{}/manifest.json", video.id)),
    }
}

impl Document {
    /// The document with the standing of the job. A standing in another lane is older than the document.
    pub(super) fn in_line(self, standing: Option<Standing>) -> Self {
        let standing = standing.filter(|standing| {
            standing.row.lane == self.summary.lane && self.summary.status == Status::Encoding
        });
        let place = standing.map(|standing| standing.before);
        let waits_for = standing.map(|standing| standing.row.phase.as_str());
        Self { place, waits_for, ..self }
    }

    /// The document with what its tasks wait for.
    pub(super) fn waiting(self, waits: Vec<Waiting>) -> Self {
        Self { waits, ..self }
    }

    /// The document with the warnings of a manifest.
    pub(super) fn warned(self, warnings: &[String]) -> Self {
        Self { warnings: printed(warnings), ..self }
    }
}

fn printed(warnings: &[String]) -> Vec<String> {
    warnings.iter().map(|warning| printable(warning)).collect()
}

fn tiers(video: &Video, order: &Order, (plan, view): (&Plan, &View)) -> Vec<Tier> {
    let completed = order.status == Status::Completed;
    let of = |(index, tier): (usize, &jetreel_domain::plan::ladder::TierPlan)| {
        let progress = if completed { 100 } else { progress::tier_percent(plan, view, index) };
        Tier {
            name: tier.name.clone(),
            width: tier.width,
            height: tier.height,
            progress,
            ready: completed || progress == 100 || order.knows(&Fact::Tier(tier.name.clone())),
            download: completed.then(|| format!("/v/{}/{}.mp4", video.id, tier.name)),
        }
    };
    plan.tiers.iter().enumerate().map(of).collect()
}

fn source(plan: &Plan) -> Option<Source> {
    let track = plan.facts.video.as_ref()?;
    let (width, height) = display_size(track);
    Some(Source {
        duration_seconds: plan.seconds(),
        width,
        height,
        frame_rate: track.frame_rate.as_f64(),
        codec: track.codec.clone(),
        class: plan.class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetreel_domain::delivery::stage::Stage;
    use jetreel_domain::order::line::{Phase, Row};
    use jetreel_domain::order::state::Dead;

    #[test]
    fn a_refused_video_says_why_and_is_not_playable() {
        let mut video = Video::receiving(VideoId::from_bits(5), "<b>x</b>".into(), Lane::Normal, 0);
        video.advance(1, Status::Queued, 1).unwrap();
        let failure = Failure::permanent("no-video", "the file has no picture track");
        video.bury(1, &Stage::Ingest.into(), Dead { sequence: 1, failure, letter: 1 }, 2).unwrap();
        let document = document(&video, &video.orders[0], None, false);
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["status"], "FAILED");
        assert_eq!(json["error"]["code"], "no-video");
        assert_eq!(json["error"]["permanent"], true);
        assert!(json["error"]["suggestion"].as_str().unwrap().contains("no picture"));
        assert_eq!(json["playable"], false);
        assert_eq!(json["playback"], serde_json::Value::Null);
        assert_eq!(json["successor"], serde_json::Value::Null);
        assert_eq!(json["ended"], "1970-01-01T00:00:02Z");
        assert_eq!(json["retry_available"], false);
        assert_eq!((&json["lane"], &json["place"]), (&"normal".into(), &serde_json::Value::Null));
    }

    #[test]
    fn a_job_in_line_shows_its_place_and_for_what_it_waits() {
        let mut video = Video::receiving(VideoId::from_bits(5), String::new(), Lane::High, 0);
        video.orders[0].status = Status::Encoding;
        let shown = |video: &Video, lane, phase| {
            let standing = Standing { row: Row { lane, phase }, before: 3 };
            let document = document(video, &video.orders[0], None, false).in_line(Some(standing));
            (document.place, document.waits_for)
        };
        let seen = shown(&video, Lane::High, Phase::First);
        assert_eq!(seen, (Some(3), Some("first-seconds")));
        assert_eq!(shown(&video, Lane::High, Phase::Bulk), (Some(3), Some("bulk")));
        assert_eq!(shown(&video, Lane::Low, Phase::Bulk), (None, None), "it changed its lane");
        video.orders[0].status = Status::Completed;
        assert_eq!(shown(&video, Lane::High, Phase::Bulk), (None, None), "it left the line");
    }
}
