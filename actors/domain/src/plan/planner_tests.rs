//! Tests of plans for typical sources.

use super::*;
use crate::id::{Group, TaskId, VideoId};
use crate::plan::rational::Rational;
use crate::plan::{PlannedTask, Work};
use crate::sample;

fn order() -> OrderId {
    OrderId::new(VideoId::from_bits(1), 1)
}

fn planned(facts: ProbeFacts, policy: &PlanPolicy) -> Plan {
    plan(order(), facts, policy, &sample::limits(), "build", false).unwrap()
}

fn names(plan: &Plan) -> Vec<String> {
    plan.tasks.iter().map(|planned| planned.task.to_string()).collect()
}

fn with_video(change: impl FnMut(&mut VideoTrack)) -> ProbeFacts {
    let mut facts = sample::facts();
    facts.video.as_mut().into_iter().for_each(change);
    facts
}

#[test]
fn a_minute_of_720p_is_cut_at_random_access_points() {
    let plan = planned(sample::facts(), &sample::policy());
    assert_eq!(plan.class, Class::A);
    let starts: Vec<i64> = plan.chunks.iter().map(|chunk| chunk.start / 90_000).collect();
    assert_eq!(starts, [0, 2, 12, 22, 32, 42, 52]);
    let seeks: Vec<Option<i64>> = plan.chunks.iter().map(|chunk| chunk.seek).collect();
    assert_eq!(seeks[..2], [None, Some(180_000 - 7200)]);
    let sizes: Vec<(&str, u32)> =
        plan.tiers.iter().map(|tier| (tier.name.as_str(), tier.width)).collect();
    assert_eq!(sizes, [("720p", 1280), ("480p", 854), ("360p", 640), ("240p", 426)]);
    assert_eq!((plan.timescale, plan.origin, plan.tick_scale()), (90_000, 0, 1));
    assert_eq!(plan.tiers[0].codecs, "avc1.64001f");
    assert_eq!(plan.tiers[0].bandwidth, 3_440_800);
}

#[test]
fn tasks_are_released_first_seconds_first_and_files_last() {
    let plan = planned(sample::facts(), &sample::policy());
    let expected = "first-0000 first-0001 first-0002 first-0003 audio-0000 main-0000 main-0001 main-0002 \
                    main-0003 main-0004 main-0005 images-0000 package-0000 package-0001 package-0002 \
                    package-0003";
    assert_eq!(names(&plan).join(" "), expected);
    let verified: Vec<bool> = plan
        .group(Group::Package)
        .map(|task| matches!(task.work, Work::Package { verify: true, .. }))
        .collect();
    assert_eq!(verified, [false, false, false, true]);
    let images = plan.task(TaskId::new(Group::Images, 0)).unwrap();
    // The picture tier is 480p: its first task and every main one.
    assert_eq!(images.needs[0], TaskId::new(Group::First, 1));
    assert_eq!(images.needs.len(), 7);
    let file = plan.task(TaskId::new(Group::Package, 0)).unwrap();
    assert_eq!(file.needs[..2], [TaskId::new(Group::First, 0), TaskId::new(Group::Audio, 0)]);
    assert_eq!(file.needs.len(), 8);
    let costs: Vec<f64> = plan.group(Group::First).map(|task| task.cost).collect();
    assert!(costs.is_sorted_by(|a, b| a >= b), "{costs:?}");
}

#[test]
fn without_a_split_the_first_seconds_are_one_task() {
    let policy = PlanPolicy { first_tasks: 1, ..sample::policy() };
    let plan = planned(sample::facts(), &policy);
    let first: Vec<&PlannedTask> = plan.group(Group::First).collect();
    assert_eq!(first.len(), 1);
    assert!(matches!(&first[0].work, Work::Video { tiers, images: true, .. } if tiers.len() == 4));
}

#[test]
fn a_short_clip_is_one_chunk() {
    let plan = planned(with_video(|video| video.end = 5 * 90_000), &sample::policy());
    assert_eq!(plan.chunks, [Chunk { start: 0, end: i64::MAX, seek: None }]);
    assert_eq!(plan.group(Group::Main).count(), 0);
}

#[test]
fn without_a_point_near_the_start_the_next_chunk_decodes_from_the_point_before() {
    let facts = with_video(|video| {
        video.random_access = (0..6).map(|i| sample::point(i * 900_000)).collect();
    });
    let plan = planned(facts, &sample::policy());
    let chunk = |start: i64, end: i64, seek: i64| Chunk {
        start: start * 90_000,
        end: end * 90_000,
        seek: Some(seek * 90_000 - 7200),
    };
    // The point at 10 s follows after 7 s: too early, because the one at 20 s is close enough.
    assert_eq!(plan.chunks[1..3], [chunk(3, 20, 0), chunk(20, 30, 20)]);
    assert_eq!(plan.chunks[0].end, 3 * 90_000);
}

#[test]
fn a_slide_show_is_never_cut_between_its_pictures() {
    let facts = with_video(|video| {
        video.largest_gap = 15 * 90_000;
        video.random_access = (0..4).map(|i| sample::point(i * 15 * 90_000)).collect();
    });
    let plan = planned(facts, &sample::policy());
    let starts: Vec<i64> = plan.chunks.iter().map(|chunk| chunk.start / 90_000).collect();
    assert_eq!(starts, [0, 15, 30, 45]);
}

#[test]
fn a_slide_show_without_a_second_point_is_not_cut_at_all() {
    let facts = with_video(|video| {
        video.largest_gap = 15 * 90_000;
        video.random_access.truncate(1);
    });
    let plan = planned(facts, &sample::policy());
    assert_eq!((plan.class, plan.chunks.len()), (Class::A, 1));
}

#[test]
fn a_segment_may_be_longer_by_the_distance_of_frames_that_every_tier_keeps() {
    let policy = PlanPolicy { segment_seconds: 5.95, ..sample::policy() };
    let of = |frame_rate: i64| {
        let mut facts = with_video(|video| {
            video.frame_rate = Rational::new(frame_rate, 1);
            (video.end, video.largest_gap) = (5 * 90_000, 90_000 / frame_rate);
        });
        facts.audio.clear();
        planned(facts, &policy).target_duration
    };
    // Of 60 frames a second all tiers keep every second one; of 90, every sixth: 45 and 30 a second.
    assert_eq!((of(60), of(90)), (6, 7));
}

#[test]
fn outputs_last_from_the_first_of_picture_and_sound_to_the_last_of_both() {
    let mut facts = with_video(|video| (video.start, video.end) = (10 * 90_000, 20 * 90_000));
    let plan = planned(facts.clone(), &sample::policy());
    assert_eq!((plan.origin, plan.end(), plan.chunks[0].start), (0, 60 * 90_000, 0));
    assert!((plan.seconds() - 60.0).abs() < 1e-9);
    // A first picture that is slightly late starts late.
    facts.video.as_mut().unwrap().start = 4500;
    assert_eq!(planned(facts, &sample::policy()).chunks[0].start, 4500);
}

#[test]
fn a_picture_that_stands_for_an_hour_makes_no_segment_of_an_hour() {
    let facts = with_video(|video| {
        video.end = 3600 * 90_000;
        video.largest_gap = 3000 * 90_000;
        video.random_access.truncate(2);
        (video.packets, video.frame_rate) = (3, Rational::new(1, 1200));
    });
    assert!(planned(facts, &sample::policy()).target_duration <= 28);
}

#[test]
fn pictures_are_taken_from_the_largest_small_tier_in_source_ticks() {
    let images = planned(sample::facts(), &sample::policy()).images.unwrap();
    assert_eq!((images.tier, images.interval), (1, 900_000));
    assert_eq!((images.tile_width, images.tile_height), (160, 90));
    let upright = planned(with_video(|video| video.rotation = 90), &sample::policy());
    let images = upright.images.unwrap();
    assert_eq!((images.tile_width, images.tile_height), (90, 160));
}

#[test]
fn sources_that_cannot_be_cut_become_one_sequential_task() {
    let doubts: [fn(&mut ProbeFacts); 6] = [
        |facts| facts.format = "mpeg".to_owned(),
        |facts| facts.video.iter_mut().for_each(|video| video.codec = "mjpeg".to_owned()),
        |facts| facts.video.iter_mut().for_each(|video| video.media_edits = 2),
        |facts| facts.video.iter_mut().for_each(|video| video.profile = 144),
        |facts| facts.video.iter_mut().for_each(|video| video.profile = 244 | 1 << 11),
        |facts| {
            let video = facts.video.as_mut().unwrap();
            video.end = 200 * 90_000;
            video.random_access.truncate(1);
        },
    ];
    for doubt in doubts {
        let mut facts = sample::facts();
        doubt(&mut facts);
        let plan = planned(facts, &sample::policy());
        assert_eq!(plan.class, Class::B, "{}", plan.class_reason);
        assert_eq!(names(&plan)[..2], ["audio-0000", "main-0000"]);
        assert_eq!(plan.group(Group::Main).count(), 1);
        assert!(plan.chunks.iter().all(|chunk| chunk.seek.is_none()));
    }
}

#[test]
fn hours_of_sound_over_one_picture_are_no_single_task() {
    let mut facts = with_video(|video| {
        (video.end, video.packets) = (3600, 1);
        video.random_access.truncate(1);
    });
    facts.audio[0].seconds = 3.0 * 3600.0;
    for force_class_b in [false, true] {
        let (policy, limits) = (sample::policy(), sample::limits());
        let plan = plan(order(), facts.clone(), &policy, &limits, "build", force_class_b).unwrap();
        let starts: Vec<i64> = plan.chunks.iter().map(|chunk| chunk.start / 90_000).collect();
        // The first is one segment; the others are 15 minutes.
        let expected: Vec<i64> = std::iter::once(0).chain((0..12).map(|i| 6 + 900 * i)).collect();
        assert_eq!(starts, expected);
        assert_eq!(plan.chunks.last().unwrap().end, i64::MAX);
        assert_eq!(plan.target_duration, 7);
        let seek =
            (!force_class_b).then(|| plan.facts.video.as_ref().unwrap().random_access[0].dts);
        assert!(plan.chunks[1..].iter().all(|chunk| chunk.seek == seek));
        let tasks: Vec<f64> = plan.group(Group::Main).map(|task| task.cost).collect();
        assert_eq!(tasks.len(), if force_class_b { 1 } else { 12 });
        if !force_class_b {
            let moving = planned(sample::facts(), &policy);
            let longest = moving.group(Group::Main).map(|task| task.cost).fold(0.0, f64::max);
            assert!(tasks.iter().all(|cost| *cost < 3.0 * longest), "{tasks:?} {longest}");
        }
    }
}

#[test]
fn a_last_picture_gets_a_chunk_of_its_own_where_that_is_worth_a_process() {
    let mut facts = sample::facts();
    for (seconds, expected) in [(150.0, vec![52]), (160.0, vec![52, 64])] {
        facts.audio[0].seconds = seconds;
        let plan = planned(facts.clone(), &sample::policy());
        let last: Vec<i64> = plan.chunks[6..].iter().map(|chunk| chunk.start / 90_000).collect();
        assert_eq!(last, expected, "{seconds}");
    }
}

#[test]
fn a_seam_mismatch_makes_the_next_order_sequential() {
    let (facts, policy) = (sample::facts(), sample::policy());
    let plan = plan(order(), facts, &policy, &sample::limits(), "build", true).unwrap();
    assert_eq!(plan.class, Class::B);
}

#[test]
fn fast_sources_get_faster_levels_and_rates_and_small_tiers_halve_them() {
    let plan =
        planned(with_video(|video| video.frame_rate = Rational::new(60, 1)), &sample::policy());
    assert_eq!((plan.tiers[0].level, plan.tiers[0].max_rate), (32, 4_500_000));
    assert_eq!(plan.tiers[0].rule, FrameRule::ALL);
    assert_eq!((plan.tiers[1].level, plan.tiers[1].max_rate), (31, 1_400_000));
    assert_ne!(plan.tiers[1].rule, FrameRule::ALL);
}

#[test]
fn a_phone_at_a_little_over_thirty_keeps_every_frame_at_the_rates_of_thirty() {
    for hundredths in [3012, 3030, 3120] {
        let rate = Rational::new(hundredths, 100);
        let plan = planned(with_video(|video| video.frame_rate = rate), &sample::policy());
        assert!(plan.tiers.iter().all(|tier| tier.rule == FrameRule::ALL), "{rate:?}");
        assert_eq!(plan.tiers[0].max_rate, 3_000_000, "{rate:?}");
        // The level is that of the true rate: 3.1 carries 30 frames per second at this size.
        assert_eq!(plan.tiers[0].level, 32, "{rate:?}");
    }
}

#[test]
fn lazy_tiers_are_planned_when_asked_for_in_a_group_of_their_own() {
    let facts = || {
        with_video(|video| {
            (video.width, video.height) = (3840, 2160);
        })
    };
    assert_eq!(planned(facts(), &sample::policy()).tiers[0].name, "1080p");
    let both = Some(vec!["2160p".to_owned(), "720p".to_owned(), "4320p".to_owned()]);
    let policy = PlanPolicy { tiers: both, ..sample::policy() };
    let plan = planned(facts(), &policy);
    let tiers: Vec<&str> = plan.tiers.iter().map(|tier| tier.name.as_str()).collect();
    assert_eq!(tiers, ["2160p", "720p"]);
    assert_eq!((plan.group(Group::Main).count(), plan.group(Group::Top).count()), (6, 6));
    assert!(plan.warnings.iter().any(|warning| warning.contains("4320p")));
}

#[test]
fn a_tier_above_the_source_is_refused_when_it_is_the_only_one() {
    let policy = PlanPolicy { tiers: Some(vec!["2160p".to_owned()]), ..sample::policy() };
    let refused = plan(order(), sample::facts(), &policy, &sample::limits(), "build", false);
    assert_eq!(refused.unwrap_err().code, "no-tier");
}

#[test]
fn the_default_track_comes_first_and_surplus_tracks_are_left_out() {
    let mut facts = sample::facts();
    facts.audio = (1..=10)
        .map(|stream| AudioTrack {
            stream,
            number: stream,
            default: stream == 3,
            sample_rate: if stream == 3 { 88_200 } else { 22_050 },
            channels: if stream == 3 { 6 } else { 1 },
            ..sample::sound()
        })
        .collect();
    let plan = planned(facts, &sample::policy());
    let streams: Vec<u32> = plan.audio.iter().map(|audio| audio.stream).collect();
    assert_eq!(streams, [3, 1, 2, 4, 5, 6, 7, 8]);
    let format = |audio: &AudioPlan| (audio.sample_rate, audio.channels, audio.bit_rate);
    assert_eq!(format(&plan.audio[0]), (44_100, 2, 128_000));
    assert_eq!(format(&plan.audio[1]), (48_000, 1, 64_000));
    assert_eq!(plan.audio.iter().filter(|audio| audio.default).count(), 1);
    let surplus = "Only 8 of 10 sound tracks are encoded, which is the limit: \
                   sound tracks 9 (en, aac) and 10 (en, aac) are left out.";
    assert_eq!(plan.warnings, [surplus]);
}

#[test]
fn what_may_not_be_encoded_is_refused_with_a_code() {
    let track = |change: fn(&mut VideoTrack)| with_video(change);
    let mut silent = sample::facts();
    silent.video = None;
    let empty = ProbeFacts { bytes: 0, ..sample::facts() };
    let huge = ProbeFacts { bytes: 1 << 41, ..sample::facts() };
    let cases = [
        (silent, "no-video"),
        (empty, "empty"),
        (huge, "too-many-bytes"),
        (ProbeFacts { streams: 65, ..sample::facts() }, "too-many-streams"),
        (track(|video| video.width = 12_288 * 8), "too-many-pixels"),
        (track(|video| video.height = 0), "no-frames"),
        (track(|video| video.frame_rate = Rational::new(1000, 1)), "frame-rate"),
        (track(|video| video.end = 50_000 * 90_000), "too-long"),
        (track(|video| video.packets = 3_000_000), "too-many-frames"),
        (track(|video| video.packets = 0), "no-frames"),
        (track(|video| video.silent_gap = 61 * 90_000), "timestamp-gap"),
        (track(|video| video.start = i64::MIN), "unreadable"),
        (track(|video| video.time_base = Rational::new(0, 1)), "unreadable"),
        (track(|video| video.time_base = Rational::new(1, 1_000_000_000)), "time-base"),
    ];
    for (facts, code) in cases {
        let refused =
            plan(order(), facts, &sample::policy(), &sample::limits(), "build", false).unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.severity),
            (code, crate::words::failure::Severity::Permanent)
        );
    }
}
