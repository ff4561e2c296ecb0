//! Who has its turn, as one node sees it.

use super::*;
use crate::order::ledger::Object;
use crate::order::state::{PlanRef, Status};
use crate::plan::Class;

fn video(number: u128, bulk: u32) -> Video {
    let mut video = Video::receiving(VideoId::from_bits(number), String::new(), Lane::Normal, 0);
    let object = Object { key: "plan".into(), bytes: 1, sha256: String::new() };
    let (class, tiers) = (Class::A, Vec::new());
    let bulk = Some(bulk);
    video.orders[0].status = Status::Encoding;
    video.orders[0].plan =
        Some(PlanRef { object, class, tiers, tasks: 9, chunks: 4, urgent: 0, bulk });
    video
}

const ROW: Row = Row { lane: Lane::Normal, phase: Phase::Bulk };

fn id(number: u128) -> OrderId {
    OrderId::new(VideoId::from_bits(number), 1)
}

fn of(videos: &[Video]) -> Admission {
    let mut admission = Admission::default();
    videos.iter().for_each(|video| admission.enter(video));
    admission
}

#[test]
fn whoever_leaves_makes_room_for_the_next() {
    let videos = [video(1, 4), video(2, 4), video(3, 4)];
    let mut admission = of(&videos);
    assert_eq!(admission.look(4), [id(1), id(2)]);
    assert_eq!(admission.look(4), []);
    assert_eq!([1, 2, 3].map(|n| admission.window(&id(n), ROW)), [4, 4, 0]);
    let mut done = videos[0].clone();
    done.orders[0].status = Status::Publishing;
    admission.enter(&done);
    assert_eq!(admission.look(4), [id(3)]);
    admission.remove(&id(2).video);
    assert_eq!(admission.look(4), []);
    assert_eq!(admission.window(&id(2), ROW), 0);
}

#[test]
fn a_film_that_may_release_a_little_more_waits_for_its_next_result() {
    let mut admission = of(&[video(1, 700)]);
    assert_eq!(admission.look(8), [id(1)]);
    assert_eq!(admission.look(9), []);
    assert_eq!(admission.window(&id(1), ROW), 18);
    assert_eq!(admission.look(18), [id(1)]);
}

#[test]
fn a_lane_without_waiting_tasks_is_looked_after() {
    let mut admission = of(&[video(1, 4), video(2, 4), video(3, 4)]);
    admission.look(4);
    let mine = |order: &OrderId, count: usize| *order == id(2) || count > 1;
    assert_eq!(admission.ask_again(ROW, 3, mine), []);
    assert_eq!(admission.ask_again(ROW, 0, mine), [id(2)]);
    // Nobody released anything: their tasks wait for retries.
    assert_eq!(admission.ask_again(ROW, 0, mine), [id(1), id(2), id(3)]);
    assert_eq!(admission.window(&id(3), ROW), 4);
    for _ in 0..4 {
        assert_eq!(admission.ask_again(ROW, 20, mine), []);
    }
    admission.look(4);
    assert_eq!(admission.window(&id(3), ROW), 0, "the lane is full");
    assert_eq!(admission.ask_again(Row { lane: Lane::High, ..ROW }, 0, mine), [], "nobody waits");
}

#[test]
fn one_node_of_all_releases_an_order() {
    let nodes = ["a-1", "b-1", "c-1"];
    let mut counts = [0; 3];
    for number in 0..300 {
        let mine = |node: &&str| is_among(&id(number), node, nodes.iter().copied(), 1);
        let found: Vec<usize> = (0..3).filter(|index| mine(&nodes[*index])).collect();
        let [one] = found[..] else { panic!("{number}: {found:?}") };
        counts[one] += 1;
    }
    assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    assert!(is_among(&id(1), "a-1", [], 1), "alone");
    let two = nodes.iter().filter(|node| is_among(&id(1), node, nodes.iter().copied(), 2));
    assert_eq!(two.count(), 2, "whoever helps if the first one died");
}

#[test]
fn room_grows_only_while_others_wait_for_it() {
    let all = |_: &OrderId, _: usize| true;
    let mut admission = of(&[video(1, 40)]);
    admission.look(4);
    (0..10).for_each(|_| drop(admission.ask_again(ROW, 0, all)));
    assert_eq!(admission.window(&id(1), ROW), 8, "its last tasks are in hand");
    admission.enter(&video(1, 4));
    (2..5).for_each(|number| admission.enter(&video(number, 4)));
    admission.look(4);
    (0..3).for_each(|_| drop(admission.ask_again(ROW, 0, all)));
    assert_eq!(admission.admitted().len(), 3, "two have room without this");
    (1..5).for_each(|number| admission.remove(&id(number).video));
    admission.look(4);
    admission.enter(&video(5, 400));
    admission.look(4);
    assert_eq!(admission.window(&id(5), ROW), 8, "the room is as before");
}

#[test]
fn what_an_order_does_not_stand_in_line_for_it_may_release() {
    let mut one = video(1, 8);
    let unknown = Admission::default().windows(&one, &one.orders[0]);
    assert_eq!(unknown, Windows { first: usize::MAX, bulk: 0 });
    one.orders[0].plan.as_mut().unwrap().urgent = 3;
    let mut admission = of(&[one.clone()]);
    assert_eq!(admission.look(1), [id(1), id(1)]);
    assert_eq!(admission.windows(&one, &one.orders[0]), Windows { first: 3, bulk: 8 });
    let mut played = one.clone();
    played.learn(1, crate::order::state::Fact::Playable, 1);
    let windows = admission.windows(&played, &played.orders[0]);
    assert_eq!(windows, Windows { first: usize::MAX, bulk: 8 });
}

#[test]
fn of_very_many_uploads_the_first_seconds_leave_half_of_the_slots() {
    let first = Row { phase: Phase::First, ..ROW };
    let crowd = |count: u128| {
        let mut videos: Vec<Video> = (1..=count).map(|number| video(number, 4)).collect();
        let plans = videos.iter_mut().filter_map(|video| video.orders[0].plan.as_mut());
        plans.for_each(|plan| plan.urgent = 2);
        let mut admission = of(&videos);
        admission.look(8);
        (1..=count).map(|number| admission.window(&id(number), first)).sum::<usize>()
    };
    assert_eq!([1, 8, 9, 100].map(crowd), [2, 16, 4, 4]);
}

#[test]
fn what_was_released_of_a_new_order_is_not_released_again() {
    let new = video(1, 4);
    let mut admission = Admission::default();
    assert_eq!(admission.windows_of_new(&new, &new.orders[0]), None, "the line is not known");
    admission.set_ready();
    let windows = admission.windows_of_new(&new, &new.orders[0]).unwrap();
    assert_eq!(windows, Windows { first: usize::MAX, bulk: 4 });
    admission.serve(&new, &new.orders[0], windows);
    admission.enter(&new);
    assert_eq!(admission.look(0), []);
    assert_eq!(admission.windows(&new, &new.orders[0]), windows);
    assert_eq!(admission.windows_of_new(&new, &new.orders[0]), Some(windows), "met before");
    let behind = (2..5).map(|number| video(number, 4)).collect::<Vec<_>>();
    behind.iter().for_each(|video| admission.enter(video));
    assert_eq!(admission.look(0), [id(2)]);
    let late = video(9, 4);
    let windows = admission.windows_of_new(&late, &late.orders[0]).unwrap();
    assert_eq!(windows.bulk, 0, "its turn has not come");
}

#[test]
fn an_order_that_changes_its_lane_is_told_once() {
    let mut one = video(1, 4);
    let mut admission = of(&[one.clone()]);
    admission.look(4);
    assert_eq!(admission.take_other_lane(), BTreeSet::new());
    one.orders[0].lane = Lane::High;
    admission.enter(&one);
    assert_eq!((admission.look(4), admission.lane(&id(1))), (vec![id(1)], Some(Lane::High)));
    assert_eq!(admission.take_other_lane(), BTreeSet::from([id(1)]));
    admission.enter(&one);
    assert_eq!(admission.take_other_lane(), BTreeSet::new());
    one.orders[0].lane = Lane::Low;
    one.orders[0].status = Status::Cancelled;
    admission.enter(&one);
    assert_eq!(admission.take_other_lane(), BTreeSet::new(), "its tasks are acknowledged");
}
