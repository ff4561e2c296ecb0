//! Random sources: sizes, clocks, frame rates, random-access points, sound, and plans of them.

use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::plan::Plan;
use jetreel_domain::plan::media::{AudioTrack, ProbeFacts, RandomAccess, VideoTrack};
use jetreel_domain::plan::planner;
use jetreel_domain::plan::rational::Rational;
use proptest::prelude::*;

use crate::sample;

/// A source with the timestamps of its frames.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) facts: ProbeFacts,
    pub(crate) frames: Vec<i64>,
    pub(crate) first_tasks: usize,
    pub(crate) sequential: bool,
}

impl Source {
    pub(crate) fn video(&self) -> &VideoTrack {
        self.facts.video.as_ref().expect("every source here has pictures")
    }

    /// The source with audio that continues for `seconds` after the last picture.
    pub(crate) fn under_sound(mut self, seconds: f64) -> Self {
        self.facts.audio.iter_mut().for_each(|track| track.seconds += seconds);
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        let policy = jetreel_domain::plan::policy::PlanPolicy {
            first_tasks: self.first_tasks,
            ..sample::policy()
        };
        let order = OrderId::new(VideoId::from_bits(7), 1);
        let limits = sample::limits();
        planner::plan(order, self.facts.clone(), &policy, &limits, "build", self.sequential)
            .expect("every source here can be planned")
    }
}

/// Time bases with a frame rate and the ticks of a frame: constant ones of MP4, MPEG-TS and Matroska (rounded to milliseconds).
fn clock() -> impl Strategy<Value = (Rational, Rational)> {
    let bases = [(1, 90_000), (1, 30_000), (1001, 60_000), (1, 1000), (1, 25), (1, 10_000_000)];
    let rates =
        [(25, 1), (30, 1), (30_000, 1001), (50, 1), (60, 1), (24_000, 1001), (12, 1), (120, 1)];
    (proptest::sample::select(bases.to_vec()), proptest::sample::select(rates.to_vec())).prop_map(
        |(base, rate)| {
            let (base, rate) = (Rational::new(base.0, base.1), Rational::new(rate.0, rate.1));
            // No source has two frames in a tick.
            let finest = Rational::new(base.den, base.num);
            (base, if rate.as_f64() > finest.as_f64() { finest } else { rate })
        },
    )
}

/// Any source that the planner takes: up to four minutes, with random-access points at random distances, and frames left out at
/// random.
pub(crate) fn source() -> impl Strategy<Value = Source> {
    let size = (
        prop_oneof![1_u32..40, 40_u32..2600, 2600_u32..20_000],
        prop_oneof![1_u32..40, 40_u32..1500],
    );
    let shape = (
        size,
        prop::sample::select(vec![0_u16, 90, 180, 270]),
        prop::sample::select(vec![(1, 1), (4, 3), (15, 16), (64, 45), (1, 2), (50, 1)]),
    );
    let time =
        (clock(), 1_u32..150, -100_000_i64..100_000, prop::collection::vec(0.2_f64..40.0, 1..20));
    let kind = (1_usize..7, prop::bool::weighted(0.2), 0_usize..3, prop::bool::weighted(0.3));
    (shape, time, kind, prop::collection::vec(0_u8..10, 64)).prop_map(
        |((size, rotation, aspect), (clock, seconds, start, distances), kind, drops)| {
            let (first_tasks, sequential, tracks, variable) = kind;
            let (time_base, frame_rate) = clock;
            let frames = frames(time_base, frame_rate, seconds, start, variable.then_some(&drops));
            let step = time_base.ticks(1.0 / frame_rate.as_f64()).max(1);
            let gap = frames.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(step);
            let mut video = sample::track();
            (video.width, video.height) = size;
            video.rotation = rotation;
            video.sample_aspect = Rational::new(aspect.0, aspect.1);
            (video.time_base, video.frame_rate) = (time_base, frame_rate);
            (video.start, video.end) = (frames[0], frames[frames.len() - 1] + step);
            video.packets = frames.len() as u64;
            video.largest_gap = gap;
            video.random_access = points(&frames, time_base, &distances);
            // Audio beside the pictures: the codec fills the time of pictures that stand longer than their frames.
            let rate = sample::sound().time_base;
            let start = (time_base.seconds(video.start) * rate.den as f64).ceil() as i64;
            let seconds = time_base.seconds(video.end) - rate.seconds(start);
            let audio = (0..tracks as u32).map(|i| AudioTrack {
                stream: i + 1,
                default: i == 1,
                start,
                seconds,
                ..sample::sound()
            });
            let mut facts = sample::facts();
            facts.audio = audio.collect();
            facts.video = Some(video);
            Source { facts, frames, first_tasks, sequential }
        },
    )
}

/// Timestamps as a container rounds them; with `drops`, some are left out.
fn frames(
    time_base: Rational,
    frame_rate: Rational,
    seconds: u32,
    start: i64,
    drops: Option<&Vec<u8>>,
) -> Vec<i64> {
    let count = (f64::from(seconds) * frame_rate.as_f64()) as usize + 1;
    let mut frames: Vec<i64> = (0..count)
        .filter(|i| *i == 0 || drops.is_none_or(|drops| drops[i % drops.len()] < 8))
        .map(|i| start + time_base.ticks(i as f64 / frame_rate.as_f64()))
        .collect();
    frames.dedup();
    frames
}

/// Random-access points on frames, at about those distances in seconds, over and over.
fn points(frames: &[i64], time_base: Rational, distances: &[f64]) -> Vec<RandomAccess> {
    let mut points = Vec::new();
    let mut next = frames[0];
    let mut distances = distances.iter().cycle();
    for pts in frames {
        if *pts >= next {
            points.push(RandomAccess { pts: *pts, dts: *pts - 2 });
            next = pts + time_base.ticks(*distances.next().expect("distances go round")).max(1);
        }
    }
    points
}
