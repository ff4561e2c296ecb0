//! Faults that runs have found, each by the story that shows it.

use super::script::{Cut, Poison, Script};
use super::story::Story;
use super::world::{Fate, Kind, Order};

/// Longer than a lease, milliseconds.
const LONG: u64 = 60_000;

fn poisoned(what: &'static str, how: Poison) -> Script {
    let mut script = Script::new(Cut::Clean, false);
    script.poison.insert(what, how);
    script
}

fn held(story: Story) {
    let outcome = story.run();
    assert!(outcome.complaints.is_empty(), "{:#?}", outcome.complaints);
}

#[test]
fn a_letter_stays_that_a_later_worker_has_named_in_state() {
    // The letter is stored, and its answer comes when another worker has found the letter and recorded the death.
    let fate = Fate { before: 1, kind: Kind::Plain, after: LONG, tie: 0 };
    let slow = Order { call: "bury", fate };
    held(Story::scripted(poisoned("first", Poison::Refuse), vec![slow]));
}
