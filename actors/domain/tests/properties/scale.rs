//! Properties of the scaler, over random loads and rules.

use jetreel_domain::scale::demand::Demand;
use jetreel_domain::scale::policy::{Policy, Step};
use jetreel_domain::scale::scaler::{Change, Memory, Wanted, decide};
use proptest::prelude::*;

/// Seconds between two decisions.
const POLL_SECONDS: f64 = 5.0;

fn step() -> impl Strategy<Value = Step> {
    (0_u64..20_000, 0_u32..60).prop_map(|(tasks, nodes)| Step { tasks, nodes })
}

fn policy() -> impl Strategy<Value = Policy> {
    let bounds = (0_u32..5, 0_u32..200);
    let times = (prop_oneof![Just(0.0), 30.0..7200.0], 0.0..600.0, 0.0..600.0);
    let steps = (prop::collection::vec(step(), 0..3), prop::collection::vec(step(), 0..3));
    (bounds, times, 0.0..0.5, steps).prop_map(|(nodes, times, hysteresis, (above, below))| Policy {
        nodes_min: nodes.0,
        nodes_max: nodes.0 + nodes.1.max(1),
        target_drain_seconds: times.0,
        hysteresis,
        stable_seconds: times.1,
        cooldown_seconds: times.2,
        above,
        below,
    })
}

fn demand() -> impl Strategy<Value = Demand> {
    let tasks = (0_u64..20_000, 0_u64..20_000);
    let seconds = (0.0..1e6, 0.0..100.0, 0.0..7200.0);
    (tasks, seconds, 0.1..3.0, 0_u32..400, 1_u32..16).prop_map(
        |(tasks, seconds, speed, busy_slots, slots_per_node)| Demand {
            now_seconds: 0.0,
            lag_tasks: tasks.0,
            unfinished_tasks: tasks.1,
            backlog_seconds: seconds.0,
            arrivals_per_second: seconds.1,
            oldest_seconds: seconds.2,
            speed,
            busy_slots,
            slots_per_node,
        },
    )
}

/// The decisions on a list of loads, one every [`POLL_SECONDS`].
fn decisions(policy: &Policy, loads: &[Demand], nodes: u32) -> Vec<(Demand, Wanted)> {
    let mut memory = Memory::new(0.0, nodes);
    let mut made = Vec::new();
    for (poll, load) in loads.iter().enumerate() {
        let demand = Demand { now_seconds: poll as f64 * POLL_SECONDS, ..load.clone() };
        let (wanted, next) = decide(policy, &demand, memory);
        memory = next;
        made.push((demand, wanted));
    }
    made
}

/// A load whose need is that many nodes of one slot.
fn load(need: f64) -> Demand {
    Demand {
        now_seconds: 0.0,
        lag_tasks: 1_000_000,
        unfinished_tasks: 1_000_000,
        backlog_seconds: need * 1000.0,
        arrivals_per_second: 0.0,
        oldest_seconds: 0.0,
        speed: 1.0,
        busy_slots: 0,
        slots_per_node: 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_number_grows_with_the_backlog_the_tasks_and_the_age(
        policy in policy(),
        earlier in prop::collection::vec(demand(), 0..80),
        mut demand in demand(),
        more in (0.0..1e6, 0_u64..20_000, 0.0..7200.0, 0.0..100.0),
        nodes in 0_u32..200,
    ) {
        let mut memory = Memory::new(0.0, nodes);
        for (poll, load) in earlier.iter().enumerate() {
            let load = Demand { now_seconds: poll as f64 * POLL_SECONDS, ..load.clone() };
            memory = decide(&policy, &load, memory).1;
        }
        demand.now_seconds = earlier.len() as f64 * POLL_SECONDS;
        let mut larger = demand.clone();
        larger.backlog_seconds += more.0;
        larger.unfinished_tasks += more.1;
        larger.oldest_seconds += more.2;
        larger.arrivals_per_second += more.3;
        let (less, _) = decide(&policy, &demand, memory.clone());
        let (most, _) = decide(&policy, &larger, memory);
        prop_assert!(most.nodes >= less.nodes, "{less:?} {most:?}");
        prop_assert!(most.slots >= less.slots, "{less:?} {most:?}");
    }

    #[test]
    fn the_number_stays_within_min_and_max_and_above_every_rule_that_holds(
        policy in policy(),
        loads in prop::collection::vec(demand(), 1..100),
        nodes in 0_u32..400,
    ) {
        for (demand, wanted) in decisions(&policy, &loads, nodes) {
            prop_assert!((policy.nodes_min..=policy.nodes_max).contains(&wanted.nodes));
            prop_assert!(wanted.nodes >= policy.floor(demand.tasks()), "{wanted:?}");
        }
    }

    #[test]
    fn nodes_are_taken_away_only_after_the_cooldown_and_never_below_the_work_in_hand(
        policy in policy(),
        loads in prop::collection::vec(demand(), 1..200),
    ) {
        let start = policy.nodes_max;
        let (mut nodes, mut changed) = (start, 0.0);
        for (demand, wanted) in decisions(&policy, &loads, start) {
            let now = demand.now_seconds;
            if wanted.nodes < nodes {
                prop_assert_eq!(wanted.change, Change::In);
                prop_assert!(now - changed >= policy.cooldown_seconds, "{now} {changed}");
                prop_assert!(now >= policy.stable_seconds, "{now}");
                prop_assert!(wanted.nodes >= demand.nodes_in_hand().min(nodes));
            }
            if wanted.nodes != nodes {
                changed = now;
            }
            nodes = wanted.nodes;
        }
    }

    #[test]
    fn a_noisy_constant_load_causes_no_flapping(
        mean in 0.5_f64..100.0,
        hysteresis in 0.05_f64..0.3,
        noise in prop::collection::vec(-1.0..1.0, 400),
        stable in 5.0..100.0,
        start in 0_u32..300,
    ) {
        // So much that the highest need is within the hysteresis of the lowest.
        let spread = hysteresis / (2.0 + hysteresis);
        let policy = Policy {
            nodes_min: 0,
            nodes_max: 1000,
            target_drain_seconds: 1000.0,
            hysteresis,
            stable_seconds: stable,
            cooldown_seconds: 30.0,
            above: Vec::new(),
            below: Vec::new(),
        };
        let loads: Vec<Demand> = noise.iter().map(|n: &f64| load(mean * (1.0 + n * spread))).collect();
        let mut turned = false;
        let mut nodes = start;
        for (_, wanted) in decisions(&policy, &loads, start) {
            prop_assert!(!(turned && wanted.nodes > nodes), "out again after in: {wanted:?}");
            turned |= wanted.nodes < nodes;
            nodes = wanted.nodes;
        }
        // Settled, and on the right number.
        let least = (mean * (1.0 - spread)).floor();
        let most = (mean * (1.0 + spread) / (1.0 - hysteresis)).ceil() + 1.0;
        prop_assert!((least..=most).contains(&f64::from(nodes)), "{nodes} for {mean}");
    }
}

/// The plain case: 100 encode hours in an hour on nodes of four slots are 25 nodes, at once.
#[test]
fn a_burst_is_answered_at_once_and_its_nodes_stay_until_it_is_done() {
    let policy = Policy {
        nodes_min: 1,
        nodes_max: 100,
        target_drain_seconds: 3600.0,
        hysteresis: 0.1,
        stable_seconds: 300.0,
        cooldown_seconds: 300.0,
        above: Vec::new(),
        below: Vec::new(),
    };
    let at = |seconds: f64, left: f64| Demand {
        now_seconds: seconds,
        backlog_seconds: 360_000.0 * left,
        oldest_seconds: seconds,
        slots_per_node: 4,
        ..load(0.0)
    };
    let mut memory = Memory::new(0.0, 1);
    for poll in 0..600 {
        let seconds = f64::from(poll) * POLL_SECONDS;
        let (wanted, next) = decide(&policy, &at(seconds, 1.0 - seconds / 3600.0), memory);
        memory = next;
        assert_eq!(wanted.nodes, 25, "after {seconds} s");
    }
    // Late work wants more.
    let (wanted, _) = decide(&policy, &at(3000.0, 0.9), memory.clone());
    assert!(wanted.nodes > 100 / 2, "{wanted:?}");
    // The need is told beyond the most: an alert compares them.
    let (wanted, _) = decide(&Policy { nodes_max: 30, ..policy }, &at(3000.0, 0.9), memory);
    assert_eq!(wanted.nodes, 30);
    assert!(wanted.need > 50.0, "{wanted:?}");
}

/// Rules alone: above 5000 tasks 50 nodes, below 1000 tasks 10, between them what is there.
#[test]
fn step_rules_alone_hold_the_number_between_their_thresholds() {
    let policy = Policy {
        nodes_min: 0,
        nodes_max: 100,
        target_drain_seconds: 0.0,
        hysteresis: 0.1,
        stable_seconds: 60.0,
        cooldown_seconds: 60.0,
        above: vec![Step { tasks: 5000, nodes: 50 }],
        below: vec![Step { tasks: 1000, nodes: 10 }],
    };
    let lag = |tasks| Demand { lag_tasks: tasks, unfinished_tasks: 0, ..load(0.0) };
    let waves = [vec![lag(20); 30], vec![lag(6000); 30], vec![lag(3000); 60], vec![lag(500); 30]];
    let made = decisions(&policy, &waves.concat(), 10);
    let nodes: Vec<u32> = made.iter().map(|(_, wanted)| wanted.nodes).collect();
    assert!(nodes[..30].iter().all(|n| *n == 10), "{nodes:?}");
    assert!(nodes[30..120].iter().all(|n| *n == 50), "{nodes:?}");
    let fallen = nodes[120..].iter().position(|n| *n == 10);
    assert_eq!(fallen, Some(12), "after a minute: {nodes:?}");
}
