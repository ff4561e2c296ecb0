//! `jetreel submit`: sends a file to a server, and waits for the result if asked to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::priority;
use jetreel_domain::words::failure::Failure;
use jetreel_domain::words::reason::{FileFault, Reason};
use reqwest::Body;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::bars::Bars;
use super::client::{Job, Remote, Server};
use super::exit::Exit;
use super::report::Unmade;
use super::{local, output, signals};
use crate::settings::Settings;

/// Bytes read and sent at once.
const READ_BYTES: usize = 256 << 10;
/// Pause between two polls of the job.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two polls of the upload.
const UPLOAD_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Failed polls in a row after which the wait is given up. The server may restart in the meantime.
const FAULTS_MAX: u32 = 60;

/// Arguments of `submit`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The video
    file: PathBuf,
    #[command(flatten)]
    server: Server,
    /// Title of the video [default: the file's name]
    #[arg(long)]
    title: Option<String>,
    /// Whose video it is: owners share the slots, however many videos each of them has
    #[arg(long)]
    owner: Option<String>,
    /// high, normal or low: which jobs it goes before
    #[arg(long, value_parser = priority::lane)]
    lane: Option<Lane>,
    /// Wait until the video is ready
    #[arg(long)]
    wait: bool,
    /// Print one JSON object, and no progress
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    let file = local::input(&arguments.file)?;
    if tokio::fs::metadata(&file).await?.len() == 0 {
        // The same failure as in `plan` and `transcode`.
        let empty = Failure::from(Reason::from(FileFault::Empty));
        if arguments.json {
            output::json(&Unmade::new(&empty))?;
        }
        output::error(&format!("{} [{}]", empty.message, empty.code));
        return Ok(Exit::Refused);
    }
    let remote = arguments.server.remote(settings)?;
    let name = || file.file_name().map(|name| name.to_string_lossy().into_owned());
    let title = arguments.title.clone().or_else(name).unwrap_or_default();
    let again = arguments.server.again();
    let mut bars = Bars::new(arguments.json);
    let named = [
        ("title", Some(title.as_str())),
        ("owner", arguments.owner.as_deref()),
        ("lane", arguments.lane.map(Lane::as_str)),
    ];
    let query: Vec<_> =
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let id = upload(&remote, &file, &query, &mut bars).await?;
    bars.clear();
    if !arguments.wait {
        let (job, document) = remote.job(&id).await?;
        output::note(&format!("follow it with: jetreel status {id}{again}"));
        output::note(&format!("watch it at:    {}", remote.address(&job.player)));
        return tell(&id, &document, arguments.json).map(|()| Exit::Done);
    }
    let mut bars = Bars::new(arguments.json);
    tokio::select! {
        waited = wait(&remote, &id, &mut bars) => {
            let (job, document) = waited?;
            finish(&remote, &job, &document, arguments.json)
        }
        () = signals::stopped() => {
            output::note(&format!("the job goes on; follow it with: jetreel status {id}{again}"));
            Ok(Exit::Interrupted)
        }
    }
}

async fn upload(
    remote: &Remote,
    file: &Path,
    query: &[(&str, &str)],
    bars: &mut Bars,
) -> anyhow::Result<String> {
    let opened = tokio::fs::File::open(file).await?;
    let bytes = opened.metadata().await?.len();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let stream = ReaderStream::with_capacity(opened, READ_BYTES).inspect_ok(move |piece| {
        counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
    });
    let mut sending = std::pin::pin!(remote.send(Body::wrap_stream(stream), bytes, query));
    loop {
        tokio::select! {
            id = &mut sending => return id,
            () = tokio::time::sleep(UPLOAD_LOOK_INTERVAL) => {
                let percent = sent.load(Ordering::Relaxed).saturating_mul(100) / bytes.max(1);
                bars.show("uploading", &[("upload".to_owned(), percent.min(100) as u8)]);
            }
        }
    }
}

async fn wait(remote: &Remote, id: &str, bars: &mut Bars) -> anyhow::Result<(Job, Value)> {
    let mut id = id.to_owned();
    let mut faults = 0;
    let mut playable = false;
    loop {
        match remote.job(&id).await {
            Ok((job, document)) => {
                faults = 0;
                if let Some(successor) = job.successor {
                    tracing::info!(job = id, successor, "planned anew");
                    id = successor;
                    continue;
                }
                let of = |tier: &super::client::Tier| (tier.name.clone(), tier.progress);
                let mut parts: Vec<(String, u8)> = job.tiers.iter().map(of).collect();
                parts.push(("total".to_owned(), job.progress));
                let word = job.status.to_lowercase();
                if job.is_ended() {
                    bars.end(&word, &parts);
                } else {
                    bars.show(&word, &parts);
                }
                if job.playable && !playable && !job.is_ended() {
                    playable = true;
                    tracing::info!(player = remote.address(&job.player), "playable");
                }
                if job.is_ended() {
                    bars.clear();
                    return Ok((job, document));
                }
            }
            Err(error) if faults >= FAULTS_MAX => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the state of the job cannot be read");
                faults += 1;
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn finish(remote: &Remote, job: &Job, document: &Value, json: bool) -> anyhow::Result<Exit> {
    let exit = job.exit();
    if exit == Exit::Done {
        job.notes().for_each(|note| output::note(&note));
        tell(&remote.address(&job.player), document, json)?;
        return Ok(exit);
    }
    if json {
        output::json(document)?;
    }
    let reason = job.error.as_ref();
    let reason = reason.map_or_else(
        || "The job was cancelled.".to_owned(),
        |error| format!("{} [{}]", error.message, error.code),
    );
    output::error(&reason);
    Ok(exit)
}

fn tell(line: &str, document: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(document);
    }
    output::data(line);
    Ok(())
}
