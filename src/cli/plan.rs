//! `jetreel plan`: shows what would be made of a file, without making it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{Table, presets};
use jetreel_actors::ports::{Codec, ProcessBudget, Readable};
use jetreel_domain::codec::budget;
use jetreel_domain::codec::wire::{FromCodec, Job, JobWork, Report, VERSION};
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::parts::PartList;
use jetreel_domain::plan::Plan;
use jetreel_domain::plan::ladder::display_size;
use jetreel_domain::plan::media::ProbeFacts;
use jetreel_domain::plan::planner;
use jetreel_domain::words::failure::{Failure, Severity};
use jetreel_domain::words::sentence::count;

use super::exit::Exit;
use super::report::Unmade;
use super::{local, output};
use crate::node;
use crate::sandbox::CodecProcesses;
use crate::settings::Settings;
use crate::store::{OpenDalStore, StoreOptions, link_source};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The video
    file: PathBuf,
    /// Print the whole plan as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    let file = local::input(&arguments.file)?;
    match plan(&file, settings).await? {
        Ok(plan) if arguments.json => output::json(&plan)?,
        Ok(plan) => output::text(&text(&plan)),
        Err(failure) => {
            if arguments.json {
                output::json(&Unmade::new(&failure))?;
            }
            output::error(&format!("{} [{}]", failure.message, failure.code));
            return Ok(Exit::Refused);
        }
    }
    Ok(Exit::Done)
}

/// The plan, or the failure that prevents it.
pub(super) async fn plan(
    file: &Path,
    settings: &Settings,
) -> anyhow::Result<Result<Plan, Failure>> {
    let scratch = tempfile::tempdir()?;
    let store = Arc::new(OpenDalStore::open(&StoreOptions::fs(scratch.path().to_string_lossy()))?);
    let codec = node::codec(settings, store)?;
    let id = VideoId::from_bits(uuid::Uuid::now_v7().as_u128());
    let part = link_source(scratch.path(), &id, file).await?;
    let source = Readable { parts: Arc::new(PartList::one(&part.key, part.bytes)) };
    let planned = async {
        let facts = probe(&codec, source, settings).await?;
        let build = codec.build().await?;
        let order = OrderId::new(id, 1);
        planner::plan(order, facts, &settings.plan_policy(), &settings.limits, &build, false)
    };
    match planned.await {
        Err(failure) if failure.severity != Severity::Permanent => Err(failure.into()),
        decided => Ok(decided),
    }
}

async fn probe(
    codec: &CodecProcesses,
    source: Readable,
    settings: &Settings,
) -> Result<ProbeFacts, Failure> {
    let limits = ProcessBudget::from(budget::probe(&settings.limits, source.bytes()));
    let budget = settings.limits.budget();
    let job = Job { version: VERSION, objects: Vec::new(), budget, work: JobWork::Probe };
    let mut session = codec.start(job, vec![source], limits).await?;
    loop {
        if let FromCodec::Done(Report::Probe(facts)) = session.next().await? {
            return Ok(*facts);
        }
    }
}

fn text(plan: &Plan) -> String {
    let mut lines = Vec::new();
    if let Some(video) = &plan.facts.video {
        // The displayed size, like that of the tiers: phones store pictures sideways with a rotation.
        let (width, height) = display_size(video);
        lines.push(format!(
            "{} {}x{}, {:.2} frames/s, {:.1} s, {}",
            video.codec,
            width,
            height,
            video.frame_rate.as_f64(),
            plan.seconds(),
            count(plan.audio.len(), "sound track")
        ));
    }
    lines.push(format!("class {:?}: {}", plan.class, plan.class_reason));
    lines.extend(plan.warnings.iter().map(|warning| format!("note: {warning}")));
    lines.push(tiers(plan));
    let cost: f64 = plan.tasks.iter().map(|task| task.cost).sum();
    lines.push(format!(
        "{}, {}, about {cost:.0} s of CPU time",
        count(plan.chunks.len(), "chunk"),
        count(plan.tasks.len(), "task")
    ));
    lines.join("\n")
}

fn tiers(plan: &Plan) -> String {
    let mut table = Table::new();
    let header = ["tier", "size", "CRF", "cap kb/s", "declared kb/s", "codec"];
    table.load_style(presets::NOTHING).set_header(header);
    for tier in &plan.tiers {
        table.add_row([
            tier.name.clone(),
            format!("{}x{}", tier.width, tier.height),
            tier.crf.to_string(),
            (tier.max_rate / 1000).to_string(),
            (tier.bandwidth / 1000).to_string(),
            tier.codecs.clone(),
        ]);
    }
    table.to_string()
}
