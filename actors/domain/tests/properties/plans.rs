//! What holds for every plan.

use std::collections::BTreeSet;

use jetreel_domain::codec::job;
use jetreel_domain::plan::framerate::target_rate;
use jetreel_domain::plan::gop::Grid;
use jetreel_domain::plan::h264::{self, Demand};
use jetreel_domain::plan::ladder::display_size;
use jetreel_domain::plan::{Class, Work};
use proptest::prelude::*;

use crate::sources::source;

proptest! {
    #[test]
    fn chunks_tile_without_hole_or_overlap_and_every_frame_has_its_chunk(
        (source, longer) in (source(), 0.0_f64..4000.0)
    ) {
        let source = source.under_sound(longer);
        let plan = source.plan();
        let video = source.video();
        prop_assert_eq!(plan.chunks[0].start, video.start);
        prop_assert_eq!(plan.chunks[plan.chunks.len() - 1].end, i64::MAX);
        for pair in plan.chunks.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
            prop_assert!(pair[0].start < pair[0].end);
        }
        for (index, chunk) in (0..).zip(&plan.chunks) {
            let frames = source.frames.iter().filter(|pts| (chunk.start..chunk.end).contains(*pts));
            let stands = chunk.start >= video.end;
            prop_assert_eq!(frames.count() > 0, !stands, "{:?}", chunk);
            // 15 minutes and a tenth, or a segment and a tenth.
            let (moving, standing) = plan.moving_and_standing(index);
            let most = if moving == 0.0 { 1000.0 } else { 100.0 };
            prop_assert!(standing < most, "{index}: {moving} s, then {standing} s");
        }
    }

    #[test]
    fn chunks_start_where_a_decoder_can_start(
        (source, longer) in (source(), 0.0_f64..4000.0)
    ) {
        let source = source.under_sound(longer);
        let plan = source.plan();
        prop_assert_eq!(plan.chunks[0].seek, None);
        for chunk in &plan.chunks {
            let Some(seek) = chunk.seek else { continue };
            prop_assert_eq!(plan.class, Class::A);
            let points = &source.video().random_access;
            let point = points.iter().find(|point| point.dts == seek).unwrap();
            prop_assert!(point.pts <= chunk.start);
            prop_assert!(!points.iter().any(|p| p.pts > point.pts && p.pts <= chunk.start));
        }
        if plan.class == Class::A {
            prop_assert!(plan.chunks[1..].iter().all(|chunk| chunk.seek.is_some()));
        }
    }

    #[test]
    fn chunks_are_as_long_as_the_policy_says(source in source()) {
        let plan = source.plan();
        let seconds: Vec<f64> =
            (0..plan.chunks.len() as u32).map(|i| plan.chunk_seconds(i)).collect();
        let tick = plan.time_base.as_f64() * 1.5;
        if let [first, rest @ ..] = seconds.as_slice() && !rest.is_empty() {
            prop_assert!(*first >= 2.0 - tick, "{seconds:?}");
            let still = plan.time_base.seconds(source.video().largest_gap) > 1.0;
            prop_assert!(*first <= 4.0 + tick || still, "{seconds:?}");
            // Only what follows the first chunk of a short source may be shorter.
            if let [.., _] = &rest[1..] {
                prop_assert!(rest.iter().all(|s| *s >= 6.0 - tick), "{seconds:?}");
            }
        }
    }

    #[test]
    fn tiers_are_even_and_within_the_source_from_large_to_small(source in source()) {
        let plan = source.plan();
        let (width, height) = display_size(source.video());
        let names: BTreeSet<&str> = plan.tiers.iter().map(|tier| tier.name.as_str()).collect();
        prop_assert_eq!(names.len(), plan.tiers.len());
        prop_assert!(!plan.tiers.is_empty());
        for tier in &plan.tiers {
            prop_assert!(tier.width % 2 == 0 && tier.height % 2 == 0);
            prop_assert!(tier.width.min(tier.height) >= 16 && tier.width.max(tier.height) <= 16_384);
            prop_assert!(tier.width <= width && tier.height <= height);
            // The aspect is kept as well as two pixels allow.
            let exact = f64::from(width) * f64::from(tier.height) / f64::from(height);
            let off = (exact - f64::from(tier.width)).abs();
            let coarse = f64::from(width.max(height)) / f64::from(width.min(height));
            prop_assert!(off <= 2.0 + 2.0 * coarse, "{tier:?} of {width}x{height}");
        }
        for pair in plan.tiers.windows(2) {
            prop_assert!(pair[0].width.min(pair[0].height) > pair[1].width.min(pair[1].height));
        }
    }

    #[test]
    fn levels_carry_their_tiers(source in source()) {
        let plan = source.plan();
        for tier in &plan.tiers {
            let frame_rate = jetreel_domain::plan::cost::rate(tier, source.video());
            let demand =
                Demand { width: tier.width, height: tier.height, frame_rate, max_rate: tier.max_rate };
            prop_assert_eq!(h264::level_for(demand, tier.level), Some(tier.level));
            prop_assert_eq!(&tier.codecs, &format!("avc1.6400{:02x}", tier.level));
            prop_assert!(tier.bandwidth > tier.max_rate);
            let limit = if tier.width.min(tier.height) > 480 { 60.0 } else { 30.0 };
            let expected = target_rate(source.video().frame_rate.as_f64(), limit);
            prop_assert!((frame_rate - expected).abs() < 0.01, "{frame_rate} {expected}");
        }
    }

    #[test]
    fn one_source_tick_is_a_whole_number_of_output_ticks(source in source()) {
        let plan = source.plan();
        let exact = plan.tick_scale() * plan.time_base.den;
        prop_assert_eq!(exact, i64::from(plan.timescale) * plan.time_base.num);
        prop_assert!(plan.origin <= source.video().start);
    }

    #[test]
    fn tasks_cover_every_chunk_of_every_tier_once_and_need_only_earlier_ones(
        (source, longer) in (source(), 0.0_f64..4000.0)
    ) {
        let plan = source.under_sound(longer).plan();
        let mut seen = BTreeSet::new();
        for planned in &plan.tasks {
            prop_assert!(planned.needs.iter().all(|need| seen.contains(need)), "{planned:?}");
            prop_assert!(seen.insert(planned.task), "{} twice", planned.task);
            prop_assert!(planned.cost.is_finite() && planned.cost > 0.0);
        }
        for tier in 0..plan.tiers.len() {
            let mut chunks: Vec<u32> =
                plan.video_tasks(tier).flat_map(|(_, chunks)| chunks.iter().copied()).collect();
            chunks.sort_unstable();
            let all: Vec<u32> = (0..plan.chunks.len() as u32).collect();
            prop_assert_eq!(chunks, all);
        }
    }

    #[test]
    fn jobs_say_what_the_plan_says(source in source()) {
        let plan = source.plan();
        for planned in &plan.tasks {
            let job = job::video_job(&plan, &planned.work, vec![]);
            let Work::Video { chunks, tiers, images } = &planned.work else {
                prop_assert!(job.is_none());
                continue;
            };
            let job = job.unwrap();
            prop_assert_eq!(job.first_chunk, chunks[0]);
            prop_assert_eq!(job.chunks.len(), chunks.len());
            prop_assert_eq!(job.tiers.len(), tiers.len());
            prop_assert_eq!(job.images.is_some(), *images);
            if let Some(kept) = job.images {
                let name = &plan.tiers[plan.images.unwrap().tier].name;
                prop_assert_eq!(&job.tiers[kept.tier].name, name);
            }
        }
    }

    #[test]
    fn no_segment_is_longer_than_the_target(source in source()) {
        let plan = source.plan();
        let rules: Vec<_> = plan.tiers.iter().map(|tier| tier.rule).collect();
        for chunk in &plan.chunks {
            let end = chunk.end.min(source.video().end);
            let (segment, gop) = (plan.segment_seconds, plan.gop_seconds);
            let mut grid = Grid::new(chunk, end, plan.time_base, segment, gop, &rules);
            let held = source.frames.iter().filter(|pts| (chunk.start..chunk.end).contains(*pts));
            let mut starts: Vec<i64> =
                held.filter(|pts| grid.mark(**pts).segment).copied().collect();
            starts.push(end);
            for pair in starts.windows(2) {
                let seconds = plan.time_base.seconds(pair[1] - pair[0]);
                prop_assert!(seconds.round() <= f64::from(plan.target_duration), "{seconds}");
            }
        }
    }
}
