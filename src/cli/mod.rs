//! The command line: one file per command, data on standard output, messages on standard error.

mod bars;
mod cancel;
mod capacity;
mod client;
mod config;
mod cost;
mod dev;
mod dlq;
mod doctor;
mod exit;
mod export;
mod follow;
mod local;
mod node;
mod notice;
mod output;
mod plan;
mod priority;
mod queues;
mod report;
mod rm;
mod signals;
mod simulate;
mod spell;
mod status;
mod store;
mod strangers;
mod streams;
mod submit;
mod top;
mod transcode;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bus::private::{GUARD, guard_main};
use crate::descriptors;
use crate::settings::{Log, Settings, Sources};
use crate::telemetry::{self, Tracer};
use exit::Exit;

/// Log filter of one-shot commands without `--verbose`.
const QUIET: &str = "error";

/// Log filter of one-shot commands that run a node. The command itself reports the end of the job.
const QUIET_NODE: &str = "error,jetreel::metrics::log=off";

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    failed; of dlq: a letter was not dealt with
  2    the media was refused, or the command line or a trace is wrong
  3    the job failed
  4    no such job, letter or trace
  6    server or broker unreachable
  130  interrupted";

/// Self-hosted asynchronous video processing on NATS JetStream.
#[derive(Debug, Parser)]
#[command(name = "jetreel", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Settings file [default: ./jetreel.toml, then /etc/jetreel/jetreel.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a setting, as in --set node.slots=4; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = assignment)]
    overrides: Vec<(String, String)>,
    /// Show the log of commands that are otherwise quiet
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, with a private nats-server: to try it out, or for a single machine
    Dev(dev::Arguments),
    /// Run the roles of the setting node.roles, with a broker that is already running
    Node,
    /// Turn one file into a folder with HLS and MP4 on this machine
    Transcode(transcode::Arguments),
    /// Send a file to a server
    Submit(submit::Arguments),
    /// Show the status of a job
    Status(status::Arguments),
    /// Cancel a job for good, and delete its output
    Cancel(cancel::Arguments),
    /// Put a job into another lane: what is queued of it and what follows goes before, or behind, other jobs
    Priority(priority::Arguments),
    /// Delete a video and all its output
    Rm(rm::Arguments),
    /// Show what would be made of a file, and its cost
    Plan(plan::Arguments),
    /// Show what a video has cost
    Cost(cost::Arguments),
    /// Show how many nodes a load needs and what they cost, with the working
    Capacity(Box<capacity::Arguments>),
    /// Replay a trace of uploads against the rules of the scaler: time, nodes and cost
    Simulate(simulate::Arguments),
    /// Compare the broker's streams with streams.toml, and create or update them
    #[command(subcommand)]
    Streams(streams::Command),
    /// Show which store the broker is bound to, or bind it to another
    #[command(subcommand)]
    Store(store::Command),
    /// List, show, replay or discard dead letters
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Show the queues and their lag, or pause and resume them
    Queues(queues::Arguments),
    /// Show queues, slots and nodes live in the terminal
    Top(top::Arguments),
    /// Check this machine, the broker and the store
    Doctor(doctor::Arguments),
    /// Show and check the settings
    #[command(subcommand)]
    Config(config::Command),
}

impl Command {
    /// Whether the command runs a node for a job of its own.
    fn transcodes(&self) -> bool {
        match self {
            Self::Transcode(_) => true,
            Self::Capacity(arguments) => arguments.measures(),
            Self::Dev(_)
            | Self::Node
            | Self::Submit(_)
            | Self::Status(_)
            | Self::Cancel(_)
            | Self::Priority(_)
            | Self::Rm(_)
            | Self::Plan(_)
            | Self::Cost(_)
            | Self::Simulate(_)
            | Self::Streams(_)
            | Self::Store(_)
            | Self::Dlq(_)
            | Self::Queues(_)
            | Self::Top(_)
            | Self::Doctor(_)
            | Self::Config(_) => false,
        }
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("use KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next() == Some(OsString::from(GUARD)) {
        return guard_main(words);
    }
    let arguments = Arguments::parse();
    let sources = Sources::of_process(arguments.config.clone(), arguments.overrides.clone());
    exit::code(run(arguments, &sources))
}

fn run(arguments: Arguments, sources: &Sources) -> anyhow::Result<Exit> {
    let Arguments { command, verbose, .. } = arguments;
    // `config` must work with settings that do not load.
    if let Command::Config(command) = command {
        return config::run(command, sources);
    }
    let settings = Settings::load(sources)?;
    let serves = matches!(command, Command::Dev(_) | Command::Node);
    let transcodes = command.transcodes();
    let quiet = if transcodes { QUIET_NODE } else { QUIET };
    let filter = if serves || verbose { &settings.log.filter } else { quiet };
    let log = Log { filter: filter.to_owned(), format: settings.log.format };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let works = serves || transcodes;
    let tracer = works.then(|| Tracer {
        settings: &settings.telemetry,
        node: settings.node.name_here(),
        runtime: runtime.handle(),
    });
    let telemetry = telemetry::start(&log, tracer)?;
    if works {
        descriptors::raise();
    }
    let done = runtime.block_on(dispatch(command, settings));
    telemetry.end();
    done
}

async fn dispatch(command: Command, settings: Settings) -> anyhow::Result<Exit> {
    match command {
        Command::Dev(arguments) => dev::run(arguments, settings).await,
        Command::Node => node::run(settings).await,
        Command::Transcode(arguments) => transcode::run(arguments, settings).await,
        Command::Submit(arguments) => submit::run(arguments, &settings).await,
        Command::Status(arguments) => status::run(arguments, &settings).await,
        Command::Cancel(arguments) => cancel::run(arguments, &settings).await,
        Command::Priority(arguments) => priority::run(arguments, &settings).await,
        Command::Rm(arguments) => rm::run(arguments, &settings).await,
        Command::Plan(arguments) => plan::run(arguments, &settings).await,
        Command::Cost(arguments) => cost::run(arguments, &settings).await,
        Command::Capacity(arguments) => capacity::run(*arguments, settings).await,
        Command::Simulate(arguments) => simulate::run(&arguments, &settings),
        Command::Dlq(command) => dlq::run(command, settings).await,
        Command::Queues(arguments) => queues::run(arguments, settings).await,
        Command::Top(arguments) => top::run(arguments, settings).await,
        Command::Store(command) => store::run(command, settings).await,
        Command::Streams(command) => streams::run(command, settings).await,
        Command::Doctor(arguments) => doctor::run(arguments, settings).await,
        Command::Config(_) => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_override_needs_a_key_and_a_value() {
        assert_eq!(assignment("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert!(assignment("a.b").is_err());
    }
}
