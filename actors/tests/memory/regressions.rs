//! Faults that runs have found, each by the story that shows it.

use jetreel_domain::delivery::eligibility::Rules;
use jetreel_domain::delivery::hours::Hours;
use jetreel_domain::id::Group;

use super::script::{ATTEMPTS, Cut, Poison, Script};
use super::story::{Outcome, Story};
use super::world::{EPOCH, Fate, Kind, Order};

/// Longer than a lease, milliseconds.
const LONG: u64 = 60_000;

/// Minute of the first hour in which tasks may begin: later than all uploads.
const OPENS_MINUTE: u32 = 7;

/// Attempts without a report that a task has.
const SILENT_MAX: u32 = 8;

fn poisoned(what: &'static str, how: Poison) -> Script {
    let mut script = Script::new(Cut::Clean, false);
    script.poison.insert(what, how);
    script
}

#[test]
fn what_brings_nodes_down_dies_where_all_have_one_name() {
    held(Story {
        namesakes: true,
        nodes: vec![1; 6],
        ..Story::scripted(poisoned("main", Poison::Kill), Vec::new())
    });
}

#[test]
fn what_got_further_is_not_buried_while_the_ledger_cannot_be_read() {
    let mut script = Script::new(Cut::Sequential, false);
    script.poison.insert("main", Poison::Limp);
    script.blinds = Some(ATTEMPTS);
    held(Story::scripted(script, Vec::new()));
}

#[test]
fn who_lost_his_lease_before_he_claims_lets_go() {
    let plain = |before, after| Fate { before, kind: Kind::Plain, after, tie: 0 };
    let refused = Order { call: "swap claim", fate: Fate { kind: Kind::Refused, ..plain(1, 1) } };
    // A first delivery creates the claim unread. Where that is refused, the second delivery reads it.
    for (call, first) in [("read claim", Some(refused)), ("swap claim", None)] {
        for fate in [plain(1, LONG), plain(LONG, 1)] {
            let order = |call, fate| Order { call, fate };
            // Its successor has probed, and is about to write the plan into state.
            let mut orders: Vec<Order> = first.iter().cloned().collect();
            orders.extend([
                order(call, fate),
                order("renew", plain(LONG, 1)),
                order("swap video", plain(1, 1)),
                order("swap video", plain(LONG, 1)),
            ]);
            let outcome = Story::scripted(Script::new(Cut::Clean, false), orders).run();
            holds(&outcome);
            assert_eq!(outcome.starts["probe"], 1, "{call} {fate:?}");
        }
    }
}

#[test]
fn who_cannot_read_the_ledger_under_his_claim_gives_it_up() {
    let mut script = poisoned("main", Poison::Kill);
    script.blinds = Some(SILENT_MAX);
    held(Story::scripted(script, Vec::new()));
}

/// Nothing but the clock wakes the nodes: no task is due before, and no hint comes.
#[test]
fn what_waits_for_its_hours_begins_when_they_do_and_not_before() {
    // Runs begin at 08:00.
    let opens = i64::from(OPENS_MINUTE) * 60 + EPOCH;
    let windows = [format!("08:{OPENS_MINUTE:02}-07:00")];
    let hours = Hours::parse(&windows, "UTC".parse().unwrap()).unwrap().unwrap();
    assert_eq!((hours.is_open(EPOCH), hours.opens(EPOCH)), (false, Some(opens)));
    let groups = Group::ALL.map(|group| (group, hours.clone())).into();
    let rules = Rules { groups, ..Rules::default() };
    for seed in 0..10 {
        let story = Story { rules: rules.clone(), ..Story::calm(seed) };
        let outcome = story.run();
        holds(&outcome);
        assert!(
            outcome.ended >= opens && outcome.ended < opens + 300,
            "{seed}: {}",
            outcome.ended - opens
        );
    }
}

fn held(story: Story) {
    holds(&story.run());
}

fn holds(outcome: &Outcome) {
    assert!(outcome.complaints.is_empty(), "{:#?}", outcome.complaints);
}

#[test]
fn a_letter_stays_that_a_later_worker_has_named_in_state() {
    // The letter is stored, and its answer comes when the lease is lost and another worker has found the letter and recorded the death.
    let fate = |before, after| Fate { before, kind: Kind::Plain, after, tie: 0 };
    let order = |call, fate| Order { call, fate };
    let mut orders = vec![order("bury", fate(1, LONG))];
    // One before each of the two burials, then that of the heartbeat.
    orders.extend([1, 2, LONG].map(|before| order("renew", fate(before, 1))));
    held(Story::scripted(poisoned("first", Poison::Refuse), orders));
}

/// Every publisher sees some of the entries. What they do together needs nobody to look after them.
#[test]
fn nothing_is_left_to_the_reconciler_where_nothing_goes_wrong() {
    for seed in 0..30 {
        let outcome = Story::calm(seed).run();
        holds(&outcome);
        assert_eq!(outcome.repairs, [""; 0], "seed {seed}");
    }
}

/// Where nothing else goes wrong, every task is begun as often as without a change of lanes.
#[test]
fn a_job_that_changes_its_lane_loses_nothing_and_doubles_nothing() {
    let mut changed = 0;
    for seed in 0..30 {
        let mut story = Story::calm(seed);
        // What is begun of an order before another one takes over is chance.
        let torn = story.plots.iter_mut().filter(|plot| plot.script.cut == Cut::Torn);
        torn.for_each(|plot| plot.script.cut = Cut::Clean);
        let mut still = story.clone();
        still.plots.iter_mut().for_each(|plot| plot.wishes.clear());
        changed += story.plots.iter().filter(|plot| !plot.wishes.is_empty()).count();
        let [story, still] = [story, still].map(|story| {
            let mut outcome = story.run();
            holds(&outcome);
            // A source may be probed twice, whatever its lane.
            outcome.starts.remove("probe");
            outcome.starts
        });
        assert_eq!(story, still, "seed {seed}");
    }
    assert!(changed > 20, "{changed}");
}
