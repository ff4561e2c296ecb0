//! `jetreel priority`: puts a job into another lane.

use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::priority;

use super::client::Server;
use super::exit::Exit;
use super::output;
use crate::settings::Settings;

/// Arguments of `priority`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The job's id, or its video's
    id: String,
    /// high, normal or low
    #[arg(value_parser = priority::lane)]
    lane: Lane,
    #[command(flatten)]
    server: Server,
    /// Print the job as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    let remote = arguments.server.remote(settings)?;
    let (job, document) = remote.prioritise(&arguments.id, arguments.lane).await?;
    if arguments.json {
        output::json(&document)?;
    } else {
        output::data(&format!("{}  {}  {}", job.id, job.status, job.line()));
    }
    Ok(Exit::Done)
}
