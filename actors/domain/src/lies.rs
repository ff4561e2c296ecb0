//! Dishonest frames for tests. Each changes one field of an honest frame to a value that no honest codec sends for its job.
//!
//! A fixture process sends each of them to a node, see `tests/fixtures/hostile_codec.rs`.

use jetreel_domain::codec::discontinuity::ClockStep;
use jetreel_domain::codec::jump::STEPS_MAX;
use jetreel_domain::codec::wire::{FromCodec, OUTPUT_BYTES, Report, Verified};
use jetreel_domain::plan::media::{AudioTrack, ProbeFacts, UnusedAudio, UnusedReason, VideoTrack};
use jetreel_domain::plan::rational::Rational;
use serde_bytes::ByteBuf;

/// A dishonest change.
pub(crate) struct Lie {
    /// Names of the frame and the field.
    pub(crate) name: &'static str,
    /// Changes a frame. `false` if the change does not apply to the frame.
    pub(crate) tell: fn(&mut FromCodec) -> bool,
}

macro_rules! lies {
    ($($name:literal: $frame:pat $(if $guard:expr)? => $change:expr;)*) => {
        &[$(Lie {
            name: $name,
            tell: |frame| if let $frame = frame $(&& $guard)? { $change; true } else { false },
        }),*]
    };
}

/// Longer than any permitted text.
fn long() -> String {
    "x".repeat(20_000)
}

fn video(facts: &mut ProbeFacts) -> &mut VideoTrack {
    facts.video.as_mut().expect("a source with pictures")
}

fn audio(facts: &mut ProbeFacts) -> &mut AudioTrack {
    facts.audio.first_mut().expect("a source with sound")
}

/// An unused track, added if there is none.
fn unused(facts: &mut ProbeFacts) -> &mut UnusedAudio {
    facts.streams += 1;
    facts.unused_audio.push(UnusedAudio {
        stream: facts.streams - 1,
        number: 2,
        codec: "opus".to_owned(),
        language: "und".to_owned(),
        default: false,
        secondary: false,
        reason: UnusedReason::Empty,
    });
    facts.unused_audio.last_mut().expect("it was put there")
}

fn option(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Changes of a probe's report.
pub(crate) const PROBE: &[Lie] = lies! {
    "probe-another-report": frame @ FromCodec::Done(_) => *frame = FromCodec::Done(Report::Video);
    "probe-output": frame @ FromCodec::Done(_) => *frame = FromCodec::Output {
        name: "a".to_owned(), bytes: ByteBuf::new(), end: false
    };
    "probe-progress": frame @ FromCodec::Done(_) => {
        *frame = FromCodec::Progress { frames: 1, pts: 0 };
    };
    "probe-format-empty": FromCodec::Done(Report::Probe(facts)) => facts.format.clear();
    "probe-format-long": FromCodec::Done(Report::Probe(facts)) => facts.format = long();
    "probe-format-text": FromCodec::Done(Report::Probe(facts)) => facts.format = "a b\n".to_owned();
    "probe-bytes": FromCodec::Done(Report::Probe(facts)) => facts.bytes += 1;
    "probe-streams": FromCodec::Done(Report::Probe(facts)) => facts.streams = u32::MAX;
    "probe-streams-none": FromCodec::Done(Report::Probe(facts)) => facts.streams = 0;
    "probe-warnings": FromCodec::Done(Report::Probe(facts)) => {
        facts.warnings = vec![String::new(); 65];
    };
    "probe-warnings-many": FromCodec::Done(Report::Probe(facts)) => {
        facts.warnings = vec![String::new(); 5_000_000];
    };
    "probe-warning-long": FromCodec::Done(Report::Probe(facts)) => facts.warnings = vec![long()];
    "probe-warning-control": FromCodec::Done(Report::Probe(facts)) => {
        facts.warnings = vec!["\x1b[2J".to_owned()];
    };
    "probe-stream": FromCodec::Done(Report::Probe(facts)) => video(facts).stream = 63;
    "probe-codec": FromCodec::Done(Report::Probe(facts)) => video(facts).codec = "<b>".to_owned();
    "probe-aspect": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).sample_aspect = Rational { num: 1, den: 0 };
    };
    "probe-rotation": FromCodec::Done(Report::Probe(facts)) => video(facts).rotation = 45;
    "probe-pixel-format": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).pixel_format = long();
    };
    "probe-colour": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).colour.transfer = "\"".to_owned();
    };
    "probe-time-base": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).time_base = Rational { num: -1, den: 25 };
    };
    "probe-frame-rate": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).frame_rate = Rational { num: 0, den: 1 };
    };
    "probe-packets": FromCodec::Done(Report::Probe(facts)) => video(facts).packets = u64::MAX;
    "probe-points": FromCodec::Done(Report::Probe(facts)) => {
        let video = video(facts);
        video.packets = 100_000;
        let point = video.random_access[0];
        video.random_access = vec![point; 50_000];
    };
    "probe-points-of-no-packets": FromCodec::Done(Report::Probe(facts)) => {
        let video = video(facts);
        video.packets = 1;
        let point = video.random_access[0];
        video.random_access = vec![point; 2];
    };
    "probe-signalled-aspect": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).signalled_aspect = Some(Rational { num: 0, den: 0 });
    };
    "probe-continued": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).continued = vec![u32::MAX];
    };
    "probe-continued-many": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).continued = vec![0; 1000];
    };
    "probe-clock": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).clock = vec![ClockStep { byte: 0, shift: 0 }; STEPS_MAX + 1];
    };
    "probe-option": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).decoder_options = vec![option("dump_separator", "x")];
    };
    "probe-option-value": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).decoder_options = vec![option("x264_build", "1:threads=64")];
    };
    "probe-options": FromCodec::Done(Report::Probe(facts)) => {
        video(facts).decoder_options = vec![option("x264_build", "1"); 2];
    };
    "probe-audio-tracks": FromCodec::Done(Report::Probe(facts)) => {
        facts.audio = vec![audio(facts).clone(); 3];
    };
    "probe-unused-language": FromCodec::Done(Report::Probe(facts)) => {
        unused(facts).language = "en\"".to_owned();
    };
    "probe-unused-codec": FromCodec::Done(Report::Probe(facts)) => unused(facts).codec = long();
    "probe-unused-programme": FromCodec::Done(Report::Probe(facts)) => {
        let (own, chosen) = (long(), String::new());
        unused(facts).reason = UnusedReason::OtherProgramme { own, chosen };
    };
    "probe-unused-tracks": FromCodec::Done(Report::Probe(facts)) => {
        let track = unused(facts).clone();
        facts.unused_audio = vec![track; 1000];
    };
    "probe-audio-stream": FromCodec::Done(Report::Probe(facts)) => {
        audio(facts).stream = video(facts).stream;
    };
    "probe-audio-codec": FromCodec::Done(Report::Probe(facts)) => audio(facts).codec = long();
    "probe-audio-rate": FromCodec::Done(Report::Probe(facts)) => audio(facts).sample_rate = 0;
    "probe-audio-channels": FromCodec::Done(Report::Probe(facts)) => audio(facts).channels = 0;
    "probe-audio-clock": FromCodec::Done(Report::Probe(facts)) => {
        audio(facts).time_base = Rational { num: 1, den: 0 };
    };
    "probe-audio-seconds": FromCodec::Done(Report::Probe(facts)) => {
        audio(facts).seconds = f64::NAN;
    };
    "probe-audio-clock-steps": FromCodec::Done(Report::Probe(facts)) => {
        audio(facts).clock = vec![ClockStep { byte: 0, shift: 0 }; 10_000];
    };
    "probe-audio-language": FromCodec::Done(Report::Probe(facts)) => {
        audio(facts).language = "<script>".to_owned();
    };
};

/// Changes of a picture task's frames.
pub(crate) const VIDEO: &[Lie] = lies! {
    "video-another-report": frame @ FromCodec::Done(_) => {
        *frame = FromCodec::Done(Report::Audio { parts: 0 });
    };
    "video-output": frame @ FromCodec::Fragment { .. } => *frame = FromCodec::Output {
        name: "240p".to_owned(), bytes: ByteBuf::new(), end: false
    };
    "video-done-early": frame @ FromCodec::ChunkDone(_) => *frame = FromCodec::Done(Report::Video);
    "fragment-chunk": FromCodec::Fragment { chunk, .. } => *chunk += 1;
    "fragment-tier": FromCodec::Fragment { tier, .. } => *tier = 99;
    "fragment-offset": FromCodec::Fragment { segment, .. } => segment.offset += 1;
    "fragment-length": FromCodec::Fragment { segment, .. } => segment.bytes += 1;
    "fragment-header": FromCodec::Fragment { segment, .. } => segment.header_bytes += 1;
    "fragment-header-huge": FromCodec::Fragment { segment, .. } => segment.header_bytes = u32::MAX;
    "fragment-header-padded": FromCodec::Fragment { segment, bytes, .. } => {
        // A valid box, but far larger than its frames explain.
        let mut padded = bytes.to_vec();
        padded.splice(8..8, vec![0; 60_000]);
        segment.header_bytes += 60_000;
        padded[..4].copy_from_slice(&segment.header_bytes.to_be_bytes());
        segment.bytes = padded.len() as u64;
        *bytes = padded.into();
    };
    "fragment-before-its-chunk": FromCodec::Fragment { segment, .. } => segment.start = i64::MIN;
    "fragment-start": FromCodec::Fragment { segment, .. } => segment.start = i64::MAX;
    "fragment-duration": FromCodec::Fragment { segment, .. } => segment.duration = i64::MAX;
    "fragment-duration-none": FromCodec::Fragment { segment, .. } => segment.duration = 0;
    "fragment-frames": FromCodec::Fragment { segment, .. } => segment.frames = u32::MAX;
    "fragment-frames-none": FromCodec::Fragment { segment, .. } => segment.frames = 0;
    "fragment-content": FromCodec::Fragment { bytes, .. } => bytes[4] = b'x';
    "fragment-content-behind": FromCodec::Fragment { segment, bytes, .. } => {
        bytes[segment.header_bytes as usize + 4] = b'x';
    };
    "fragment-empty": FromCodec::Fragment { segment, bytes, .. } => {
        (segment.bytes, *bytes) = (0, ByteBuf::new());
    };
    "fragment-long": FromCodec::Fragment { segment, bytes, .. } => {
        bytes.resize(60 << 20, 0);
        segment.bytes = 60 << 20;
    };
    "picture-chunk": FromCodec::Picture { chunk, .. } => *chunk += 1;
    "picture-early": FromCodec::Picture { pts, .. } => *pts = -1;
    "picture-late": FromCodec::Picture { pts, .. } => *pts = i64::MAX;
    "picture-content": FromCodec::Picture { bytes, .. } => *bytes = b"<svg>".to_vec().into();
    "picture-empty": FromCodec::Picture { bytes, .. } => *bytes = ByteBuf::new();
    "picture-long": FromCodec::Picture { bytes, .. } => {
        let mut long = bytes.to_vec();
        long.splice(2..2, vec![0; 20 << 20]);
        *bytes = long.into();
    };
    "chunk-another": FromCodec::ChunkDone(report) => report.chunk += 1;
    "chunk-frames": FromCodec::ChunkDone(report) => report.source_frames = u64::MAX;
    "chunk-frames-none": FromCodec::ChunkDone(report) => report.source_frames = 0;
    "chunk-repeats": FromCodec::ChunkDone(report) => report.repeats = u64::MAX;
    "chunk-head": FromCodec::ChunkDone(report) => report.head_hash = Some(long());
    "chunk-head-none": FromCodec::ChunkDone(report) => report.head_hash = None;
    "chunk-seam": FromCodec::ChunkDone(report) => report.seam_hash = Some("x".repeat(32));
    "chunk-gap": FromCodec::ChunkDone(report) => report.largest_gap = i64::MAX;
    "chunk-gap-back": FromCodec::ChunkDone(report) => report.largest_gap = -1;
    "chunk-lost": FromCodec::ChunkDone(report) => report.lost = u64::MAX;
    "chunk-cpu": FromCodec::ChunkDone(report) => report.cpu_seconds = f64::NAN;
    "chunk-cpu-endless": FromCodec::ChunkDone(report) => report.cpu_seconds = f64::INFINITY;
    "chunk-cpu-negative": FromCodec::ChunkDone(report) => report.cpu_seconds = -1.0;
    "chunk-tiers-none": FromCodec::ChunkDone(report) => report.tiers.clear();
    "chunk-tiers": FromCodec::ChunkDone(report) => report.tiers.push(report.tiers[0].clone());
    "chunk-tiers-many": FromCodec::ChunkDone(report) => {
        report.tiers = vec![report.tiers[0].clone(); 10_000];
    };
    "tier-init": FromCodec::ChunkDone(report) => report.tiers[0].init = ByteBuf::new();
    "tier-init-content": FromCodec::ChunkDone(report) => report.tiers[0].init[4] = b'x';
    "tier-init-long": FromCodec::ChunkDone(report) => report.tiers[0].init.resize(10 << 20, 0);
    "tier-frames": FromCodec::ChunkDone(report) => report.tiers[0].frames += 1;
    "tier-frames-in": FromCodec::ChunkDone(report) => report.tiers[0].frames_in = u64::MAX;
    "tier-hash": FromCodec::ChunkDone(report) => report.tiers[0].pts_hash = "F".repeat(32);
    "tier-hash-long": FromCodec::ChunkDone(report) => report.tiers[0].pts_hash = long();
    "tier-start": FromCodec::ChunkDone(report) => report.tiers[0].start = i64::MIN;
    "tier-end": FromCodec::ChunkDone(report) => report.tiers[0].end = i64::MAX;
    "tier-cpu": FromCodec::ChunkDone(report) => report.tiers[0].cpu_seconds = 1e300;
    "tier-idr-none": FromCodec::ChunkDone(report) => report.tiers[0].idr.clear();
    "tier-idr-late": FromCodec::ChunkDone(report) => report.tiers[0].idr.push(i64::MAX);
    "tier-idr-twice": FromCodec::ChunkDone(report) => {
        let first = report.tiers[0].idr[0];
        report.tiers[0].idr.insert(0, first);
    };
    "tier-idr-many": FromCodec::ChunkDone(report) => {
        let start = report.tiers[0].start;
        report.tiers[0].idr = (start..start + 1_000).collect();
    };
    "tier-idr-endless": FromCodec::ChunkDone(report) => report.tiers[0].idr = vec![0; 5_000_000];
};

/// Changes of an audio task's frames.
pub(crate) const AUDIO: &[Lie] = lies! {
    "audio-another-report": frame @ FromCodec::Done(_) => *frame = FromCodec::Done(Report::Hello);
    "audio-output": frame @ FromCodec::AudioFragment { .. } => *frame = FromCodec::Output {
        name: "a".to_owned(), bytes: ByteBuf::new(), end: true
    };
    "audio-done-early": frame @ FromCodec::AudioPartDone(_) => {
        *frame = FromCodec::Done(Report::Audio { parts: 1 });
    };
    "audio-parts": FromCodec::Done(Report::Audio { parts }) => *parts = u32::MAX;
    "audio-parts-none": FromCodec::Done(Report::Audio { parts }) => *parts = 0;
    "progress-endless": FromCodec::Progress { frames, .. } => *frames = u64::MAX;
    "progress-none": FromCodec::Progress { frames, .. } => *frames = 0;
    "progress-pts": FromCodec::Progress { pts, .. } => *pts = i64::MIN;
    "audio-part": FromCodec::AudioFragment { part, .. } => *part += 1;
    "audio-offset": FromCodec::AudioFragment { segment, .. } => segment.offset = u64::MAX;
    "audio-length": FromCodec::AudioFragment { segment, .. } => segment.bytes = 0;
    "audio-header": FromCodec::AudioFragment { segment, .. } => segment.header_bytes = 0;
    "audio-start": FromCodec::AudioFragment { segment, .. } => segment.start = -1;
    "audio-start-late": FromCodec::AudioFragment { segment, .. } => segment.start = i64::MAX;
    "audio-duration": FromCodec::AudioFragment { segment, .. } => segment.duration += 1;
    "audio-frames": FromCodec::AudioFragment { segment, .. } => segment.frames = u32::MAX;
    "audio-content": FromCodec::AudioFragment { bytes, .. } => bytes[4] = b'x';
    "audio-long": FromCodec::AudioFragment { segment, bytes, .. } => {
        bytes.resize(30 << 20, 0);
        segment.bytes = 30 << 20;
    };
    "part-another": FromCodec::AudioPartDone(report) => report.part += 1;
    "part-init": FromCodec::AudioPartDone(report) => report.init = ByteBuf::new();
    "part-init-long": FromCodec::AudioPartDone(report) => report.init.resize(10 << 20, 0);
    "part-frames": FromCodec::AudioPartDone(report) => report.frames += 1;
    "part-start": FromCodec::AudioPartDone(report) => report.start = i64::MIN;
    "part-end": FromCodec::AudioPartDone(report) => report.end = i64::MAX;
    "part-codecs": FromCodec::AudioPartDone(report) => report.codecs = "a\"\n#EXT".to_owned();
    "part-codecs-long": FromCodec::AudioPartDone(report) => report.codecs = long();
    "part-lost": FromCodec::AudioPartDone(report) => report.lost_seconds = 1e9;
    "part-lost-none": FromCodec::AudioPartDone(report) => report.lost_seconds = f64::NAN;
    "part-cpu": FromCodec::AudioPartDone(report) => report.cpu_seconds = f64::NEG_INFINITY;
};

/// Changes of an images task's frames.
pub(crate) const IMAGES: &[Lie] = lies! {
    "images-another-report": frame @ FromCodec::Done(_) => *frame = FromCodec::Done(Report::Video);
    "images-fragment": frame @ FromCodec::Output { .. } => {
        *frame = FromCodec::Picture { chunk: 0, pts: 0, bytes: ByteBuf::new() };
    };
    "images-poster": FromCodec::Done(Report::Images { poster, .. }) => *poster = "b.jpg".to_owned();
    "images-vtt": FromCodec::Done(Report::Images { vtt, .. }) => *vtt = long();
    "images-sprites": FromCodec::Done(Report::Images { sprites, .. }) => sprites.clear();
    "images-sprites-many": FromCodec::Done(Report::Images { sprites, .. }) => {
        *sprites = vec![String::new(); 1_000_000];
    };
    "output-name": FromCodec::Output { name, .. } => *name = "sprite-999.jpg".to_owned();
    "output-path": FromCodec::Output { name, .. } => *name = "../../../../../escaped".to_owned();
    "output-name-long": FromCodec::Output { name, .. } => *name = long();
    "output-empty": FromCodec::Output { bytes, .. } => *bytes = ByteBuf::new();
    "output-piece": FromCodec::Output { end, .. } => *end = false;
    "output-long": FromCodec::Output { bytes, end, .. } => {
        (*bytes, *end) = (vec![0; OUTPUT_BYTES + 1].into(), true);
    };
    "poster-long": FromCodec::Output { name, bytes, .. } if name == "poster.jpg" => {
        bytes.resize(OUTPUT_BYTES, 0);
    };
    "vtt-content": FromCodec::Output { name, bytes, .. } if name == "thumbnails.vtt" => {
        let last = bytes.len() - 1;
        bytes[last] = b' ';
    };
    "vtt-short": FromCodec::Output { name, bytes, .. } if name == "thumbnails.vtt" => {
        bytes.truncate(8);
    };
};

/// Changes of a package task's frames.
pub(crate) const PACKAGE: &[Lie] = lies! {
    "package-another-report": frame @ FromCodec::Done(_) => {
        *frame = FromCodec::Done(Report::Hello);
    };
    "package-done-early": frame @ FromCodec::Output { .. } => {
        *frame = FromCodec::Done(Report::Package { verified: None });
    };
    "package-name": FromCodec::Output { name, .. } => *name = "another.mp4".to_owned();
    "package-unverified": FromCodec::Done(Report::Package { verified }) => {
        *verified = match verified {
            Some(_) => None,
            None => Some(Verified { frames: 0, start: 0, pts_hash: String::new() }),
        };
    };
    "package-hash": FromCodec::Done(Report::Package { verified: Some(verified) }) => {
        verified.pts_hash = long();
    };
    "package-start": FromCodec::Done(Report::Package { verified: Some(verified) }) => {
        verified.start = i64::MIN;
    };
};

/// Changes of a batch task's frames.
pub(crate) const BATCH: &[Lie] = lies! {
    "batch-another-report": frame @ FromCodec::Done(_) => {
        *frame = FromCodec::Done(Report::Package { verified: None });
    };
    "batch-report-missing": FromCodec::Done(Report::Batch(reports)) => {
        reports.pop();
    };
    "batch-report-more": FromCodec::Done(Report::Batch(reports)) => {
        reports.extend(vec![Report::Hello; 1_000_000]);
    };
    "batch-report-order": FromCodec::Done(Report::Batch(reports)) => reports.rotate_left(1);
    "batch-report-nested": FromCodec::Done(Report::Batch(reports)) => {
        let inner = std::mem::take(reports);
        reports.push(Report::Batch(inner));
    };
    "batch-file-early": FromCodec::Output { name, .. } if name == "poster.jpg" => {
        *name = "240p.mp4".to_owned();
    };
    "batch-file-unknown": FromCodec::Output { name, .. } if name.ends_with(".mp4") => {
        *name = "9999p.mp4".to_owned();
    };
};
