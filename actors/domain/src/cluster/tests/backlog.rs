//! More is uploaded than the cluster encodes.

use std::sync::Arc;

use crate::cluster::clock::Rng;
use crate::cluster::model::{Cluster, Setup};
use crate::cluster::work::{Job, Work};
use crate::order::lane::Lane;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

fn video(seconds: u64) -> Arc<Work> {
    Arc::new(Work::video(seconds))
}

fn varied(count: u64, seconds: u64, at: impl Fn(u64) -> u64) -> Vec<Job> {
    let mut rng = Rng::new(7);
    let work = |rng: &mut Rng| Arc::new(Work::video(seconds).spread(0.3, rng));
    (0..count).map(|index| Job::new(at(index), &work(&mut rng))).collect()
}

fn work_of(jobs: &[Job]) -> u64 {
    jobs.iter().map(|job| job.work.takes()).sum()
}

#[test]
fn of_five_hundred_uploads_at_once_one_after_the_other_is_finished() {
    let setup = Setup::new(4, 2);
    let jobs = varied(500, 60, |index| index * 10);
    let least = work_of(&jobs) / 8;
    let report = Cluster::run(setup, jobs);
    let end = report.end;
    println!(
        "500 at once: {} s, work {} s, queue {}, first completed after {} s, overtaken {}, {} evaluations, asked {}",
        end / SECOND,
        least / SECOND,
        report.deepest,
        report.completions()[0] / SECOND,
        report.overtaken_most(),
        report.evaluations,
        report.asked_again
    );
    assert!(end < least * 103 / 100, "{end} ms for {least} ms of work");
    // Until all can be played, half of the slots work on first seconds. After that completions are spread evenly.
    let from = end / 5;
    let before = report.completed_within(0, from);
    assert!(before >= 500 / 5 / 2, "{before} in the first fifth of the time");
    let tenth = (end - from) / 10;
    let all = report.completed_within(from, end + 1);
    for part in 0..10 {
        let here = report.completed_within(from + part * tenth, from + (part + 1) * tenth);
        assert!((all * 8 / 100..=all * 12 / 100).contains(&here), "{here} of {all} in part {part}");
    }
    // No more than are in hand at once.
    assert!(report.overtaken_most() <= 8, "{} overtook one", report.overtaken_most());
    assert!(report.deepest <= 3 * 16, "{} tasks were queued", report.deepest);
    println!("all playable after {} s", report.playable_latest() / SECOND);
    assert!(report.playable_latest() < end / 4);
}

#[test]
fn at_twice_the_capacity_videos_are_finished_at_nearly_full_speed() {
    let setup = Setup::new(8, 2);
    let takes = Work::video(120).takes();
    // Milliseconds between two uploads at twice the capacity of 16 slots.
    let pause = takes / 16 / 2;
    let jobs = varied(5 * MINUTE / pause, 120, |index| index * pause);
    let report = Cluster::run(setup, jobs);
    let capacity = |from: u64, to: u64| (to - from) as f64 * 16.0 / takes as f64;
    for minute in 2..5 {
        let (from, to) = (minute * MINUTE, (minute + 1) * MINUTE);
        let share = report.completed_within(from, to) as f64 / capacity(from, to);
        println!("minute {minute}: {share:.2} of the capacity");
    }
    let (from, to) = (MINUTE, 5 * MINUTE);
    let share = report.completed_within(from, to) as f64 / capacity(from, to);
    println!(
        "twice the capacity: {share:.3}, playable after {} ms, overtaken {}",
        report.playable_latest(),
        report.overtaken_most()
    );
    assert!(share >= 0.9, "{share}");
    assert!(report.playable_latest() <= 10 * SECOND, "{}", report.playable_latest());
    assert!(report.overtaken_most() <= 8, "{}", report.overtaken_most());
}

#[test]
fn an_owners_thousand_videos_delay_anothers_one_by_its_lone_time_at_most() {
    let mut waits = Vec::new();
    for (seconds, at) in [(20, 0), (20, 10 * MINUTE), (60, 10 * MINUTE), (600, 15 * MINUTE)] {
        let own = || Job { owner: "b".into(), ..Job::new(at, &video(seconds)) };
        let alone = Cluster::run(Setup::new(4, 2), vec![own()]).told[0].took();
        let mut jobs = varied(1000, 60, |index| index);
        jobs.iter_mut().for_each(|job| job.owner = "a".into());
        jobs.push(own());
        let report = Cluster::run(Setup::new(4, 2), jobs);
        let beside = report.told[1000].took();
        println!("{seconds} s of video: alone {alone} ms, beside a thousand {beside} ms");
        waits.push((seconds, beside, alone));
    }
    let late = |beside: u64, alone: u64| beside - alone;
    assert!(waits.iter().all(|(_, beside, alone)| late(*beside, *alone) <= 2 * alone), "{waits:?}");
}

#[test]
fn owners_with_long_films_share_the_slots() {
    let film = |owner: &str| Job { owner: owner.into(), ..Job::new(0, &video(3600)) };
    let short = Job { owner: "c".into(), ..Job::new(MINUTE, &video(30)) };
    let jobs = vec![film("a"), film("a"), film("b"), short];
    let report = Cluster::run(Setup::new(2, 2), jobs);
    let [first, second, other, short] =
        [0, 1, 2, 3].map(|index: usize| report.told[index].completed.unwrap());
    assert!(short < 5 * MINUTE, "{short}");
    assert!(first < second && other < second, "{first} {second} {other}");
    let apart = first.abs_diff(other) as f64 / first as f64;
    assert!(apart < 0.1, "{first} {other}");
}

#[test]
fn a_backlog_delays_what_is_urgent_by_the_rest_of_a_task() {
    let mut jobs = varied(1000, 60, |index| index);
    jobs.push(Job { lane: Lane::High, ..Job::new(5 * MINUTE, &video(60)) });
    jobs.push(Job { lane: Lane::Low, ..Job::new(5 * MINUTE, &video(60)) });
    let report = Cluster::run(Setup::new(4, 2), jobs);
    let high = &report.told[1000];
    let waited = high.started.unwrap() - high.at;
    let longest = 13 * SECOND + 400;
    println!("high waited {waited} ms and took {} ms", high.took());
    assert!(waited <= longest, "{waited}");
    // The first seconds of a thousand videos take five minutes, its own a share of the slots.
    let low = &report.told[1001];
    println!("low took {} s", low.took() / SECOND);
    assert!(low.took() < report.end / 8, "{} of {}", low.took(), report.end);
}
