//! The stages on a broker in memory: thousands of orders in which things can happen, each from a seed.
//!
//! `JETREEL_SEEDS=5000 cargo test -p jetreel-actors --test memory` tries more seeds; `JETREEL_STOP=1` ends with the first that
//! fails. `JETREEL_SEED=17` replays one, and with `JETREEL_TRACE=1` it tells its story.

mod broker;
mod checker;
mod codec;
mod letters;
mod people;
mod port;
mod queues;
mod regressions;
mod rules;
mod schedule;
mod script;
mod server;
mod store;
mod story;
mod stream;
mod survey;
mod wishes;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use story::{Outcome, Story};

/// Seeds of an ordinary test run: some 15 s of CPU.
const SEEDS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn explain(seed: u64, outcome: &Outcome) -> String {
    let command = format!(
        "JETREEL_TRACE=1 JETREEL_SEED={seed} cargo test -p jetreel-actors --test memory seeds"
    );
    format!("seed {seed}: {}\n  {command} -- --nocapture", outcome.complaints.join("\n  "))
}

#[test]
fn seeds() {
    let range = match number("JETREEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("JETREEL_FROM").unwrap_or(0);
            from..from + number("JETREEL_SEEDS").unwrap_or(SEEDS)
        }
    };
    let (next, started) = (AtomicU64::new(range.start), Instant::now());
    let (steps, choices) = (AtomicU64::new(0), AtomicU64::new(0));
    let stops = number("JETREEL_STOP").is_some();
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.end {
                return failed;
            }
            let outcome = Story::of(seed).run();
            steps.fetch_add(outcome.told.steps, Ordering::Relaxed);
            choices.fetch_add(outcome.told.choices, Ordering::Relaxed);
            if !outcome.complaints.is_empty() {
                let explained = explain(seed, &outcome);
                // At once: a long run may be broken off.
                eprintln!("{explained}");
                failed.push(explained);
                if stops {
                    next.fetch_max(range.end, Ordering::Relaxed);
                }
            }
        }
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("a run that ends")).collect()
    });
    let (seconds, steps, choices) =
        (started.elapsed().as_secs_f64(), steps.into_inner(), choices.into_inner());
    let count = range.end - range.start;
    let rate = |count: u64| count as f64 / seconds;
    eprintln!(
        "{count} seeds, {steps} steps, {choices} of them interleavings, in {seconds:.1} s: {:.0} runs/s, {:.0} interleavings/s, {} failed",
        rate(count),
        rate(choices),
        failed.len()
    );
    assert!(failed.is_empty(), "{} seeds failed, see above", failed.len());
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in 0..4 {
        let [one, other] = [Story::of(seed).run(), Story::of(seed).run()];
        assert_eq!((one.told, one.digest), (other.told, other.digest), "seed {seed}");
    }
}
