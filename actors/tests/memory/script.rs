//! Facts of a source and its effects on decoders, and the settings of every run.

use std::collections::BTreeMap;
use std::time::Duration;

use jetreel_actors::config::Config;
use jetreel_domain::codec::lasting::Lasting;
use jetreel_domain::codec::limits::Limits;
use jetreel_domain::delivery::eligibility::{Offer, Rules};
use jetreel_domain::delivery::intake::SourcePrefixes;
use jetreel_domain::delivery::retry::{Schedule, Schedules};
use jetreel_domain::plan::ladder::Rung;
use jetreel_domain::plan::media::{AudioTrack, Colour, ProbeFacts, RandomAccess, VideoTrack};
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::upkeep::reconcile::Policy;
use jetreel_domain::upkeep::relations::LEASE;

/// Attempts of a task.
pub(crate) const ATTEMPTS: u32 = 3;
/// Ticks of a frame: fifteen a second, or the source would be so short that nobody cuts it.
pub(crate) const FRAME: i64 = 6000;
const SECOND: i64 = 90_000;
const SECONDS: i64 = 14;

/// How a source is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// At its random-access points.
    Clean,
    /// Its chunks do not fit together.
    Torn,
    /// It is decoded in one go.
    Sequential,
    /// It is refused.
    Refused,
}

/// Effect of work on a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The codec crashes, every time.
    Crash,
    /// The node dies, every time.
    Kill,
    /// The codec refuses it for good.
    Refuse,
    /// The codec crashes at once, as often as the last attempt allows, then after it has got further, and then no more.
    Limp,
}

/// A source.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) cut: Cut,
    pub(crate) sound: bool,
    /// Kind of work that is poisoned: `probe`, `first`, `main`, `audio`, `tail`.
    pub(crate) poison: BTreeMap<&'static str, Poison>,
    /// Crashes that were told, by work, since the last replay.
    pub(crate) crashes: BTreeMap<String, u32>,
    /// Nodes that it brought down, by work.
    pub(crate) kills: BTreeMap<String, u32>,
    /// Times it was let live: once, and with each replay.
    pub(crate) lives: u32,
    /// Starts, by work.
    pub(crate) starts: BTreeMap<String, u32>,
    /// The start of poisoned work with which the ledger cannot be read for a while.
    pub(crate) blinds: Option<u32>,
}

impl Script {
    pub(crate) fn new(cut: Cut, sound: bool) -> Self {
        Self {
            cut,
            sound,
            poison: BTreeMap::new(),
            crashes: BTreeMap::new(),
            kills: BTreeMap::new(),
            lives: 1,
            starts: BTreeMap::new(),
            blinds: None,
        }
    }

    pub(crate) fn facts(&self, bytes: u64) -> ProbeFacts {
        ProbeFacts {
            format: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
            bytes,
            video: Some(self.track()),
            audio: if self.sound { vec![sound()] } else { Vec::new() },
            unused_audio: Vec::new(),
            subtitles: Vec::new(),
            streams: 2,
            truncated: false,
            warnings: Vec::new(),
        }
    }

    fn track(&self) -> VideoTrack {
        let unknown = || "unknown".to_owned();
        let colour = Colour {
            primaries: unknown(),
            transfer: unknown(),
            matrix: unknown(),
            range: unknown(),
        };
        VideoTrack {
            stream: 0,
            codec: "h264".to_owned(),
            profile: 100,
            width: 640,
            height: 360,
            sample_aspect: Rational::new(1, 1),
            signalled_aspect: None,
            rotation: 0,
            mirrored: false,
            pixel_format: "yuv420p".to_owned(),
            colour,
            interlaced: false,
            time_base: Rational::new(1, SECOND),
            frame_rate: Rational::new(SECOND / FRAME, 1),
            lasting: Lasting { usual: FRAME, last: 0 },
            start: 0,
            end: SECONDS * SECOND,
            packets: (SECONDS * SECOND / FRAME) as u64,
            random_access: (0..SECONDS / 2)
                .map(|i| RandomAccess { pts: i * 2 * SECOND, dts: i * 2 * SECOND - 2 * FRAME })
                .collect(),
            monotonic: self.cut != Cut::Sequential,
            media_edits: 1,
            descriptions: 1,
            largest_gap: FRAME,
            silent_gap: 0,
            continued: Vec::new(),
            clock: Vec::new(),
            decoder_options: Vec::new(),
        }
    }
}

fn sound() -> AudioTrack {
    AudioTrack {
        stream: 1,
        codec: "aac".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        time_base: Rational::new(1, 48_000),
        start: 0,
        seconds: SECONDS as f64,
        continued: Vec::new(),
        clock: Vec::new(),
        language: "eng".to_owned(),
        title: String::new(),
        default: true,
        number: 1,
        secondary: false,
        counted: false,
        mixed: false,
    }
}

fn limits() -> Limits {
    Limits {
        pixels_max: 8192 * 8192,
        streams_max: 64,
        frames_max: 2_600_000,
        seconds_max: 43_200.0,
        gap_seconds_max: 60.0,
        damage_max: 100,
        frame_rate_max: 300.0,
        audio_tracks_max: 8,
        upload_bytes_max: 1 << 40,
    }
}

fn policy() -> PlanPolicy {
    let rung = |side: u32, kbps, level| Rung {
        name: format!("{side}p"),
        short_side: side,
        crf: 23,
        max_rate_kbps: kbps,
        max_rate_high_kbps: kbps * 3 / 2,
        level,
        level_high: level + 1,
        max_frame_rate: 30,
        lazy: false,
    };
    PlanPolicy {
        ladder: vec![rung(240, 350, 21), rung(360, 800, 30)],
        first_seconds_min: 2.0,
        first_seconds_max: 4.0,
        first_tasks: 2,
        chunk_seconds_min: 4.0,
        chunk_seconds_target: 6.0,
        chunk_seconds_max: 8.0,
        segment_seconds: 6.0,
        gop_seconds: 2.0,
        preset: "veryfast".to_owned(),
        images: true,
        package: true,
        audio_bit_rate: 128_000,
        audio_part_seconds: 6,
        thumbnail_seconds: 10.0,
        tiers: None,
    }
}

fn reconciler() -> Policy {
    Policy {
        pass_seconds: 10,
        lease_seconds: 60,
        patience_seconds: 60,
        doubt_seconds: 300,
        receiving_seconds_max: 600,
        cancelled_seconds: 90,
        build_seconds: 3600,
        orphan_seconds: 120,
        sweep_seconds: 30,
        objects_per_pass: 1000,
    }
}

/// The settings of a node.
pub(crate) fn config(node: &str, slots: usize) -> Config {
    let delays = [5, 25].map(Duration::from_secs).to_vec();
    let others = Schedule { delays, jitter: 0.1 };
    Config {
        node: node.to_owned(),
        roles: ["all", "publish"].map(ToOwned::to_owned).into(),
        slots,
        slots_for_high: 0,
        task_threads: 1,
        group_slots: BTreeMap::new(),
        rules: Rules::default(),
        offer: Offer::default(),
        ingest_slots: 1,
        policy: policy(),
        limits: limits(),
        sources: SourcePrefixes::default(),
        lease: LEASE,
        pull_wait: Duration::from_secs(5),
        retry: Schedules { others, own: BTreeMap::new() },
        bury_refused: false,
        sweep_every: Duration::from_secs(30),
        reconciler: reconciler(),
    }
}
