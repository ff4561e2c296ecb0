//! How the room is shared.

use super::*;
use crate::order::ledger::Object;
use crate::order::state::PlanRef;
use crate::plan::Class;

fn id(number: u128) -> OrderId {
    OrderId::new(VideoId::from_bits(number), 1)
}

const ROW: Row = Row { lane: Lane::Normal, phase: Phase::Bulk };

fn place(owner: &str, tasks: usize) -> Place {
    let owner = owner.parse().unwrap();
    Place { row: ROW, owner, created: 0, tasks, tail: false }
}

fn line(places: &[Place]) -> Line {
    let mut line = Line::default();
    for (index, place) in places.iter().enumerate() {
        let order = id(index as u128);
        line.replace(&order.video.clone(), vec![(order, place.clone())]);
    }
    line
}

fn windows(places: &[Place], room: usize) -> Vec<usize> {
    let windows = line(places).windows(ROW, room);
    (0..places.len()).map(|n| windows.get(&id(n as u128)).copied().unwrap_or(0)).collect()
}

#[test]
fn the_room_is_twice_the_slots_but_never_tiny() {
    assert_eq!((room(0), room(3), room(100)), (8, 8, 200));
}

#[test]
fn a_lone_film_fills_the_room() {
    assert_eq!(windows(&[place("", 720)], 16), [16]);
}

#[test]
fn of_short_orders_the_first_to_arrive_are_released_whole() {
    let five = place("", 5);
    assert_eq!(windows(&vec![five; 6], 16), [5, 5, 5, 1, 0, 0]);
    let single = place("", 1);
    assert_eq!(windows(&vec![single; 10], 8), [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
}

#[test]
fn what_arrived_first_comes_first() {
    let mut late = place("", 720);
    late.created = 1;
    assert_eq!(windows(&[late, place("", 720)], 16), [0, 16]);
}

#[test]
fn the_tail_of_a_film_makes_room_for_the_next_order() {
    let tail = Place { tail: true, ..place("", 720) };
    assert_eq!(windows(&[tail, place("", 100)], 16), [720, 12]);
}

#[test]
fn owners_share_the_room_equally_and_use_what_another_leaves() {
    let (a, b) = (place("a", 720), place("b", 720));
    assert_eq!(windows(&[a.clone(), a.clone(), b.clone()], 16), [8, 0, 8]);
    assert_eq!(windows(&[a.clone(), place("b", 2)], 16), [14, 2]);
    let c = place("c", 720);
    assert_eq!(windows(&[a.clone(), b.clone(), c], 16), [6, 5, 5]);
    let many: Vec<Place> = (0..9).map(|n| place(&format!("o{n}"), 720)).collect();
    assert_eq!(windows(&many, 16), [4, 4, 4, 4, 0, 0, 0, 0, 0]);
    let short: Vec<Place> = (0..9).map(|n| place(&format!("o{n}"), 4)).collect();
    assert_eq!(windows(&short, 16), [4, 4, 4, 4, 0, 0, 0, 0, 0]);
    let tiny: Vec<Place> = (0..9).map(|n| place(&format!("o{n}"), 2)).collect();
    assert_eq!(windows(&tiny, 16), [2, 2, 2, 2, 2, 2, 2, 2, 0]);
}

#[test]
fn whoever_waits_somebody_has_a_turn() {
    for room in 1..40 {
        for owners in 1..20_usize {
            let bulk = |n: usize| 1 + n * 7 % 50;
            let places: Vec<Place> =
                (0..40).map(|n| place(&format!("o{}", n % owners), bulk(n))).collect();
            let windows = windows(&places, room);
            assert!(windows[0] > 0, "{room} {owners} {windows:?}");
            let wanted: usize = windows.iter().sum();
            assert!(wanted <= room, "{room} {owners} {windows:?}");
        }
    }
}

#[test]
fn only_orders_that_encode_stand_in_line() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
    let object = Object { key: "plan".into(), bytes: 1, sha256: String::new() };
    let (class, tiers, bulk) = (Class::A, Vec::new(), Some(3));
    let plan = PlanRef { object, class, tiers, tasks: 9, chunks: 4, urgent: 2, bulk };
    for status in Status::ALL {
        video.orders[0].status = status;
        video.orders[0].plan = Some(plan.clone());
        let tasks = [Phase::First, Phase::Bulk]
            .map(|phase| Place::of(&video, &video.orders[0], phase).map(|place| place.tasks));
        let encodes = status == Status::Encoding;
        assert_eq!(tasks, [2, 3].map(|tasks| encodes.then_some(tasks)), "{status}");
    }
}

#[test]
fn a_state_is_entered_in_place_of_the_last_one() {
    let row = |lane, phase| Row { lane, phase };
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
    let object = Object { key: "plan".into(), bytes: 1, sha256: String::new() };
    let (class, tiers, bulk) = (Class::A, Vec::new(), Some(3));
    video.orders[0].status = Status::Encoding;
    video.orders[0].plan =
        Some(PlanRef { object, class, tiers, tasks: 9, chunks: 4, urgent: 2, bulk });
    let mut line = Line::default();
    let (first, bulk) = (row(Lane::High, Phase::First), row(Lane::High, Phase::Bulk));
    assert_eq!(line.enter(&video), BTreeSet::from([first, bulk]));
    assert_eq!(line.enter(&video), BTreeSet::new(), "nothing changed");
    video.learn(1, Fact::Playable, 9);
    assert_eq!(line.enter(&video), BTreeSet::from([first]));
    video.orders[0].lane = Lane::Low;
    let low = row(Lane::Low, Phase::Bulk);
    assert_eq!(line.enter(&video), BTreeSet::from([bulk, low]));
    assert_eq!((line.length(bulk), line.length(low)), (0, 1));
    video.orders[0].plan.as_mut().unwrap().bulk = None;
    assert_eq!(line.enter(&video), BTreeSet::from([low]));
    let place = line.place(&video.order_id(1), Phase::Bulk);
    assert_eq!(place.map(|place| place.tasks), Some(9), "of an older version");
    video.orders[0].plan.as_mut().unwrap().tiers = vec!["720p".into(), "360p".into()];
    video.learn(1, Fact::Tier("720p".into()), 9);
    assert_eq!(line.enter(&video), BTreeSet::new());
    let mut ready = video.clone();
    ready.learn(1, Fact::Tier("360p".into()), 9);
    assert_eq!(line.clone().enter(&ready), BTreeSet::from([low]), "its bulk is done");
    video.orders[0].superseded = true;
    assert_eq!(line.enter(&video), BTreeSet::from([low]));
    assert_eq!(line.remove(&video.id), BTreeSet::new());
}

#[test]
fn the_standing_of_an_order_counts_the_earlier_ones_of_all_owners() {
    let mut line = line(&[place("a", 5), place("b", 5), place("a", 5), place("c", 5)]);
    let before = |line: &Line, n| line.standing(&id(n)).map(|standing| standing.before);
    assert_eq!(
        (0..5).map(|n| before(&line, n)).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2), Some(3), None]
    );
    line.remove(&id(1).video);
    assert_eq!(before(&line, 3), Some(2));
    let urgent = Place { row: Row { phase: Phase::First, ..ROW }, ..place("a", 2) };
    line.replace(&id(3).video, vec![(id(3), urgent), (id(3), place("c", 5))]);
    let standing = line.standing(&id(3)).unwrap();
    assert_eq!((standing.row.phase, standing.before), (Phase::First, 0));
    let high = Place { row: Row { lane: Lane::High, ..ROW }, ..place("a", 5) };
    line.replace(&id(2).video, vec![(id(2), high)]);
    assert_eq!(line.standing(&id(2)).map(|s| (s.row.lane, s.before)), Some((Lane::High, 0)));
}
