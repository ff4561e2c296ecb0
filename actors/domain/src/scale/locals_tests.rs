//! Tests of the node processes on the scaler's machine.

use super::*;

const LIMIT: Duration = Duration::from_secs(35);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_wanted_number_is_kept_within_its_bounds() {
    let bounds = Bounds { min: 1, max: 3 };
    assert_eq!([0, 1, 2, 3, 9].map(|nodes| bounds.of_wanted(nodes)), [1, 1, 2, 3, 3]);
}

#[test]
fn processes_start_by_number_and_the_last_is_drained_first() {
    let mut locals = Locals::new(3, LIMIT);
    assert_eq!(locals.act(2, at(0)), [Act::Start(1), Act::Start(2)]);
    assert_eq!(locals.act(2, at(1)), []);
    assert_eq!(locals.act(9, at(2)), [Act::Start(3)], "never more than the maximum");
    assert_eq!(locals.act(1, at(3)), [Act::Drain(3), Act::Drain(2)]);
    assert_eq!(locals.count(), Count { running: 1, draining: 2, down: 0 });
    assert_eq!(locals.act(3, at(4)), [], "all numbers are in use until a drain has ended");
    locals.ended(3, at(5));
    assert_eq!(locals.act(3, at(5)), [Act::Start(3)]);
    locals.ended(2, at(6));
    assert_eq!(locals.act(3, at(6)), [Act::Start(2)]);
}

#[test]
fn a_process_is_killed_only_when_its_drain_had_its_time_and_only_once() {
    let mut locals = Locals::new(1, LIMIT);
    locals.act(1, at(0));
    assert_eq!(locals.act(0, at(10)), [Act::Drain(1)]);
    assert_eq!(locals.wakes(), Some(at(45)));
    assert_eq!(locals.act(0, at(44)), []);
    assert_eq!(locals.act(0, at(45)), [Act::Kill(1)]);
    assert_eq!(locals.act(0, at(60)), []);
    assert_eq!(locals.wakes(), None);
    assert!(!locals.is_empty(), "until it has ended");
    locals.ended(1, at(61));
    assert!(locals.is_empty());
}

#[test]
fn a_process_that_died_is_started_again_after_a_delay_that_grows() {
    let mut locals = Locals::new(1, LIMIT);
    locals.act(1, at(0));
    let mut now = at(0);
    for delay in [1, 2, 4, 8, 16, 32, 60, 60] {
        locals.ended(1, now);
        assert_eq!(locals.act(1, now), [], "it waits");
        now += at(delay);
        assert_eq!(locals.wakes(), Some(now));
        assert_eq!(locals.act(1, now), [Act::Start(1)]);
    }
    locals.ended(1, now + STEADY);
    assert_eq!(locals.wakes(), Some(now + STEADY + DELAY_MIN), "it had worked for a while");
}

#[test]
fn a_process_that_is_down_is_the_first_to_go() {
    let mut locals = Locals::new(3, LIMIT);
    locals.act(3, at(0));
    locals.ended(1, at(1));
    assert_eq!(locals.act(2, at(1)), [], "nothing is drained");
    assert_eq!(locals.count(), Count { running: 2, draining: 0, down: 0 });
    assert_eq!(locals.act(0, at(2)), [Act::Drain(3), Act::Drain(2)]);
    assert_eq!(locals.draining().collect::<Vec<_>>(), [2, 3]);
}
