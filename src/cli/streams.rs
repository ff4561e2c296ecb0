//! `jetreel streams`: what the broker must have, and bringing it there.

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
    /// Say what `apply` would change
    Plan(Place),
    /// Create and update streams, consumers and buckets
    Apply {
        #[command(flatten)]
        place: Place,
        /// Also make changes that lose messages
        #[arg(long)]
        allow_destructive: bool,
    },
    /// Print the declared streams, to begin a file of your own with (nats.streams), or for other tools
    Export {
        /// How
        #[arg(long, value_enum, default_value_t = Format::Toml)]
        format: Format,
    },
}

/// How streams are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// What nats.streams reads, with comments.
    Toml,
    /// What `nats stream add --config` and `nats consumer add --config` take.
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
                output::note("the broker is as declared");
            }
        }
        Command::Apply { place, allow_destructive } => {
            let settings = place.applied_to(settings);
            let bus = local::connect(&settings).await?;
            must_work(&settings, &wanted, &bus)?;
            let changes = topology::apply(&bus, &wanted, allow_destructive).await?;
            changes.iter().for_each(|change| output::data(&change.to_string()));
            output::note("the broker is as declared");
        }
        Command::Export { format: Format::Toml } => {
            output::data(local::streams_text(&settings)?.trim_end());
        }
        Command::Export { format: Format::Json } => output::json(&export_json(&wanted))?,
    }
    Ok(Exit::Done)
}

/// Streams that cannot work with the settings and the server are not compared, and not made.
fn must_work(settings: &Settings, wanted: &Topology, bus: &Bus) -> anyhow::Result<()> {
    relations::must_hold(&relations::of_declared(settings, wanted, Some(bus)))
}
