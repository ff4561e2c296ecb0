//! Large clusters: how much of their time is work.

use std::sync::Arc;

use crate::cluster::model::{Cluster, Setup};
use crate::cluster::report::Report;
use crate::cluster::work::{Job, Work};

fn run(nodes: usize, jobs: Vec<Job>, what: &str) -> (f64, Report) {
    let report = Cluster::run(Setup::new(nodes, 1), jobs);
    let efficiency = report.efficiency(nodes);
    println!("{what} on {nodes} nodes: {efficiency:.3}, {} s", report.end / 1000);
    (efficiency, report)
}

fn film() -> Vec<Job> {
    vec![Job::new(0, &Arc::new(Work::video(7200)))]
}

fn shorts() -> Vec<Job> {
    let work = Arc::new(Work::video(60));
    (0..200).map(|index| Job::new(index * 10, &work)).collect()
}

fn both() -> Vec<Job> {
    let mut jobs = film();
    jobs.extend(shorts());
    jobs
}

#[test]
fn a_film_and_many_short_videos_keep_sixty_four_nodes_busy() {
    for (jobs, what) in [(film(), "a film"), (shorts(), "200 short videos"), (both(), "both")] {
        let (efficiency, _) = run(64, jobs, what);
        assert!(efficiency >= 0.8, "{what}: {efficiency}");
    }
}

/// One task of audio takes as long as the pictures of a two-hour film on a hundred nodes, so more nodes end it no earlier.
#[test]
fn many_nodes_are_bound_by_the_longest_task_alone() {
    let film_alone = Work::video(7200);
    let audio = film_alone.0.iter().map(|timed| timed.takes).max().unwrap();
    let (_, report) = run(256, film(), "a film");
    assert!(report.end < audio + 20_000, "{} ms, its audio {audio} ms", report.end);
    let (_, report) = run(256, shorts(), "200 short videos");
    let least = Work::video(60).takes() * 200 / 256;
    assert!(report.end < least + 20_000, "{} ms, {least} ms of work", report.end);
    let (_, report) = run(256, both(), "both");
    let least = (Work::video(60).takes() * 200 + film_alone.takes()) / 256;
    assert!(report.end < least.max(audio) + 20_000, "{} ms, {least} ms of work", report.end);
}
