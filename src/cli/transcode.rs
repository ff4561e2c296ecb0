//! `jetreel transcode`: turns one file into one folder, with a node that lives as long as the command.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jetreel_actors::parts;
use jetreel_actors::ports::{Ports, WriteOnce};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::order::state::{Status, Video};
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::words::failure::{Failure, Severity};
use tracing::Instrument as _;

use super::bars::Bars;
use super::exit::{self, Exit};
use super::export::{self, Target};
use super::follow::{self, Ended};
use super::local::{self, Lasting, Local};
use super::report::{Completed, Unmade};
use super::strangers::{self, Strangers};
use super::{output, signals};
use crate::node::{self, RunningNode};
use crate::sandbox::CodecProcesses;
use crate::settings::{Role, Roles, Scheme, Settings};
use crate::store::link_source;

/// Time limit of the shutdown. All work is done by then.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);
/// Time after which an unusable codec is given up. It is restarted in the meantime.
const CODEC_WAIT: Duration = Duration::from_secs(4);
/// The only order of the video.
const FIRST: u32 = 1;

/// Arguments of `transcode`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The video
    file: PathBuf,
    /// Folder for the result, created if missing; an earlier result of Jetreel in it is replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also replace files in that folder that Jetreel did not make
    #[arg(long)]
    force: bool,
    /// Make only these tiers, as in 720p,360p [default: every tier with at most as many lines as the source's picture in square pixels]
    #[arg(long, value_delimiter = ',', value_name = "TIERS")]
    tiers: Option<Vec<String>>,
    /// x264 preset [default: the setting plan.preset]
    #[arg(long)]
    preset: Option<String>,
    /// Make no poster and no thumbnails
    #[arg(long)]
    no_images: bool,
    /// Make no MP4 files (an MP4 contains only the first audio track)
    #[arg(long)]
    no_package: bool,
    /// Print one JSON object, and no progress
    #[arg(long)]
    json: bool,
}

/// Refuses tiers that the ladder does not have, as a usage error.
fn check_tiers(plan: &PlanPolicy) -> anyhow::Result<()> {
    let names: Vec<&str> = plan.ladder.iter().map(|rung| rung.name.as_str()).collect();
    let unknown = plan.tiers.iter().flatten().find(|tier| !names.contains(&tier.as_str()));
    let Some(tier) = unknown else { return Ok(()) };
    let names = names.join(", ");
    Err(exit::told(
        Exit::Refused,
        format!("there is no tier {tier:?}; --tiers takes names of {names}"),
    ))
}

enum Outcome {
    Ended(Box<Ended>),
    Interrupted,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<Exit> {
    let json = arguments.json;
    let (made, target) = make(arguments, settings).await?;
    let exit = tell(made, json)?;
    // Removed explicitly, so that a failure is reported.
    target.remove();
    Ok(exit)
}

/// Transcodes a file for its report alone. The result is deleted.
pub(super) async fn measured(file: PathBuf, settings: Settings) -> anyhow::Result<Completed> {
    let scratch = tempfile::tempdir()?;
    let arguments = Arguments {
        file,
        out: scratch.path().join("out"),
        force: false,
        tiers: None,
        preset: None,
        no_images: false,
        no_package: false,
        json: true,
    };
    let (made, target) = make(arguments, settings).await?;
    target.remove();
    match made {
        Made::Folder(completed) => Ok(*completed),
        Made::Unmade(failure) => Err(failure.into()),
        Made::Nothing => Err(exit::told(Exit::Interrupted, "interrupted; nothing was measured")),
    }
}

/// Transcodes a file, with a node for it alone.
async fn make(arguments: Arguments, settings: Settings) -> anyhow::Result<(Made, Target)> {
    let started = Instant::now();
    let file = local::input(&arguments.file)?;
    let target = Target::new(&arguments.out)?;
    let settings = arguments.applied_to(settings, target.scratch());
    check_tiers(&settings.plan)?;
    settings.validate()?;
    let strangers = Strangers::new(&arguments.out, arguments.force);
    strangers.refuse(strangers::names(&settings))?;
    let mut bars = Bars::new(arguments.json);
    let (services, broker) = Local::start(&settings, Lasting::OneJob).await?.split();
    let ports = services.ports.clone();
    let outcome = match node::start(&settings, services).await {
        Ok(mut running) => {
            let worked = work(&settings, &ports, &file, started, &mut bars, &mut running);
            let worked = worked.instrument(tracing::error_span!("transcode"));
            let outcome = tokio::select! {
                outcome = worked => outcome,
                lost = Local::lost(broker.as_ref()) => Err(lost),
            };
            let made = match outcome {
                Ok(Outcome::Ended(ended)) => {
                    finish(&settings, &ports, *ended, (&target, &strangers), started).await
                }
                Ok(Outcome::Interrupted) => Ok(Made::Nothing),
                Err(error) => Err(error),
            };
            // No other node could continue the work in hand.
            running.shutdown(SHUTDOWN_WAIT, std::future::ready(())).await;
            made
        }
        Err(error) => Err(error),
    };
    bars.clear();
    Local::stop(broker).await;
    Ok((outcome?, target))
}

impl Arguments {
    fn applied_to(&self, mut settings: Settings, scratch: &Path) -> Settings {
        settings.nats.url = None;
        settings.nats.data = scratch.join("nats");
        settings.nats.replicas = 1;
        settings.store.scheme = Scheme::Fs;
        settings.store.root = scratch.join("store").to_string_lossy().into_owned();
        settings.node.roles = Roles::all_but(&[Role::Gateway, Role::Scaler]);
        if let Some(preset) = &self.preset {
            settings.plan.preset.clone_from(preset);
        }
        if let Some(tiers) = &self.tiers {
            let trimmed = tiers.iter().map(|tier| tier.trim().to_owned());
            settings.plan.tiers = Some(trimmed.collect());
        }
        settings.plan.images &= !self.no_images;
        settings.plan.package &= !self.no_package;
        settings
    }
}

async fn work(
    settings: &Settings,
    ports: &Ports,
    file: &Path,
    started: Instant,
    bars: &mut Bars,
    running: &mut RunningNode,
) -> anyhow::Result<Outcome> {
    let id = VideoId::from_bits(uuid::Uuid::now_v7().as_u128());
    let bus = Arc::clone(&running.services.bus);
    let codec = Arc::clone(&running.services.codec);
    let enqueue = enqueue(settings, ports, &id, file);
    let followed = async {
        let news = bus.news_of(&id).await?;
        enqueue.await?;
        anyhow::Ok(follow::until_ended(ports, &id, news, started, bars).await?)
    };
    tokio::select! {
        ended = followed => Ok(Outcome::Ended(Box::new(ended?))),
        () = signals::stopped() => Ok(Outcome::Interrupted),
        failure = unusable(&codec) => Err(failure.into()),
        () = running.ended() => anyhow::bail!("a stage failed too often; --verbose shows why"),
    }
}

/// Returns the failure when the codec cannot be used and restarting it does not help. No other node could do the work.
async fn unusable(codec: &CodecProcesses) -> Failure {
    loop {
        codec.troubled().await;
        tokio::time::sleep(CODEC_WAIT).await;
        if let Some(failure) = codec.trouble() {
            return failure;
        }
    }
}

async fn enqueue(
    settings: &Settings,
    ports: &Ports,
    id: &VideoId,
    file: &Path,
) -> anyhow::Result<()> {
    let part = link_source(Path::new(&settings.store.root), id, file).await?;
    let title = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let now = ports.environment.now();
    let mut video = Video::receiving(id.clone(), title.unwrap_or_default(), Lane::Normal, now);
    video.trace = ports.environment.traced().map(|span| span.to_string()).unwrap_or_default();
    // The hash is unknown: computing it would take another read of the file.
    let list = PartList::one(&part.key, part.bytes);
    let uuid = ports.environment.uuid();
    video.source = parts::write(ports.store.as_ref(), &uuid, id, &list).await?;
    video.advance(FIRST, Status::Queued, now)?;
    anyhow::ensure!(ports.broker.create_video(&video).await? == WriteOnce::Mine, "the id is taken");
    ports.broker.announce_upload(&Uploaded::new(id.clone(), FIRST, Lane::Normal)).await?;
    Ok(())
}

enum Made {
    Folder(Box<Completed>),
    Unmade(Failure),
    Nothing,
}

async fn finish(
    settings: &Settings,
    ports: &Ports,
    ended: Ended,
    (target, strangers): (&Target, &Strangers),
    started: Instant,
) -> anyhow::Result<Made> {
    let order = ended.video.order(ended.number).context("the order does not exist any more")?;
    let Some(published) = &order.published else {
        let unknown = || Failure::task("no-reason", "The job ended without a result.");
        return Ok(Made::Unmade(order.failure().cloned().unwrap_or_else(unknown)));
    };
    let bytes = ports.store.read_all(&published.manifest.key).await?;
    let manifest: Manifest = serde_json::from_slice(&bytes)?;
    let files = export::files(&manifest, published);
    // Checked again, because files may have appeared since.
    let top = |name: &str| {
        let folder = format!("{name}/");
        files.keys().any(|file| file == name || file.starts_with(&folder))
    };
    strangers.refuse(top)?;
    let folder = target.fill(Path::new(&settings.store.root), &files)?;
    let completed = Completed::new(&manifest, &folder, started.elapsed(), ended.first_playable);
    Ok(Made::Folder(Box::new(completed)))
}

fn tell(made: Made, json: bool) -> anyhow::Result<Exit> {
    match made {
        Made::Nothing => {
            output::note("interrupted; nothing was written");
            Ok(Exit::Interrupted)
        }
        Made::Folder(completed) if json => output::json(&completed).map(|()| Exit::Done),
        Made::Folder(completed) => {
            completed.lines().iter().for_each(|line| output::note(line));
            output::data(completed.playlist());
            Ok(Exit::Done)
        }
        Made::Unmade(failure) => {
            let refused = failure.severity == Severity::Permanent;
            if json {
                output::json(&Unmade::new(&failure))?;
            }
            output::error(&told(&failure, refused));
            Ok(if refused { Exit::Refused } else { Exit::JobFailed })
        }
    }
}

/// One line: the fault of the file, or of the job.
fn told(Failure { message, code, .. }: &Failure, refused: bool) -> String {
    if refused {
        return format!("{message} [{code}]");
    }
    format!("The job failed. {message} Run the command again with --verbose to see more. [{code}]")
}
