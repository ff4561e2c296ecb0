//! `jetreel capacity`: how many nodes a load needs and what they cost, with the working.

mod speed;
mod textbook;
mod working;

use std::path::PathBuf;

use jetreel_domain::plan::ladder::TierPlan;
use jetreel_domain::scale::capacity::{Answer, Question, answer};
use jetreel_domain::scale::simulation::{Clip, Job};
use serde::Serialize;

use super::client::Server;
use super::exit::{Exit, told};
use super::output;
use crate::settings::Settings;
use speed::Speed;

/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// Arguments of `capacity`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("load").multiple(true).required(true).args(["uploads", "per_hour", "textbook"])))]
pub(super) struct Arguments {
    /// Uploads that arrive at once
    #[arg(long, value_name = "N", value_parser = above_zero)]
    uploads: Option<f64>,
    /// Uploads that arrive in an hour, all the time
    #[arg(long, value_name = "N", value_parser = above_zero)]
    per_hour: Option<f64>,
    /// Minutes in which a burst should be done
    #[arg(long, value_name = "MINUTES", default_value = "30", value_parser = above_zero)]
    drain: f64,
    /// Length of an upload in seconds [default: 600; with --like that of the video]
    #[arg(long, value_name = "SECONDS", value_parser = above_zero)]
    length: Option<f64>,
    /// Picture size of an upload
    #[arg(long, value_name = "SIZE", default_value = "1920x1080", value_parser = size)]
    size: (u32, u32),
    /// Frames per second of an upload
    #[arg(long, value_name = "RATE", default_value = "30", value_parser = above_zero)]
    frame_rate: f64,
    /// Make only these tiers, as in 720p,360p [default: as the setting plan.tiers]
    #[arg(long, value_delimiter = ',', value_name = "TIERS")]
    tiers: Option<Vec<String>>,
    /// CPU-hours of an upload, in place of length, size and tiers
    #[arg(long, value_name = "HOURS", value_parser = above_zero, conflicts_with_all = ["length", "size", "frame_rate", "tiers", "like", "measure"])]
    cpu_hours: Option<f64>,
    /// Encode seconds that a slot does in a second [default: 1]
    #[arg(long, value_name = "SPEED", value_parser = above_zero, conflicts_with_all = ["measure", "like"])]
    speed: Option<f64>,
    /// Measure the speed of this machine: transcode this short video here, with all slots
    #[arg(long, value_name = "FILE", conflicts_with = "like")]
    measure: Option<PathBuf>,
    /// Take the CPU time of this video, or job, that a server has done
    #[arg(long, value_name = "VIDEO", conflicts_with_all = ["size", "frame_rate", "tiers"])]
    like: Option<String>,
    #[command(flatten)]
    server: Server,
    /// vCPUs of a node
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=4096))]
    node_vcpus: u32,
    /// Slots of a node [default: one per vCPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    node_slots: Option<u32>,
    /// Percentage of the slots that a steady stream may fill
    #[arg(long, value_name = "PERCENT", default_value = "80", value_parser = clap::value_parser!(u32).range(1..=100))]
    utilisation: u32,
    /// Work the case of the textbook: 500 uploads of 2.5 CPU-hours in 30 minutes, in each of its readings
    #[arg(long, conflicts_with_all = ["uploads", "per_hour", "cpu_hours", "speed", "measure", "like", "length", "size", "frame_rate", "tiers", "drain", "node_vcpus", "node_slots", "utilisation"])]
    textbook: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What an upload costs, and from what that is known.
pub(super) struct Upload {
    encode_seconds: f64,
    /// How it was found, as a sentence.
    source: String,
}

#[derive(Serialize)]
struct Document<'a> {
    question: &'a Question,
    answer: &'a Answer,
    currency: &'a str,
    /// Price of the burst; `None`: unpriced, or there is none.
    burst_cost: Option<f64>,
    /// Price of an hour of the stream; `None`: unpriced, or there is none.
    steady_cost_hour: Option<f64>,
    working: Vec<String>,
    assumptions: Vec<String>,
}

impl Arguments {
    /// Whether the command runs a node on this machine.
    pub(super) fn measures(&self) -> bool {
        self.measure.is_some()
    }

    fn question(&self, upload: &Upload, speed: &Speed) -> Question {
        Question {
            upload_encode_seconds: upload.encode_seconds,
            burst_uploads: self.uploads.unwrap_or(0.0),
            drain_seconds: self.drain * 60.0,
            uploads_per_hour: self.per_hour.unwrap_or(0.0),
            utilisation: f64::from(self.utilisation) / 100.0,
            speed: speed.value,
            node_vcpus: self.node_vcpus,
            node_slots: self.node_slots.unwrap_or(self.node_vcpus),
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<Exit> {
    if arguments.textbook {
        return textbook::run(arguments.json, &settings.cost);
    }
    let (upload, speed) = if let Some(id) = &arguments.like {
        speed::like(&arguments.server, id, arguments.length, &settings).await?
    } else {
        let upload = planned(&arguments, &settings)?;
        let speed = match &arguments.measure {
            Some(file) => speed::measured(file, &settings).await?,
            None => Speed::given(arguments.speed),
        };
        (upload, speed)
    };
    let question = arguments.question(&upload, &speed);
    let answer = answer(&question);
    let working = working::lines(&question, &answer, &settings.cost);
    let assumptions = working::assumptions(&question, &upload, &speed);
    if arguments.json {
        let prices = &settings.cost;
        let burst = prices.vcpu_hours(answer.burst_vcpu_hours);
        let steady = prices.vcpu_hours(answer.steady_vcpu_hours);
        output::json(&Document {
            question: &question,
            answer: &answer,
            currency: &prices.currency,
            burst_cost: burst.filter(|_| question.burst_uploads > 0.0),
            steady_cost_hour: steady.filter(|_| question.uploads_per_hour > 0.0),
            working,
            assumptions,
        })?;
    } else {
        let assumptions = assumptions.iter().map(|sentence| format!("assumed: {sentence}"));
        let lines: Vec<String> = working.into_iter().chain(assumptions).collect();
        output::text(&lines.join("\n"));
    }
    Ok(Exit::Done)
}

/// The cost of an upload by the product's own planner, or as given.
fn planned(arguments: &Arguments, settings: &Settings) -> anyhow::Result<Upload> {
    if let Some(hours) = arguments.cpu_hours {
        let source = "The CPU-hours of an upload are as given, of one vCPU.".to_owned();
        return Ok(Upload { encode_seconds: hours * HOUR, source });
    }
    let (width, height) = arguments.size;
    let clip = Clip {
        seconds: arguments.length.unwrap_or(600.0),
        width,
        height,
        frame_rate: arguments.frame_rate,
    };
    let mut policy = settings.plan_policy();
    if let Some(tiers) = &arguments.tiers {
        policy.tiers = Some(tiers.iter().map(|tier| tier.trim().to_owned()).collect());
    }
    let plan = clip.plan(&policy, &settings.limits).map_err(|failure| {
        told(Exit::Refused, format!("such an upload cannot be planned: {}", failure.message))
    })?;
    let names = |tier: &TierPlan| tier.name.clone();
    let tiers: Vec<String> = plan.tiers.iter().map(names).collect();
    Ok(Upload {
        encode_seconds: Job::of(&plan).cost(),
        source: format!(
            "An upload is {} of {width}x{height} H.264 at {} frames/s with stereo sound, made into {} with the preset {}; its cost is the planner's estimate.",
            super::spell::duration(clip.seconds),
            clip.frame_rate,
            tiers.join(", "),
            policy.preset
        ),
    })
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "use a number".to_owned())?;
    let fits = value.is_finite() && value > 0.0 && value <= 1e9;
    fits.then_some(value).ok_or_else(|| "use a number above 0".to_owned())
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let fits = sides.filter(|(w, h)| (2..=16_384).contains(w) && (2..=16_384).contains(h));
    fits.ok_or_else(|| "use WIDTHxHEIGHT, as in 1920x1080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_checked() {
        assert_eq!(size("1280x720"), Ok((1280, 720)));
        for wrong in ["1280", "x", "0x0", "1280x", "99999x1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(above_zero("2.5"), Ok(2.5));
        assert!(["0", "-1", "nan", "inf", "many"].iter().all(|wrong| above_zero(wrong).is_err()));
    }
}
