//! `jetreel dlq`: lists, explains, replays and discards dead letters.

mod explain;

use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use comfy_table::{Table, presets};
use jetreel_actors::deadletter::{Action, DlqService, Fate, Handled, Line};
use jetreel_actors::ports::Store;
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::delivery::selection::Selection;
use jetreel_domain::id::{OrderId, VideoId};
use serde_json::json;

use super::exit::{Exit, told};
use super::local::{self, Place};
use super::output;
use crate::http::rfc3339;
use crate::settings::{Scheme, Settings};
use crate::store::{OpenDalStore, StoreOptions};

/// Letters in memory at a time.
const PAGE: usize = 64;

/// Commands about dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List letters, oldest first
    Ls(List),
    /// Show one letter: why it died, its attempts, advice, and commands that replay it
    Show(Show),
    /// Queue letters again; finished work is not repeated
    Replay(Selected),
    /// Remove letters for good
    Discard(Selected),
}

/// Filter for letters.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filters {
    /// Letters of this video
    #[arg(long, value_name = "VIDEO")]
    video: Option<VideoId>,
    /// Letters of this job
    #[arg(long, value_name = "JOB")]
    job: Option<OrderId>,
    /// Letters with this failure code
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Letters of this stage: ingest, encode or publish
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
}

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Sequence of the letter, as `dlq ls` lists it
    seq: u64,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `replay` and `discard`.
#[derive(Debug, clap::Args)]
pub(super) struct Selected {
    /// Sequences of letters, as `dlq ls` lists them
    seqs: Vec<u64>,
    #[command(flatten)]
    filters: Filters,
    /// Every letter
    #[arg(long)]
    all: bool,
    /// Only list the letters that would be affected
    #[arg(long)]
    dry_run: bool,
    /// At most this many per second [default: as fast as the broker accepts them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: Option<u32>,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(command: Command, settings: Settings) -> anyhow::Result<Exit> {
    match command {
        Command::Ls(arguments) => {
            let service = service(arguments.place, settings).await?;
            list(&service, &arguments.filters.selection(), arguments.json).await
        }
        Command::Show(arguments) => {
            let service = service(arguments.place, settings).await?;
            let found = service.inspect(arguments.seq).await?;
            let found = found.ok_or_else(|| absent(arguments.seq))?;
            if arguments.json {
                output::json(&found)?;
            } else {
                output::text(&explain::text(&found));
            }
            Ok(Exit::Done)
        }
        Command::Replay(arguments) => many(Action::Replay, arguments, settings).await,
        Command::Discard(arguments) => many(Action::Discard, arguments, settings).await,
    }
}

impl Filters {
    fn selection(&self) -> Selection {
        Selection {
            video: self.video.clone(),
            job: self.job.as_ref().map(ToString::to_string),
            reason: self.reason.clone(),
            stage: self.stage.clone(),
        }
    }
}

/// The broker of the settings or of a running `jetreel dev`, with its store if there is one.
async fn service(place: Place, settings: Settings) -> anyhow::Result<DlqService> {
    let settings = place.applied_to(settings);
    let bus = local::connect(&settings).await?;
    Ok(DlqService { broker: bus.clone(), letters: bus, store: store(&settings) })
}

/// The store, only if it exists: listing letters must not create folders.
fn store(settings: &Settings) -> Option<Arc<dyn Store>> {
    let absent = match settings.store.scheme {
        Scheme::Fs => !std::path::Path::new(&settings.store.root).is_dir(),
        Scheme::S3 => false,
    };
    if absent {
        return None;
    }
    match OpenDalStore::open(&StoreOptions::from(&settings.store)) {
        Ok(store) => Some(Arc::new(store)),
        Err(failure) => {
            tracing::warn!(%failure, "the store cannot be opened, so letters are shown without their source");
            None
        }
    }
}

async fn list(service: &DlqService, wanted: &Selection, json: bool) -> anyhow::Result<Exit> {
    let lines = lines(service, wanted).await?;
    if json {
        output::json(&json!({ "letters": lines }))?;
    } else if lines.is_empty() {
        output::note("no dead letters");
    } else {
        output::text(&table(&lines));
    }
    Ok(Exit::Done)
}

/// All letters that match, without their large fields.
async fn lines(service: &DlqService, wanted: &Selection) -> anyhow::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    loop {
        let after = lines.last().map_or(0, |line| line.seq);
        let page = service.select(wanted, after, PAGE).await?;
        lines.extend(page.iter().map(Line::from));
        if page.len() < PAGE {
            return Ok(lines);
        }
    }
}

fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["seq", "died", "stage", "task", "attempts", "reason", "job"]);
    for line in lines {
        table.add_row([
            line.seq.to_string(),
            rfc3339(line.died),
            explain::plain(&line.stage),
            explain::plain(&line.task),
            line.attempts.to_string(),
            explain::plain(&line.reason),
            line.job.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

async fn many(action: Action, arguments: Selected, settings: Settings) -> anyhow::Result<Exit> {
    let wanted = arguments.filters.selection();
    anyhow::ensure!(
        arguments.seqs.is_empty() || (wanted.is_all() && !arguments.all),
        "name letters, or filters, not both"
    );
    anyhow::ensure!(
        arguments.all || !wanted.is_all() || !arguments.seqs.is_empty(),
        "name letters, filters, or --all"
    );
    let service = service(arguments.place, settings).await?;
    let seqs = if arguments.seqs.is_empty() {
        // All that match now. A letter of a replayed message that dies again is not replayed again.
        lines(&service, &wanted).await?.iter().map(|line| line.seq).collect()
    } else {
        arguments.seqs
    };
    let mut pace = arguments.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
    let mut results = Vec::new();
    for seq in seqs {
        let Some(buried) = service.letters.letter(seq).await? else {
            if wanted.is_all() && !arguments.all {
                return Err(absent(seq));
            }
            continue;
        };
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        results.push(one(&service, action, &buried, arguments.dry_run, arguments.json).await?);
    }
    if arguments.json {
        output::json(&json!({ "results": results }))?;
    } else if results.is_empty() {
        output::note("no dead letters");
    }
    let good = results.iter().all(|handled| handled.outcome.is_good());
    Ok(if good { Exit::Done } else { Exit::Failed })
}

async fn one(
    service: &DlqService,
    action: Action,
    buried: &Buried,
    dry_run: bool,
    json: bool,
) -> anyhow::Result<Handled> {
    let handled = service.handle(action, buried, dry_run).await?;
    if !json {
        let Handled { seq, job, task, reason, outcome } = &handled;
        let job = job.as_deref().unwrap_or("?");
        let (task, reason) = (explain::plain(task), explain::plain(reason));
        output::text(&format!("{seq}  {job}  {task}  {reason}: {}", sentence(*outcome, action)));
    }
    Ok(handled)
}

fn sentence(outcome: Fate, action: Action) -> &'static str {
    match (outcome, action) {
        (Fate::Replayed, _) => "queued again",
        (Fate::Busy, _) => "its message is still being removed; replay it again in a moment",
        (Fate::NotNeeded, _) => "its job is closed, nothing to do; the letter is removed",
        (Fate::Unknown, _) => {
            "the state of its job is missing, so the message would do nothing; the letter stays until it is discarded"
        }
        (Fate::Refused, _) => "it cannot be published to its subject; the letter stays",
        (Fate::Discarded, _) => "removed",
        (Fate::Absent, _) => "it is already removed",
        (Fate::Meant, Action::Replay) => "would be queued again",
        (Fate::Meant, Action::Discard) => "would be removed",
    }
}

fn absent(seq: u64) -> anyhow::Error {
    told(Exit::NotFound, format!("there is no letter {seq}; `jetreel dlq ls` lists them"))
}
