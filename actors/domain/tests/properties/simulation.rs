//! Simulations of a cluster: what holds of every trace, and what the rules do to some.

use jetreel_domain::order::lane::Lane;
use jetreel_domain::scale::policy::Policy;
use jetreel_domain::scale::simulation::{
    LoseNodes, Nodes, Outcome, SimulationError, SlowStorage, Trace, Uploads, simulate,
};
use proptest::prelude::*;

use crate::sample;

fn uploads(count: u64, seconds: f64) -> Uploads {
    Uploads {
        at_seconds: 0.0,
        count,
        every_seconds: 0.0,
        seconds,
        seconds_max: None,
        width: 1280,
        height: 720,
        frame_rate: 25.0,
        tiers: Vec::new(),
        lane: Lane::Normal,
        owner: String::new(),
    }
}

/// Nodes of four slots that are there at once and always, and take as long as planned.
fn fixed(nodes: u32, uploads: Vec<Uploads>) -> Trace {
    Trace {
        about: String::new(),
        seed: 1,
        scaler: Policy {
            nodes_min: nodes,
            nodes_max: nodes,
            target_drain_seconds: 600.0,
            hysteresis: 0.1,
            stable_seconds: 120.0,
            cooldown_seconds: 60.0,
            above: Vec::new(),
            below: Vec::new(),
        },
        nodes: Nodes {
            first: nodes,
            slots: 4,
            vcpus: 4,
            speed: 1.0,
            spread: 0.0,
            start_seconds: 0.0,
            drain_seconds: 25.0,
            lost_seconds: 30.0,
            storage_share: 0.1,
        },
        uploads,
        lose_nodes: Vec::new(),
        slow_storage: Vec::new(),
    }
}

/// Nodes between one and `most`, which take a minute to start.
fn scaled(most: u32, uploads: Vec<Uploads>) -> Trace {
    let mut trace = fixed(1, uploads);
    trace.scaler.nodes_max = most;
    trace.nodes.start_seconds = 60.0;
    trace.nodes.spread = 0.2;
    trace
}

fn run(trace: &Trace) -> Outcome {
    simulate(trace, &sample::policy(), &sample::limits()).expect("the trace can be simulated")
}

/// Slots never idle while tasks wait, so the time is the work divided by the slots, and the rest of one video at the end.
#[test]
fn fixed_nodes_take_as_long_as_their_work_divided_by_their_slots() {
    let outcome = run(&fixed(2, vec![uploads(50, 120.0)]));
    let ideal = outcome.encode_seconds / 8.0;
    assert!((ideal..ideal * 1.05).contains(&outcome.drain_seconds), "{ideal} {outcome:?}");
    assert_eq!((outcome.nodes_peak, outcome.tasks_again), (2, 0));
    let speed = Trace {
        nodes: Nodes { speed: 0.5, ..fixed(2, Vec::new()).nodes },
        ..fixed(2, vec![uploads(50, 120.0)])
    };
    let slower = run(&speed);
    assert!((slower.drain_seconds / outcome.drain_seconds - 2.0).abs() < 0.05);
}

#[test]
fn a_burst_drains_within_its_target_and_the_start_of_nodes_and_then_the_nodes_go() {
    let outcome = run(&scaled(100, vec![uploads(500, 120.0)]));
    assert!(outcome.drain_seconds < 600.0 * 1.15, "{}", outcome.drain_seconds);
    assert!(outcome.drain_seconds > 600.0 * 0.8, "{}", outcome.drain_seconds);
    let last = outcome.samples.last().unwrap();
    assert_eq!((last.nodes_working, last.nodes_starting, last.videos_open), (1, 0, 0));
    // No more than a quarter beyond the bare work: nodes that start, and the stable time at the end.
    let bare = outcome.encode_seconds / 4.0 / 3600.0;
    assert!(outcome.node_hours < bare * 1.6, "{} {bare}", outcome.node_hours);
}

#[test]
fn a_high_lane_waits_less_than_a_low_one_and_low_ends_too() {
    let lane = |lane| Uploads { lane, ..uploads(40, 120.0) };
    let outcome = run(&fixed(2, vec![lane(Lane::Low), lane(Lane::Normal), lane(Lane::High)]));
    let complete = |lane: &str| outcome.lanes[lane].complete_median_seconds;
    assert!(complete("high") < complete("normal") && complete("normal") < complete("low"));
    assert_eq!(outcome.lanes.values().map(|waits| waits.uploads).sum::<usize>(), 120);
}

#[test]
fn waits_are_told_by_owner_if_there_are_several() {
    let of = |owner: &str, count| Uploads { owner: owner.to_owned(), ..uploads(count, 20.0) };
    assert!(run(&fixed(1, vec![of("a", 3)])).owners.is_empty());
    let owners = run(&fixed(1, vec![of("a", 3), of("b", 1)])).owners;
    assert_eq!((owners["a"].uploads, owners["b"].uploads), (3, 1));
}

#[test]
fn lost_nodes_cost_their_work_in_hand_and_are_replaced() {
    let mut trace = scaled(100, vec![uploads(500, 120.0)]);
    let calm = run(&trace);
    trace.lose_nodes = vec![LoseNodes { at_seconds: 300.0, share: 0.5 }];
    let outcome = run(&trace);
    let nodes = outcome.samples.iter().find(|s| s.seconds >= 295.0).unwrap().nodes_working;
    assert_eq!(outcome.nodes_lost, (f64::from(nodes) / 2.0).round() as u32);
    assert_eq!(outcome.tasks_again as u32, outcome.nodes_lost * 4);
    let later = outcome.samples.iter().find(|sample| sample.seconds >= 370.0).unwrap();
    assert!(later.nodes_working >= nodes, "{later:?} {nodes}");
    assert!(outcome.drain_seconds < calm.drain_seconds * 1.2, "{}", outcome.drain_seconds);
}

#[test]
fn a_slow_storage_is_seen_in_the_speed_and_met_with_more_nodes() {
    let mut trace = scaled(1000, vec![Uploads { every_seconds: 1.0, ..uploads(1800, 60.0) }]);
    let calm = run(&trace);
    trace.slow_storage = vec![SlowStorage { at_seconds: 600.0, for_seconds: 1200.0, factor: 21.0 }];
    let slow = run(&trace);
    assert!(f64::from(slow.nodes_peak) > f64::from(calm.nodes_peak) * 1.5, "{}", slow.nodes_peak);
    assert!(slow.node_hours > calm.node_hours);
}

#[test]
fn a_steady_stream_keeps_its_nodes() {
    let stream = Uploads { every_seconds: 5.0, seconds_max: Some(120.0), ..uploads(1500, 60.0) };
    let outcome = run(&scaled(100, vec![stream]));
    let steady = outcome.samples.iter().filter(|s| (1800.0..7200.0).contains(&s.seconds));
    let wanted: Vec<u32> = steady.map(|sample| sample.nodes_wanted).collect();
    let changes = wanted.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes < 20, "{changes} changes in 90 minutes: {wanted:?}");
    assert!(outcome.lanes["normal"].complete_worst_seconds < 600.0, "{outcome:?}");
}

#[test]
fn work_that_is_never_done_and_uploads_that_cannot_be_planned_are_told() {
    let mut trace = fixed(1, vec![uploads(1, 60.0)]);
    (trace.nodes.speed, trace.nodes.slots) = (0.01, 1);
    trace.uploads[0].count = 3000;
    let never = simulate(&trace, &sample::policy(), &sample::limits());
    assert_eq!(never.err(), Some(SimulationError::NeverDone));
    let refused = fixed(1, vec![Uploads { tiers: vec!["2160p".to_owned()], ..uploads(1, 60.0) }]);
    let refused = simulate(&refused, &sample::policy(), &sample::limits());
    assert!(matches!(refused, Err(SimulationError::Refused(_))), "{refused:?}");
    let mut wrong = fixed(1, vec![uploads(1, 60.0)]);
    wrong.nodes.slots = 0;
    let wrong = simulate(&wrong, &sample::policy(), &sample::limits());
    assert!(wrong.unwrap_err().to_string().starts_with("nodes.slots: "));
}

fn group() -> impl Strategy<Value = Uploads> {
    let lane = prop::sample::select(Lane::ALL.to_vec());
    (0.0..600.0, 1_u64..30, 0.0..30.0, 3.0..200.0, lane).prop_map(
        |(at_seconds, count, every_seconds, seconds, lane)| Uploads {
            at_seconds,
            every_seconds,
            lane,
            seconds_max: Some(seconds * 2.0),
            ..uploads(count, seconds)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn all_work_is_done_once_within_the_bounds_and_the_same_for_a_seed(
        groups in prop::collection::vec(group(), 1..4),
        seed in any::<u64>(),
        losses in prop::collection::vec((0.0..900.0, 0.0..=1.0), 0..3),
        slow in prop::collection::vec((0.0..900.0, 0.0..300.0, 1.0..10.0), 0..2),
        most in 1_u32..20,
    ) {
        let mut trace = scaled(most, groups);
        trace.seed = seed;
        trace.lose_nodes = losses.into_iter().map(|(at_seconds, share)| LoseNodes { at_seconds, share }).collect();
        trace.slow_storage = slow
            .into_iter()
            .map(|(at_seconds, for_seconds, factor)| SlowStorage { at_seconds, for_seconds, factor })
            .collect();
        let outcome = run(&trace);
        prop_assert_eq!(&outcome, &run(&trace));
        let last = outcome.samples.last().unwrap();
        prop_assert_eq!((last.videos_open, last.videos_waiting, last.slots_busy), (0, 0, 0));
        prop_assert!(last.backlog_encode_seconds.abs() < 1e-3);
        for sample in &outcome.samples {
            prop_assert!(sample.nodes_working + sample.nodes_starting <= most);
            prop_assert!(sample.slots_busy <= 4 * (sample.nodes_working + sample.nodes_draining));
        }
        // Every encode second was worked once, with what was lost besides.
        let worked = outcome.busy_share * outcome.node_hours * 3600.0 * 4.0 - outcome.seconds_again;
        prop_assert!(worked >= outcome.encode_seconds * 0.8, "{worked} {}", outcome.encode_seconds);
        for waits in outcome.lanes.values() {
            prop_assert!(waits.start_worst_seconds >= 0.0);
            prop_assert!(waits.complete_worst_seconds >= waits.start_worst_seconds);
        }
    }
}
