//! A source and a policy for tests.

use jetreel_domain::codec::limits::Limits;
use jetreel_domain::plan::ladder::Rung;
use jetreel_domain::plan::media::{AudioTrack, ProbeFacts, RandomAccess, VideoTrack};
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::plan::rational::Rational;

/// One minute of 1280x720 at 25 frames per second, 90 kHz, a random-access point every two seconds.
pub(crate) fn track() -> VideoTrack {
    VideoTrack {
        end: 60 * 90_000,
        packets: 1500,
        random_access: (0..30).map(|i| point(i * 180_000)).collect(),
        ..VideoTrack::ordinary(1280, 720)
    }
}

/// A random-access point whose picture is shown two frames after it is decoded.
pub(crate) fn point(pts: i64) -> RandomAccess {
    RandomAccess { pts, dts: pts - 7200 }
}

/// A stereo track as long as [`track`].
pub(crate) fn sound() -> AudioTrack {
    AudioTrack {
        stream: 1,
        codec: "aac".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        time_base: Rational::new(1, 48_000),
        start: 0,
        seconds: 60.0,
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

/// [`track`] with [`sound`] in an MP4.
pub(crate) fn facts() -> ProbeFacts {
    ProbeFacts {
        format: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
        bytes: 30_000_000,
        video: Some(track()),
        audio: vec![sound()],
        unused_audio: Vec::new(),
        subtitles: Vec::new(),
        streams: 2,
        truncated: false,
        warnings: Vec::new(),
    }
}

/// The usual limits.
pub(crate) fn limits() -> Limits {
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

/// The usual policy.
pub(crate) fn policy() -> PlanPolicy {
    PlanPolicy {
        ladder: ladder(),
        first_seconds_min: 2.0,
        first_seconds_max: 4.0,
        first_tasks: 5,
        chunk_seconds_min: 6.0,
        chunk_seconds_target: 10.0,
        chunk_seconds_max: 30.0,
        segment_seconds: 6.0,
        gop_seconds: 2.0,
        preset: "veryfast".to_owned(),
        images: true,
        package: true,
        audio_bit_rate: 128_000,
        audio_part_seconds: 30,
        thumbnail_seconds: 10.0,
        tiers: None,
    }
}

fn ladder() -> Vec<Rung> {
    let rung = |side: u32, kbps, level, fps| Rung {
        name: format!("{side}p"),
        short_side: side,
        crf: 23,
        max_rate_kbps: kbps,
        max_rate_high_kbps: kbps * 3 / 2,
        level,
        level_high: level + 1,
        max_frame_rate: fps,
        lazy: side > 1080,
    };
    vec![
        rung(240, 350, 21, 30),
        rung(360, 800, 30, 30),
        rung(480, 1400, 31, 30),
        rung(720, 3000, 31, 60),
        rung(1080, 6000, 40, 60),
        rung(2160, 17_000, 51, 60),
    ]
}
