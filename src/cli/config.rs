//! `jetreel config`: shows and checks the settings.

use std::path::PathBuf;

use clap::Subcommand;

use super::exit::Exit;
use super::{local, output};
use crate::relations;
use crate::settings::{Settings, Sources};

/// Commands about settings.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every setting, secrets masked
    Show {
        /// Show where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Check whether the settings are valid
    Check {
        /// The settings file, as --config names it
        file: Option<PathBuf>,
    },
}

/// Runs the command.
pub(super) fn run(command: Command, sources: &Sources) -> anyhow::Result<Exit> {
    match command {
        Command::Show { origin } => {
            for setting in Settings::explain(sources)? {
                let line = format!("{} = {}", setting.key, setting.value);
                let from = if origin { format!("  # {}", setting.origin) } else { String::new() };
                output::data(&format!("{line}{from}"));
            }
        }
        Command::Check { file } => {
            let file = file.or_else(|| sources.file.clone());
            let settings = Settings::load(&Sources { file, ..sources.clone() })?;
            let streams = local::streams(&settings)?;
            relations::must_hold(&relations::of_declared(&settings, &streams, None))?;
            output::note("the settings are fine");
        }
    }
    Ok(Exit::Done)
}
