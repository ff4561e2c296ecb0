//! `jetreel capacity --textbook`: the case of the textbook in each of its readings.

use comfy_table::{CellAlignment, Table, presets};
use jetreel_domain::output::price::Prices;
use jetreel_domain::scale::capacity::{Answer, Question, Reading, TEXTBOOK, answer, textbook};
use serde::Serialize;

use super::HOUR;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::spell::{cost, duration, number};

/// Reason why the readings differ.
const WHY: [&str; 3] = [
    "The readings differ in what a CPU is. An hour of CPU time is an hour of one vCPU, in `jetreel` and in what clouds bill: 313 nodes.",
    "The textbook's formula gives a slot two vCPUs and counts them as one CPU, so it pays twice the vCPU-hours for the same work, unless a slot really uses both.",
    "The text's 42 is the 1,250 CPU-hours divided by 30: hours divided by minutes, and by no vCPUs of a node. So few nodes miss the target by far.",
];

#[derive(Serialize)]
struct Document<'a> {
    question: &'a Question,
    answer: &'a Answer,
    readings: Vec<Priced<'a>>,
    currency: &'a str,
    why: [&'static str; 3],
}

#[derive(Serialize)]
struct Priced<'a> {
    #[serde(flatten)]
    reading: &'a Reading,
    /// `None`: unpriced.
    cost: Option<f64>,
}

/// Prints the case.
pub(super) fn run(json: bool, prices: &Prices) -> anyhow::Result<Exit> {
    let readings = textbook();
    if json {
        let cost = |reading: &Reading| prices.vcpu_hours(reading.vcpu_hours);
        output::json(&Document {
            question: &TEXTBOOK,
            answer: &answer(&TEXTBOOK),
            readings: readings.iter().map(|r| Priced { reading: r, cost: cost(r) }).collect(),
            currency: &prices.currency,
            why: WHY,
        })?;
    } else {
        output::text(&text(&readings, prices));
    }
    Ok(Exit::Done)
}

fn text(readings: &[Reading], prices: &Prices) -> String {
    let work = answer(&TEXTBOOK);
    let mut lines = vec![
        format!(
            "work:  {} uploads × {} CPU-hours = {} CPU-hours",
            number(TEXTBOOK.burst_uploads, 0),
            number(TEXTBOOK.upload_encode_seconds / HOUR, 1),
            number(work.burst_encode_hours, 0)
        ),
        format!(
            "cores: {} CPU-hours ÷ {} h = {} CPUs at once",
            number(work.burst_encode_hours, 0),
            number(TEXTBOOK.drain_seconds / HOUR, 1),
            number(work.burst_slots, 0)
        ),
    ];
    for reading in readings {
        let cpus = TEXTBOOK.node_vcpus / reading.vcpus_per_slot;
        let exact = work.burst_slots / f64::from(cpus);
        lines.push(format!(
            "nodes: {}: {} CPUs ÷ {cpus} CPUs of a node of {} vCPUs = {}",
            reading.name,
            number(work.burst_slots, 0),
            TEXTBOOK.node_vcpus,
            if f64::from(reading.nodes) >= exact {
                format!("{}, so {}", number(exact, 1), reading.nodes)
            } else {
                format!("{}, but the text says {}", number(exact, 1), reading.nodes)
            }
        ));
    }
    lines.push(table(readings, prices));
    lines.extend(WHY.map(str::to_owned));
    lines.join("\n")
}

fn table(readings: &[Reading], prices: &Prices) -> String {
    let mut table = Table::new();
    let header = ["reading", "nodes", "drained in", "vCPU-hours", "cost"];
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for reading in readings {
        table.add_row([
            reading.name.to_owned(),
            reading.nodes.to_string(),
            duration(reading.drain_seconds),
            number(reading.vcpu_hours, 0),
            cost(prices.vcpu_hours(reading.vcpu_hours), prices, "cost.vcpu-hour"),
        ]);
    }
    table.to_string()
}
