//! `jetreel top`: the load of the cluster, live in a terminal.

mod frame;
mod screen;

use std::io::IsTerminal as _;
use std::time::Duration;

use jetreel_actors::load::Reader;
use jetreel_domain::scale::load::Load;
use jetreel_domain::words::failure::Failure;

use super::exit::{Exit, told};
use super::local::{self, Place};
use super::output;
use super::signals::Signals;
use crate::measuring;
use crate::settings::Settings;
use screen::{Keys, Screen};

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print one frame and end
    #[arg(long)]
    once: bool,
    /// Seconds between two frames
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<Exit> {
    let settings = arguments.place.applied_to(settings);
    if !arguments.once && !std::io::stdout().is_terminal() {
        let text =
            "the output is no terminal; use --once for one frame, or `jetreel queues --json`";
        return Err(told(Exit::Failed, text));
    }
    let bus = local::connect(&settings).await?;
    let build_seconds = settings.reconciler.build_seconds;
    let mut reader = Reader::new(measuring::sources(&bus), build_seconds);
    if arguments.once {
        output::text(&frame::text(&reader.read().await?));
        return Ok(Exit::Done);
    }
    live(&mut reader, Duration::from_secs(arguments.every)).await
}

/// Shows frames until a key or a signal ends it.
async fn live(reader: &mut Reader, every: Duration) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen();
    let screen = Screen::open();
    let mut keys = Keys::listen();
    let mut last: Option<Load> = None;
    loop {
        let next = async {
            let fault = match reader.read().await {
                Ok(load) => {
                    last = Some(load);
                    None
                }
                Err(failure) => Some(failure),
            };
            screen.show(&shown(last.as_ref(), fault.as_ref()));
            tokio::time::sleep(every).await;
        };
        tokio::select! {
            () = next => {}
            () = keys.quit() => return Ok(Exit::Done),
            () = signals.next() => return Ok(Exit::Done),
        }
    }
}

/// The newest frame, and why it is not newer.
fn shown(load: Option<&Load>, fault: Option<&Failure>) -> String {
    let frame = load.map(frame::text).unwrap_or_default();
    match fault {
        None => format!("{frame}\n\nq quits"),
        Some(failure) => {
            format!("{frame}\n\nnot up to date: {} It is tried again.", failure.message)
        }
    }
}
