//! `jetreel simulate`: replays a trace of uploads against the rules of the scaler.

mod drawing;
mod trace;

use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use jetreel_domain::output::price::Prices;
use jetreel_domain::scale::simulation::{Outcome, Trace, Waits, simulate};
use jetreel_domain::words::sentence::count;
use serde::Serialize;

use super::exit::{Exit, told};
use super::{output, spell};
use crate::settings::Settings;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A bundled trace (burst-500, viral-day, half-lost, slow-storage), a TOML file, or a CSV file of uploads
    #[arg(required_unless_present = "export")]
    trace: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Draw backlog, nodes and waiting videos into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print a bundled trace with all its values, as a start for your own
    #[arg(long, value_name = "NAME", conflicts_with_all = ["trace", "json", "svg"])]
    export: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    trace: &'a str,
    about: &'a str,
    /// `None`: unpriced.
    cost: Option<f64>,
    currency: &'a str,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    if let Some(name) = &arguments.export {
        output::data(&trace::exported(name)?);
        return Ok(Exit::Done);
    }
    let name = arguments.trace.as_deref().unwrap_or_default();
    let trace = trace::load(name)?;
    let outcome = simulate(&trace, &settings.plan_policy(), &settings.limits)
        .map_err(|error| told(Exit::Refused, format!("the trace {name}: {error}")))?;
    if let Some(file) = &arguments.svg {
        let title = format!("{name}: {}", trace.about);
        std::fs::write(file, drawing::svg(&title, &outcome.samples)).with_context(|| {
            format!("cannot write {}; check the folder and its permissions", file.display())
        })?;
    }
    let cost = settings.cost.vcpu_hours(outcome.vcpu_hours);
    if arguments.json {
        let (about, currency) = (trace.about.as_str(), settings.cost.currency.as_str());
        output::json(&Document { trace: name, about, cost, currency, outcome: &outcome })?;
    } else {
        output::text(&text(name, &trace, &outcome, (&settings.cost, cost)));
    }
    Ok(Exit::Done)
}

fn text(
    name: &str,
    trace: &Trace,
    outcome: &Outcome,
    (prices, cost): (&Prices, Option<f64>),
) -> String {
    let number = spell::number;
    let mut lines = vec![format!("{name}: {}", trace.about)];
    lines.push(format!(
        "work:    {}, {}, {} encode hours",
        count(outcome.uploads, "upload"),
        count(outcome.tasks, "task"),
        number(outcome.encode_seconds / 3600.0, 1)
    ));
    lines.push(format!(
        "drained: {} after the first upload",
        spell::duration(outcome.drain_seconds)
    ));
    lines.push(format!(
        "nodes:   {} at most, {} node-hours of {} vCPUs, {:.0} % of the slots busy",
        outcome.nodes_peak,
        number(outcome.node_hours, 1),
        trace.nodes.vcpus,
        outcome.busy_share * 100.0
    ));
    lines.push(format!(
        "cost:    {} vCPU-hours: {}",
        number(outcome.vcpu_hours, 1),
        spell::cost(cost, prices, "cost.vcpu-hour")
    ));
    if outcome.nodes_lost > 0 || outcome.tasks_again > 0 {
        lines.push(format!(
            "again:   {} lost, {} begun again, {} of slot time",
            count(outcome.nodes_lost as usize, "node"),
            count(outcome.tasks_again, "task"),
            spell::duration(outcome.seconds_again)
        ));
    }
    lines.push(waits(outcome));
    lines.join("\n")
}

/// Waits by lane, and by owner if there are several.
fn waits(outcome: &Outcome) -> String {
    let mut table = Table::new();
    let header = ["lane", "uploads", "first task", "worst", "complete", "worst"];
    table.load_style(presets::NOTHING).set_header(header);
    let mut row = |name: &str, waits: &Waits| {
        table.add_row([
            name.to_owned(),
            waits.uploads.to_string(),
            spell::duration(waits.start_median_seconds),
            spell::duration(waits.start_worst_seconds),
            spell::duration(waits.complete_median_seconds),
            spell::duration(waits.complete_worst_seconds),
        ]);
    };
    outcome.lanes.iter().for_each(|(lane, waits)| row(lane, waits));
    for (owner, waits) in &outcome.owners {
        let owner = if owner.is_empty() { "(no owner)" } else { owner };
        row(&format!("owner {owner}"), waits);
    }
    table.to_string()
}
