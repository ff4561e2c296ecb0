//! `jetreel status`: shows the status of a job.

use comfy_table::{Table, presets};

use super::client::{Job, Remote, Server};
use super::exit::Exit;
use super::output;
use crate::settings::Settings;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The job's id, or its video's
    id: String,
    #[command(flatten)]
    server: Server,
    /// Print the job as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    let remote = arguments.server.remote(settings)?;
    let (job, document) = remote.job(&arguments.id).await?;
    if arguments.json {
        output::json(&document)?;
    } else {
        output::text(&text(&job, &remote));
    }
    Ok(Exit::Done)
}

fn text(job: &Job, remote: &Remote) -> String {
    let title = &job.title;
    let mut lines = vec![format!("{}  {}  {} %  {title}", job.id, job.status, job.progress)];
    if let Some(error) = &job.error {
        lines.push(format!("{} [{}]", error.message, error.code));
        lines.extend(Some(error.suggestion.clone()).filter(|text| !text.is_empty()));
    }
    if let Some(successor) = &job.successor {
        lines.push(format!("goes on as job {successor}"));
    }
    if !job.is_ended() && !job.line().is_empty() {
        lines.push(format!("lane:     {}", job.line()));
    }
    lines.extend(job.notes());
    if !job.tiers.is_empty() {
        lines.push(tiers(job));
    }
    if job.playable {
        lines.push(format!("player:   {}", remote.address(&job.player)));
    }
    if let Some(playback) = &job.playback {
        lines.push(format!("playlist: {}", remote.address(playback)));
    }
    lines.join("\n")
}

fn tiers(job: &Job) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["tier", "size", "progress", "ready"]);
    for tier in &job.tiers {
        table.add_row([
            tier.name.clone(),
            format!("{}x{}", tier.width, tier.height),
            format!("{} %", tier.progress),
            if tier.ready { "yes" } else { "" }.to_owned(),
        ]);
    }
    table.to_string()
}
