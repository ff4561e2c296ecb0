//! Fault campaign: real processes under faults, and one checker of what was promised. See `make chaos`.
//!
//! If root is available, everything runs in its own network, mount and process namespaces. Scenarios that a machine cannot run are skipped
//! with a message.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod broker;
mod bucket;
mod campaign;
mod cgroup;
mod checker;
mod clip;
mod clock;
mod disk;
mod faults;
mod frames;
mod hands;
#[path = "../it/harness/media.rs"]
#[expect(dead_code, reason = "shared with the integration tests")]
mod media;
mod net;
mod node;
mod proxy;
mod report;
mod signals;
mod stage;
mod step;
mod sweep;
mod tools;
mod uploads;
mod watch;
mod ways;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use futures::StreamExt as _;
use jetreel_actors::crash;

use checker::{Expected, Findings};
use report::Row;
use stage::{RESUME_WITHIN, Stage};
use step::Scenario;

/// Points of the short campaign.
const SMOKE_POINTS: [&str; 4] =
    ["upload-after-announce", "encode-after-claim", "encode-after-entry", "publish-after-complete"];

/// Injects faults into real processes and checks what was promised.
#[derive(Debug, Parser)]
struct Arguments {
    /// The short campaign: a few faults, once each
    #[arg(long)]
    smoke: bool,
    /// Only scenarios whose name contains one of these words, separated by commas; `sweep` is the sweep of crash points
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these crash points
    #[arg(long, value_delimiter = ',')]
    points: Vec<String>,
    /// Begin nothing new after so many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Repeat the campaign until so many uploads were acknowledged, while there is time
    #[arg(long, default_value_t = 1000)]
    uploads: usize,
    /// Scenarios at the same time
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Treat orphans and unfinished uploads as faults: wait until they are swept
    #[arg(long)]
    swept: bool,
    /// File for all results as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Name the scenarios and crash points
    #[arg(long)]
    list: bool,
}

/// Shared by all scenarios.
#[derive(Clone)]
struct Common {
    clip: Bytes,
    frames: u64,
    swept: bool,
    until: Instant,
}

fn main() -> ExitCode {
    frames::must_be_understood();
    let arguments = Arguments::parse();
    if arguments.list {
        campaign::all().for_each(|s| println!("{}: {}", s.name, s.fault));
        crash::POINTS.iter().for_each(|point| println!("{point}"));
        return ExitCode::SUCCESS;
    }
    let Some(clip) = media::made(clip::TINY) else { return ExitCode::SUCCESS };
    net::enter();
    // Also switches the loopback of our own network on.
    if let Err(reason) = net::available() {
        println!("without network places: {reason}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("no runtime").and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                outcome = run(&arguments, std::fs::read(clip)?.into()) => outcome,
                _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            }
        })
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the requested scenarios. Returns whether all guarantees hold.
async fn run(arguments: &Arguments, clip: Bytes) -> anyhow::Result<bool> {
    let started = Instant::now();
    let until = started + Duration::from_secs(60 * arguments.minutes);
    let common = Common { clip, frames: clip::TINY.frames, swept: arguments.swept, until };
    let mut rows = sweep(arguments, &common).await;
    let mut pass = 0;
    loop {
        let done = pass_of(arguments, &common, pass).await;
        let none = done.iter().all(|row| row.runs == 0);
        merge(&mut rows, done);
        pass += 1;
        let acknowledged: usize = rows.iter().map(|row| row.findings.acknowledged).sum();
        let enough = acknowledged >= arguments.uploads || arguments.smoke;
        if enough || none || Instant::now() >= until {
            break;
        }
    }
    println!("\n{}\n", report::table(&rows));
    let complaints = report::complaints(&rows);
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    println!(
        "acknowledged {}, lost {}, duplicated {}, in {} s",
        sum(|row| row.findings.acknowledged),
        sum(|row| row.findings.lost.len()),
        sum(|row| row.findings.duplicated.len()),
        started.elapsed().as_secs()
    );
    if let Some(place) = &arguments.json {
        report::write(&rows, place, started.elapsed())?;
    }
    Ok(rows.iter().all(Row::holds))
}

fn wanted(arguments: &Arguments, name: &str) -> bool {
    arguments.only.is_empty() || arguments.only.iter().any(|word| name.contains(word.as_str()))
}

/// Every scenario once.
async fn pass_of(arguments: &Arguments, common: &Common, pass: u32) -> Vec<Row> {
    let chosen = campaign::all().filter(|scenario| {
        wanted(arguments, scenario.name) && (!arguments.smoke || scenario.smoke)
    });
    let runs = chosen.map(|scenario| async move {
        let mut scenario = *scenario;
        scenario.rounds = if arguments.smoke { 1 } else { scenario.rounds };
        let row = play(&scenario, common).await;
        let resumed = row.resumed.map_or(String::new(), |t| format!(", resumed in {t:.1?}"));
        let result = match &row.skipped {
            Some(reason) => format!("skipped: {reason}"),
            None => format!(
                "{} in {:.0?}{resumed}",
                if row.holds() { "holds" } else { "BROKEN" },
                row.took
            ),
        };
        println!("[{pass}] {}: {result}", scenario.name);
        report::complaints(std::slice::from_ref(&row))
            .iter()
            .for_each(|what| println!("    {what}"));
        row
    });
    futures::stream::iter(runs).buffered(arguments.jobs.max(1)).collect().await
}

async fn play(scenario: &Scenario, common: &Common) -> Row {
    let started = Instant::now();
    let mut row =
        Row { name: scenario.name.to_owned(), fault: scenario.fault.to_owned(), ..Row::default() };
    if let Err(reason) = scenario.spec.available() {
        row.skipped = Some(reason);
        return row;
    }
    if started >= common.until {
        row.skipped = Some("out of time".to_owned());
        return row;
    }
    let mut stage = match Stage::new(scenario, common.clip.clone()).await {
        Ok(stage) => stage,
        Err(error) => {
            row.findings.broken.push(format!("{error:#}"));
            return row;
        }
    };
    let performed = stage.perform(scenario, common.until).await;
    if let Err(error) = &performed {
        row.findings.broken.push(format!("{error:#}"));
        if let Err(error) = stage.clear_up().await {
            row.findings.broken.push(format!("cleared up: {error:#}"));
        }
    }
    let expected = Expected {
        frames: common.frames,
        may_fail: scenario.may_fail,
        may_be_cancelled: false,
        swept: common.swept,
    };
    match checked(&mut stage, expected).await {
        Ok(findings) => {
            let broken = std::mem::replace(&mut row.findings, findings).broken;
            row.findings.broken.extend(broken);
        }
        Err(error) => row.findings.broken.push(format!("{error:#}")),
    }
    row.findings.broken.extend(stage.world.died());
    if !row.findings.holds() {
        for node in &stage.world.nodes {
            eprintln!("--- log of {}\n{}", node.name(), node.log_tail());
        }
    }
    if scenario.quick && stage.resumed.is_some_and(|took| took > RESUME_WITHIN) {
        row.findings.broken.push(format!("resumed after {:?}", stage.resumed));
    }
    row.runs = stage.rounds;
    row.resumed = stage.resumed;
    row.not_taken = stage.world.uploads.not_taken();
    row.took = started.elapsed();
    row
}

/// Looks at everything; where that is expected, once everything had its time to be swept.
async fn checked(stage: &mut Stage, expected: Expected) -> anyhow::Result<Findings> {
    const SWEPT_WITHIN: Duration = Duration::from_secs(90);
    // The store announces nothing: it is listed again until it is clean, or the time is over.
    const LOOK: Duration = Duration::from_secs(3);
    if expected.swept {
        stage.world.sweep_soon().await?;
        let until = Instant::now() + SWEPT_WITHIN;
        while Instant::now() < until {
            let so_far =
                checker::check(&stage.world, Expected { swept: false, ..expected }).await?;
            if so_far.foreign.is_empty() && so_far.stuck == 0 && so_far.left.is_empty() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    checker::check(&stage.world, expected).await
}

/// Ends a node at every crash point.
async fn sweep(arguments: &Arguments, common: &Common) -> Vec<Row> {
    const AT_ONCE: usize = 6;
    if !wanted(arguments, "sweep") {
        return Vec::new();
    }
    let chosen = crash::POINTS.iter().filter(|point| match arguments.points.as_slice() {
        [] => !arguments.smoke || SMOKE_POINTS.contains(point),
        some => some.iter().any(|wanted| wanted == *point),
    });
    let runs = chosen.map(|point| async move {
        let started = Instant::now();
        let mut row = Row { name: format!("sweep {point}"), runs: 1, ..Row::default() };
        match sweep::crash_at(point, common.clip.clone(), common.frames, common.swept).await {
            Ok(findings) => row.findings = findings,
            Err(error) => row.findings.broken.push(format!("{error:#}")),
        }
        row.took = started.elapsed();
        let result = if row.holds() { "holds" } else { "BROKEN" };
        println!("[sweep] {point}: {result} in {:.0?}", row.took);
        report::complaints(std::slice::from_ref(&row))
            .iter()
            .for_each(|what| println!("    {what}"));
        row
    });
    let points: Vec<Row> = futures::stream::iter(runs).buffered(AT_ONCE).collect().await;
    let held = points.iter().filter(|row| row.holds()).count();
    let fault = format!("crash at a named point: {held} of {} hold", points.len());
    let mut all = Row { name: "sweep".to_owned(), fault, ..Row::default() };
    points.into_iter().for_each(|row| add(&mut all, row));
    vec![all]
}

/// Rows of the same fault become one.
fn merge(rows: &mut Vec<Row>, more: Vec<Row>) {
    for row in more {
        match rows.iter_mut().find(|known| known.name == row.name) {
            // What was skipped for lack of time was done before.
            Some(_) if row.skipped.is_some() => {}
            Some(known) => add(known, row),
            None => rows.push(row),
        }
    }
}

fn add(sum: &mut Row, row: Row) {
    let name = &row.name;
    let named = |what: Vec<String>| {
        what.into_iter().map(|what| format!("{name}: {what}")).collect::<Vec<_>>()
    };
    sum.runs += row.runs;
    sum.took += row.took;
    sum.resumed = sum.resumed.max(row.resumed);
    sum.not_taken.0 += row.not_taken.0;
    sum.not_taken.1 += row.not_taken.1;
    let (into, from) = (&mut sum.findings, row.findings);
    into.acknowledged += from.acknowledged;
    into.failed += from.failed;
    into.recovered += from.recovered;
    into.stuck += from.stuck;
    into.foreign.extend(from.foreign);
    into.lost.extend(named(from.lost));
    into.duplicated.extend(named(from.duplicated));
    into.broken.extend(named(from.broken));
}
