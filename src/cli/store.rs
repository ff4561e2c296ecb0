//! `jetreel store`: shows and changes which store the broker is bound to.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use jetreel_actors::binding;
use jetreel_actors::ports::Nodes as _;
use jetreel_domain::upkeep::binding::Step;
use jetreel_domain::words::failure::Failure;

use super::exit::Exit;
use super::local::{self, Lasting, Local};
use super::output;
use crate::bus::Bus;
use crate::node::new_store_id;
use crate::settings::Settings;
use crate::store::{OpenDalStore, StoreOptions};

/// A node whose last heartbeat is younger than this counts as running. Heartbeats come more often.
const HEARD_SECONDS: i64 = 60;

/// Commands about the store.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether the store and the broker belong together
    Show(Place),
    /// Bind the broker to the store of the settings after one of them was replaced; no node may be running
    Adopt(Place),
}

/// Place of the broker.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Folder of a `jetreel dev` [default: the settings nats.data and store.root]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(command: Command, mut settings: Settings) -> anyhow::Result<Exit> {
    let (Command::Show(Place { data }) | Command::Adopt(Place { data })) = &command;
    if let Some(data) = data {
        local::use_folder(&mut settings, data);
    }
    match command {
        Command::Show(_) => {
            let bus = local::connect(&settings).await?;
            let store = OpenDalStore::open(&StoreOptions::from(&settings.store))?;
            show(&bus, &store).await
        }
        Command::Adopt(_) => {
            if settings.nats.url.is_some() {
                return adopt(&*local::connect(&settings).await?, &settings).await;
            }
            // The private broker of a `jetreel dev` that does not run because it refuses to start.
            match Local::start(&settings, Lasting::Kept).await {
                Ok(local) => {
                    let (services, broker) = local.split();
                    let adopted = adopt(&services.bus, &settings).await;
                    services.bus.close().await;
                    Local::stop(broker).await;
                    adopted
                }
                Err(error) if is_in_use(&error) => {
                    adopt(&*local::connect(&settings).await?, &settings).await
                }
                Err(error) => Err(error),
            }
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.code == "private-broker-in-use")
}

async fn show(bus: &Bus, store: &OpenDalStore) -> anyhow::Result<Exit> {
    match binding::foresee(bus, store).await? {
        Ok(Step::Bound(id)) => output::data(&format!("store {id} belongs to the broker")),
        Ok(Step::MarkStore | Step::MarkBroker(_)) => {
            output::data("neither has a mark yet; the first node binds them");
        }
        Err(mismatch) => return Err(Failure::from(mismatch).into()),
    }
    Ok(Exit::Done)
}

async fn adopt(bus: &Bus, settings: &Settings) -> anyhow::Result<Exit> {
    let running = running(bus).await?;
    anyhow::ensure!(
        running.is_empty(),
        "nodes run that may write to another store: {}; stop them, wait a minute, and repeat",
        running.join(", ")
    );
    let store = OpenDalStore::open(&StoreOptions::from(&settings.store))?;
    let bound = binding::adopt(bus, &store, new_store_id()).await?;
    output::data(&format!("the broker belongs to the store {} from now on", bound.store()));
    output::note(
        "objects of the store that the broker's state does not name are deleted when they are a day old (reconciler.orphan-seconds); \
         run the nodes without the role reconciler until you know that nothing is missing",
    );
    Ok(Exit::Done)
}

/// Names of nodes with a recent heartbeat.
async fn running(bus: &Bus) -> Result<Vec<String>, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX) - HEARD_SECONDS;
    let said = bus.said(0, usize::MAX).await?;
    let lately = said.words.into_iter().filter(|word| word.presence.at >= since);
    let lately = lately.map(|word| word.presence.node);
    // A report of another version is also the heartbeat of a running node.
    let odd = said.unreadable.into_iter().filter(|word| word.at >= since);
    let mut names: Vec<String> = lately.chain(odd.map(|word| word.id)).collect();
    names.dedup();
    Ok(names)
}
