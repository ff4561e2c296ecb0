//! `jetreel streams`: compares and applies the declared streams.

use clap::{Subcommand, ValueEnum};

use super::exit::Exit;
use super::local::{self, Place};
use super::output;
use crate::bus::Bus;
use crate::bus::topology::Topology;
use crate::bus::topology::{self, export_json};
use crate::relations;
use crate::settings::Settings;

/// Commands about streams.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what `apply` would change
    Plan(Place),
    /// Create and update streams, consumers and buckets
    Apply {
        #[command(flatten)]
        place: Place,
        /// Also make changes that lose messages
        #[arg(long)]
        allow_destructive: bool,
    },
    /// Print the declared streams, as a start for your own file (nats.streams) or for other tools
    Export {
        /// Format of the output
        #[arg(long, value_enum, default_value_t = Format::Toml)]
        format: Format,
    },
}

/// Output format of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// TOML for nats.streams, with comments.
    Toml,
    /// JSON for `nats stream add --config` and `nats consumer add --config`.
    Json,
}

/// Runs the command.
pub(super) async fn run(command: Command, settings: Settings) -> anyhow::Result<Exit> {
    let wanted = local::streams(&settings)?;
    match command {
        Command::Plan(place) => {
            let settings = place.applied_to(settings);
            let bus = local::connect(&settings).await?;
            must_work(&settings, &wanted, &bus)?;
            let changes = topology::plan(&bus, &wanted).await?;
            changes.iter().for_each(|change| output::data(&change.to_string()));
            if changes.is_empty() {
                output::note("the broker matches the declared streams");
            }
        }
        Command::Apply { place, allow_destructive } => {
            let settings = place.applied_to(settings);
            let bus = local::connect(&settings).await?;
            must_work(&settings, &wanted, &bus)?;
            let changes = topology::apply(&bus, &wanted, allow_destructive).await?;
            changes.iter().for_each(|change| output::data(&change.to_string()));
            output::note("the broker matches the declared streams");
        }
        Command::Export { format: Format::Toml } => {
            output::data(local::streams_text(&settings)?.trim_end());
        }
        Command::Export { format: Format::Json } => output::json(&export_json(&wanted))?,
    }
    Ok(Exit::Done)
}

/// Fails for streams that cannot work with the settings and the server, before they are compared or created.
fn must_work(settings: &Settings, wanted: &Topology, bus: &Bus) -> anyhow::Result<()> {
    relations::must_hold(&relations::of_declared(settings, wanted, Some(bus)))
}
