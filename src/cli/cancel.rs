//! `jetreel cancel`: ends a job for good.

use super::client::Server;
use super::exit::Exit;
use super::output;
use crate::settings::Settings;

/// Arguments of `cancel`.
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
    let (job, document) = remote.cancel(&arguments.id).await?;
    if arguments.json {
        output::json(&document)?;
    } else {
        output::data(&format!("{}  {}", job.id, job.status));
    }
    Ok(Exit::Done)
}
