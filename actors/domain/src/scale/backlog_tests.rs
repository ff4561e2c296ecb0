//! Cases of the backlog.

use super::*;
use crate::order::ledger::Object;
use crate::order::state::PlanRef;
use crate::plan::Class;

fn id(bits: u128) -> VideoId {
    VideoId::from_bits(bits)
}

fn shares(main: (u32, f64), top: (u32, f64)) -> Shares {
    let share = |(tasks, seconds)| format!(r#"{{"tasks":{tasks},"seconds":{seconds}}}"#);
    let text = format!(r#"{{"main":{},"top":{}}}"#, share(main), share(top));
    serde_json::from_str(&text).unwrap()
}

fn video(bits: u128, lane: Lane, created: i64) -> Video {
    let mut video = Video::receiving(id(bits), String::new(), lane, created);
    video.advance(1, Status::Queued, created).unwrap();
    video
}

fn planned(bits: u128, lane: Lane, created: i64) -> Video {
    let mut video = video(bits, lane, created);
    video.advance(1, Status::Encoding, created).unwrap();
    let object = Object { key: "plan".to_owned(), bytes: 1, sha256: "0".repeat(64) };
    let (class, tiers) = (Class::A, vec!["720p".to_owned()]);
    let plan = PlanRef { object, class, tiers, tasks: 6, chunks: 4, urgent: 0, bulk: None };
    video.orders[0].plan = Some(plan);
    video.orders[0].work = shares((4, 40.0), (2, 100.0));
    video
}

fn done(bits: u128, group: Group, index: u32, wall_seconds: f64) -> Done {
    let (order, task) = (OrderId::new(id(bits), 1), TaskId::new(group, index));
    Done { order, task, wall_seconds }
}

fn of(backlog: &Backlog, lane: Lane, group: Group) -> (u64, f64) {
    let work = backlog.work();
    let own = work.iter().find(|work| (work.lane, work.group) == (lane, group)).unwrap();
    (own.tasks, own.seconds)
}

#[test]
fn what_is_planned_and_not_in_the_ledger_is_backlog() {
    let mut backlog = Backlog::default();
    backlog.enter(&planned(1, Lane::Normal, 100));
    backlog.enter(&planned(2, Lane::Low, 50));
    assert_eq!(of(&backlog, Lane::Normal, Group::Main), (4, 40.0));
    backlog.finish(done(1, Group::Main, 0, 5.0));
    backlog.finish(done(1, Group::Main, 0, 5.0));
    backlog.finish(done(1, Group::Top, 1, 5.0));
    backlog.settle();
    assert_eq!(of(&backlog, Lane::Normal, Group::Main), (3, 30.0));
    assert_eq!(of(&backlog, Lane::Normal, Group::Top), (1, 50.0));
    assert_eq!(of(&backlog, Lane::Low, Group::Main), (4, 40.0));
    assert_eq!(of(&backlog, Lane::High, Group::Main), (0, 0.0));
    assert_eq!(backlog.oldest(), [(Lane::Normal, 100), (Lane::Low, 50)].into());
    // One task of 10 and one of 50 encode seconds took 5 seconds each.
    assert!((backlog.speed() - 6.0).abs() < 0.2, "{}", backlog.speed());
}

#[test]
fn a_closed_order_is_forgotten_with_its_entries() {
    let mut backlog = Backlog::default();
    backlog.finish(done(1, Group::Main, 0, 5.0));
    backlog.enter(&planned(1, Lane::Normal, 100));
    backlog.settle();
    let mut closed = planned(1, Lane::Normal, 100);
    closed.advance(1, Status::Cancelled, 200).unwrap();
    backlog.enter(&closed);
    backlog.settle();
    assert_eq!((backlog.oldest().len(), backlog.finished.len()), (0, 0));
    backlog.enter(&planned(2, Lane::Normal, 100));
    backlog.finish(done(2, Group::Main, 0, 5.0));
    backlog.remove(&id(2));
    backlog.settle();
    assert_eq!((backlog.open.len(), backlog.finished.len()), (0, 0));
}

#[test]
fn a_failed_order_has_no_work_until_it_is_replayed_and_keeps_its_entries() {
    let mut backlog = Backlog::default();
    let encoding = planned(1, Lane::Normal, 100);
    backlog.enter(&encoding);
    backlog.finish(done(1, Group::Main, 0, 5.0));
    let mut failed = encoding.clone();
    failed.orders[0].status = Status::Failed;
    backlog.enter(&failed);
    backlog.settle();
    assert_eq!(of(&backlog, Lane::Normal, Group::Main), (0, 0.0));
    assert_eq!(backlog.waiting()[&Lane::Normal], 0);
    backlog.enter(&encoding);
    backlog.settle();
    assert_eq!(of(&backlog, Lane::Normal, Group::Main), (3, 30.0));
}

#[test]
fn a_video_waits_from_its_upload_to_its_first_tier() {
    let mut backlog = Backlog::default();
    backlog.enter(&Video::receiving(id(3), String::new(), Lane::High, 0));
    assert_eq!(backlog.waiting()[&Lane::High], 0, "its upload is arriving");
    backlog.enter(&video(3, Lane::High, 0));
    assert_eq!(backlog.waiting()[&Lane::High], 1);
    let mut ready = planned(3, Lane::High, 0);
    backlog.enter(&ready);
    assert_eq!(backlog.waiting()[&Lane::High], 1);
    ready.learn(1, Fact::Tier("720p".to_owned()), 9);
    backlog.enter(&ready);
    assert_eq!(backlog.waiting(), [(Lane::High, 0), (Lane::Normal, 0), (Lane::Low, 0)].into());
}

#[test]
fn work_arrives_once() {
    let mut backlog = Backlog::default();
    backlog.enter(&video(1, Lane::Normal, 0));
    assert_eq!(backlog.take_arrived(), 0.0);
    backlog.enter(&planned(1, Lane::Normal, 0));
    backlog.enter(&planned(1, Lane::Normal, 0));
    assert_eq!(backlog.take_arrived(), 140.0);
    assert_eq!(backlog.take_arrived(), 0.0);
}

#[test]
fn an_order_of_an_older_version_counts_by_its_number_of_tasks() {
    let mut backlog = Backlog::default();
    let mut old = planned(1, Lane::Normal, 0);
    old.orders[0].work = Shares::default();
    backlog.enter(&old);
    assert_eq!(of(&backlog, Lane::Normal, Group::Main), (6, 120.0));
    backlog.finish(done(1, Group::Package, 0, 0.0));
    backlog.settle();
    assert_eq!(of(&backlog, Lane::Normal, Group::Main), (5, 100.0));
}
