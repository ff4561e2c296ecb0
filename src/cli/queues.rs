//! `jetreel queues`: shows the queues and their lag, pauses and resumes them.

use std::time::Duration;

use clap::Subcommand;
use comfy_table::{Table, presets};
use humantime_serde::re::humantime;
use jetreel_actors::load::Reader;
use jetreel_actors::ports::Gauges as _;
use jetreel_domain::scale::load::{Load, QueueLoad};
use jetreel_domain::scale::queue::{Queue, Selection};
use serde_json::json;

use super::exit::{Exit, told};
use super::local::{self, Place};
use super::{output, spell};
use crate::http::rfc3339;
use crate::measuring;
use crate::settings::Settings;

/// Longest pause. A longer one is a mistake.
const PAUSE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Arguments of `queues`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Commands about queues.
#[derive(Debug, Subcommand)]
enum Command {
    /// Hold back what waits in queues; what is in hand goes on
    Pause(Pause),
    /// Let paused queues go on
    Resume(Resume),
}

/// Arguments of `pause`.
#[derive(Debug, clap::Args)]
struct Pause {
    /// A lane (high, normal, low), a stage (ingest, encode, publish, …), or a lane and a group as in low/main
    #[arg(value_name = "QUEUE")]
    selection: Selection,
    /// For how long, as in 90s, 30m or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = pause_time)]
    time: Duration,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `resume`.
#[derive(Debug, clap::Args)]
struct Resume {
    /// A lane, a stage, or a lane and a group, as of `pause`
    #[arg(value_name = "QUEUE")]
    selection: Selection,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn pause_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| format!("{e}; use 90s, 30m or 1h"))?;
    if time < Duration::from_secs(1) || time > PAUSE_MAX {
        return Err("use a time between 1s and 1 year; `jetreel queues resume` ends a pause".into());
    }
    Ok(time)
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<Exit> {
    match arguments.command {
        None => show(arguments.place, arguments.json, settings).await,
        Some(Command::Pause(Pause { selection, time, place, json })) => {
            set(place.applied_to(settings), selection, Some(time), json).await
        }
        Some(Command::Resume(Resume { selection, place, json })) => {
            set(place.applied_to(settings), selection, None, json).await
        }
    }
}

async fn show(place: Place, json: bool, settings: Settings) -> anyhow::Result<Exit> {
    let settings = place.applied_to(settings);
    let bus = local::connect(&settings).await?;
    let build_seconds = settings.reconciler.build_seconds;
    let load = Reader::new(measuring::sources(&bus), build_seconds).read().await?;
    if json {
        output::json(&load)?;
    } else {
        output::text(&format!("{}\n\n{}", table(&load, |_| true), summary(&load)));
    }
    Ok(Exit::Done)
}

/// Pauses queues for a time, or resumes them.
async fn set(
    settings: Settings,
    selection: Selection,
    time: Option<Duration>,
    json: bool,
) -> anyhow::Result<Exit> {
    let bus = local::connect(&settings).await?;
    let found = bus.queues().await?;
    let selected: Vec<Queue> =
        found.queues.iter().map(QueueLoad::queue).filter(|queue| selection.holds(queue)).collect();
    if selected.is_empty() {
        let text = "the broker has no such queue; `jetreel streams apply` creates what is missing";
        return Err(told(Exit::NotFound, text));
    }
    // The broker ends the pause by its own clock.
    let seconds = time.map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let until = seconds.map(|seconds| found.at.saturating_add(seconds));
    let mut set = Vec::new();
    for queue in &selected {
        let paused = bus.pause(queue, until).await?;
        let until = until.filter(|_| paused).map(rfc3339);
        if !json {
            output::text(&match &until {
                Some(until) => format!("{queue}  paused until {until}"),
                None => format!("{queue}  goes on"),
            });
        }
        set.push(json!({ "queue": queue.to_string(), "paused_until": until }));
    }
    if json {
        output::json(&json!({ "queues": set }))?;
    } else if time.is_some() {
        output::note("what is in hand goes on; `jetreel queues resume` ends the pause");
    }
    Ok(Exit::Done)
}

/// A line per queue that `is_shown`.
pub(super) fn table(load: &Load, is_shown: impl Fn(&QueueLoad) -> bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let head =
        ["queue", "lag", "waiting", "in hand", "oldest", "redelivered", "backlog", "paused until"];
    table.set_header(head);
    for queue in load.queues.iter().filter(|queue| is_shown(queue)) {
        let name = queue.queue();
        let backlog = load.backlog_of(&name).filter(|seconds| *seconds > 0.0);
        table.add_row([
            name.to_string(),
            queue.lag.to_string(),
            queue.pending.to_string(),
            queue.ack_pending.to_string(),
            queue.oldest_seconds.map(spell::duration).unwrap_or_default(),
            queue.redelivered.to_string(),
            backlog.map(spell::duration).unwrap_or_default(),
            queue.paused_until.map(rfc3339).unwrap_or_default(),
        ]);
    }
    lines(&table)
}

/// The lines of a table, without the spaces at their ends.
pub(super) fn lines(table: &Table) -> String {
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// What concerns no single queue, a line each.
pub(super) fn summary(load: &Load) -> String {
    let drain = match load.drain_seconds {
        Some(_) if load.backlog_seconds <= 0.0 => "nothing to encode".to_owned(),
        Some(seconds) => format!(
            "{} of encoding, drained in {}",
            spell::duration(load.backlog_seconds),
            spell::duration(seconds)
        ),
        None => format!(
            "{} of encoding, and no node with a slot",
            spell::duration(load.backlog_seconds)
        ),
    };
    let speed = spell::number(load.speed, 2);
    let waiting: Vec<String> =
        load.videos_waiting.iter().map(|(lane, videos)| format!("{lane} {videos}")).collect();
    let oldest = load.oldest_order_seconds.values().max().map_or_else(String::new, |seconds| {
        format!("; the oldest job came {} ago", spell::duration(*seconds as f64))
    });
    let nodes = match load.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    let orphans: u64 = load.orphans.values().sum();
    let letters = &load.dead_letters;
    let limit = letters.limit.map_or_else(String::new, |limit| format!(" of {}", mib(limit)));
    [
        format!("backlog        {drain} (speed of a slot: {speed})"),
        format!("slots          {} of {} busy on {nodes}", load.slots_busy, load.slots),
        format!("videos waiting {}{oldest}", waiting.join(", ")),
        format!("dead letters   {} ({}{limit})", letters.letters, mib(letters.bytes)),
        format!("orphans        {orphans}"),
    ]
    .join("\n")
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", spell::number(bytes as f64 / f64::from(1 << 20), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_a_believable_time() {
        assert_eq!(pause_time("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(pause_time("1h 30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "1", "0s", "5ms", "3 years", "soon"] {
            let said = pause_time(wrong).unwrap_err();
            assert!(said.contains("use "), "{wrong}: {said}");
        }
    }
}
