//! `jetreel cost`: shows what a video has cost.

use comfy_table::{CellAlignment, Table, presets};
use serde::Deserialize;
use serde_json::Value;

use super::client::Server;
use super::exit::Exit;
use super::{output, spell};
use crate::settings::Settings;

/// Arguments of `cost`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The video's id, or that of one of its jobs
    id: String,
    #[command(flatten)]
    server: Server,
    /// Print the document as JSON
    #[arg(long)]
    json: bool,
}

/// The document of the server, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    job: String,
    status: String,
    pub(super) source_seconds: f64,
    pub(super) cpu_seconds: f64,
    bytes_stored: u64,
    currency: String,
    compute: Option<f64>,
    stored_month: Option<f64>,
    parts: Vec<Part>,
    plays: Vec<Play>,
    not_counted: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Part {
    part: String,
    cpu_seconds: f64,
    bytes_stored: u64,
    compute: Option<f64>,
    stored_month: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Play {
    tier: String,
    bytes_out: u64,
    price: Option<f64>,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    let (cost, document) = fetch(&arguments.server, &arguments.id, settings).await?;
    if arguments.json {
        output::json(&document)?;
    } else {
        output::text(&text(&cost));
    }
    Ok(Exit::Done)
}

impl Cost {
    /// Whether the job is complete, so that its cost changes no more.
    pub(super) fn is_complete(&self) -> bool {
        self.status == "COMPLETED"
    }
}

/// The cost of a video from a server.
pub(super) async fn fetch(
    server: &Server,
    id: &str,
    settings: &Settings,
) -> anyhow::Result<(Cost, Value)> {
    server.remote(settings)?.cost(id).await
}

fn text(cost: &Cost) -> String {
    let length = spell::duration(cost.source_seconds);
    let mut lines = vec![format!("{}  {}  {length} of video", cost.job, cost.status)];
    lines.push(table(cost));
    for play in &cost.plays {
        let (tier, bytes) = (&play.tier, bytes(play.bytes_out));
        let price = price(play.price, &cost.currency);
        let price = if price.is_empty() { price } else { format!(", {price}") };
        lines.push(format!("one complete play of {tier} sends {bytes}{price}"));
    }
    if cost.compute.is_none() {
        let keys = "cost.vcpu-hour, cost.stored-gb-month and cost.out-gb";
        lines.push(format!("note: the server has no prices; set {keys} there"));
    }
    lines.extend(cost.not_counted.iter().map(|sentence| format!("note: {sentence}")));
    lines.join("\n")
}

fn table(cost: &Cost) -> String {
    let mut table = Table::new();
    let header = ["part", "CPU time", "price", "stored", "price a month"];
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut row = |name: &str, seconds: f64, compute, stored, month| {
        table.add_row([
            name.to_owned(),
            if seconds > 0.0 { spell::duration(seconds) } else { String::new() },
            price(compute, &cost.currency),
            if stored > 0 { bytes(stored) } else { String::new() },
            price(month, &cost.currency),
        ]);
    };
    for part in &cost.parts {
        row(&part.part, part.cpu_seconds, part.compute, part.bytes_stored, part.stored_month);
    }
    row("all", cost.cpu_seconds, cost.compute, cost.bytes_stored, cost.stored_month);
    table.to_string()
}

/// Money; nothing if it is unpriced or free.
fn price(amount: Option<f64>, currency: &str) -> String {
    let amount = amount.filter(|amount| *amount > 0.0);
    amount.map_or_else(String::new, |amount| spell::money(amount, currency))
}

fn bytes(count: u64) -> String {
    match count {
        ..1_000_000 => format!("{} kB", spell::number(count as f64 / 1e3, 1)),
        1_000_000..1_000_000_000 => format!("{} MB", spell::number(count as f64 / 1e6, 1)),
        _ => format!("{} GB", spell::number(count as f64 / 1e9, 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_a_line_and_what_has_no_price_is_said() {
        let document = serde_json::json!({
            "job": "v-1", "status": "COMPLETED", "source_seconds": 60.0, "cpu_seconds": 72.0,
            "bytes_stored": 30_500_000, "currency": "EUR", "compute": 0.001, "stored_month": null,
            "parts": [
                { "part": "720p", "cpu_seconds": 72.0, "bytes_stored": 20_500_000, "compute": 0.001, "stored_month": null },
                { "part": "original", "cpu_seconds": 0.0, "bytes_stored": 10_000_000, "compute": 0.0, "stored_month": null },
            ],
            "plays": [{ "tier": "720p", "bytes_out": 20_000_000, "price": null }],
            "not_counted": ["Something."],
        });
        let mut cost: Cost = serde_json::from_value(document).unwrap();
        let shown = text(&cost);
        for words in
            ["1 min 12 s", "0.001 EUR", "20.5 MB", "30.5 MB", "note: Something.", "sends 20 MB"]
        {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains("no prices"));
        cost.compute = None;
        assert!(text(&cost).contains("cost.vcpu-hour"));
    }
}
