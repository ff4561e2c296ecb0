//! Faults that runs have found, each by the story that shows it.

use super::script::{ATTEMPTS, Cut, Poison, Script};
use super::story::Story;
use super::world::{Fate, Kind, Order};

/// Longer than a lease, milliseconds.
const LONG: u64 = 60_000;

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

fn held(story: Story) {
    let outcome = story.run();
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
