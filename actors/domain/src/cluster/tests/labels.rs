//! Tasks that few nodes can do, or none, do not hold up the others.

use std::sync::Arc;

use crate::cluster::model::{Cluster, Setup};
use crate::cluster::report::Report;
use crate::cluster::work::{Job, Work};

const SECOND: u64 = 1000;
const LAZY: usize = 60;
const VIDEOS: usize = 200;

/// Lazy tiers of films, then a backlog of videos that every node can encode. Ten nodes, of which some can make the lazy tiers from then on.
fn run(able: usize, from: u64) -> Report {
    let (lazy, video) = (Arc::new(Work::lazy(20)), Arc::new(Work::video(60)));
    let mut jobs: Vec<Job> = (0..LAZY as u64).map(|index| Job::new(index, &lazy)).collect();
    jobs.extend((0..VIDEOS as u64).map(|index| Job::new(SECOND + index, &video)));
    Cluster::run(Setup { able: Some((able, from)), ..Setup::new(10, 4) }, jobs)
}

/// When the last video was completed, and how long its work alone takes the other nodes.
fn last_video(report: &Report, slots: u64) -> (u64, u64) {
    let last = report.told[LAZY..].iter().filter_map(|told| told.completed).max();
    let work = Work::video(60).takes() * VIDEOS as u64 / slots;
    let last = last.expect("completed videos");
    println!("the last of {VIDEOS} videos: {} s, work {} s", last / SECOND, work / SECOND);
    (last, work)
}

#[test]
fn tasks_for_one_node_of_ten_do_not_hold_up_the_others() {
    let report = run(1, 0);
    let (last, work) = last_video(&report, 36);
    assert!(last < work * 13 / 10, "{last} ms for {work} ms of work");
    println!("at most {} tasks of a row waited", report.deepest);
}

#[test]
fn tasks_that_no_node_can_do_hold_up_nobody_and_are_done_when_one_can() {
    let from = 3600 * SECOND;
    let report = run(2, from);
    let (last, work) = last_video(&report, 40);
    assert!(last < work * 13 / 10, "{last} ms for {work} ms of work");
    let lazy = report.told[..LAZY].iter().filter_map(|told| told.completed).max().unwrap();
    let takes = Work::lazy(20).takes() * LAZY as u64 / 8;
    assert!(lazy > from && lazy < from + takes * 12 / 10, "{lazy} ms, work {takes} ms");
}
