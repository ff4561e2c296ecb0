//! The working, line by line, and the assumptions.

use jetreel_domain::output::price::Prices;
use jetreel_domain::scale::capacity::{Answer, Question};

use super::speed::Speed;
use super::{HOUR, Upload};
use crate::cli::spell::{cost, duration, number};

/// Hours of a month, as clouds count them.
const MONTH_HOURS: f64 = 730.0;

/// The working.
pub(super) fn lines(question: &Question, answer: &Answer, prices: &Prices) -> Vec<String> {
    let mut lines = Vec::new();
    let upload_hours = number(question.upload_encode_seconds / HOUR, 4);
    let speed = number(question.speed, 3);
    let burst = question.burst_uploads > 0.0;
    let stream = question.uploads_per_hour > 0.0;
    if burst {
        let (uploads, hours) = (question.burst_uploads, answer.burst_encode_hours);
        let target = number(question.drain_seconds / HOUR, 4);
        lines.push(format!(
            "burst:   {} uploads × {upload_hours} CPU-hours = {} CPU-hours",
            number(uploads, 2),
            number(hours, 2)
        ));
        lines.push(format!(
            "         {} CPU-hours ÷ {target} h ÷ speed {speed} = {} slots",
            number(hours, 2),
            number(answer.burst_slots, 1)
        ));
    }
    if stream {
        let (uploads, hours) = (question.uploads_per_hour, answer.steady_encode_hours);
        lines.push(format!(
            "stream:  {} uploads an hour × {upload_hours} CPU-hours = {} CPU-hours an hour",
            number(uploads, 2),
            number(hours, 2)
        ));
        lines.push(format!(
            "         {} ÷ speed {speed} ÷ {:.0} % of the slots = {} slots",
            number(hours, 2),
            question.utilisation * 100.0,
            number(answer.steady_slots, 1)
        ));
    }
    let slots = answer.burst_slots + answer.steady_slots;
    let exact = slots / f64::from(question.node_slots);
    lines.push(format!(
        "nodes:   {} slots ÷ {} slots of a node = {}, so {} nodes of {} vCPUs",
        number(slots, 1),
        question.node_slots,
        number(exact, 2),
        number(f64::from(answer.nodes), 0),
        question.node_vcpus
    ));
    if burst {
        lines.push(format!("time:    the burst is done after {}", duration(answer.burst_seconds)));
        lines.push(format!(
            "cost:    burst: {} vCPU-hours: {}",
            number(answer.burst_vcpu_hours, 1),
            cost(prices.vcpu_hours(answer.burst_vcpu_hours), prices, "cost.vcpu-hour")
        ));
    }
    if stream {
        let hourly = answer.steady_vcpu_hours;
        lines.push(format!(
            "cost:    stream: {} vCPU-hours an hour: {}; a month of {MONTH_HOURS} h: {}",
            number(hourly, 1),
            cost(prices.vcpu_hours(hourly), prices, "cost.vcpu-hour"),
            cost(prices.vcpu_hours(hourly * MONTH_HOURS), prices, "cost.vcpu-hour")
        ));
    }
    lines
}

/// Everything that the working takes for granted, each a sentence.
pub(super) fn assumptions(question: &Question, upload: &Upload, speed: &Speed) -> Vec<String> {
    let mut sentences = vec![upload.source.clone(), speed.source.clone()];
    if question.burst_uploads > 0.0 {
        sentences.push(
            "The nodes are there at once, and are paid for the whole time of the drain; `jetreel simulate` also counts their start and their end.".to_owned(),
        );
    }
    if question.uploads_per_hour > 0.0 {
        sentences.push(format!(
            "The stream fills {:.0} % of its slots on average; the rest is for its variation.",
            question.utilisation * 100.0
        ));
    }
    let per_slot = f64::from(question.node_vcpus) / f64::from(question.node_slots);
    let vcpus = if per_slot == 1.0 {
        "one vCPU".to_owned()
    } else {
        format!("{} vCPUs", number(per_slot, 2))
    };
    sentences.push(format!("A slot has {vcpus}. CPU-hours are those of a slot of speed 1."));
    sentences.push(
        "Storage, traffic, the broker and nodes for uploads and playback are not counted."
            .to_owned(),
    );
    sentences
}
