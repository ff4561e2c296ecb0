//! `jetreel rm`: deletes a video.

use super::client::Server;
use super::exit::Exit;
use super::output;
use crate::settings::Settings;

/// Arguments of `rm`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The video's id
    video: String,
    #[command(flatten)]
    server: Server,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<Exit> {
    let remote = arguments.server.remote(settings)?;
    let document = remote.remove(&arguments.video).await?;
    if arguments.json {
        output::json(&document)?;
    } else {
        output::data(&format!("{}  deleted", arguments.video));
    }
    Ok(Exit::Done)
}
