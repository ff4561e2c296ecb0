//! Watches the broker for missing streams, consumers and buckets. It reports them, and creates them anew if that hides no loss. It also
//! reports the fill level of the dead letters.

use std::sync::Arc;
use std::time::Duration;

use jetreel_actors::ports::Survey as _;
use jetreel_domain::delivery::room::{Fill, Room};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bus::Bus;
use crate::bus::topology::{self, Asset, Topology};
use crate::http::{TOPOLOGY_MISSING, Warning};
use crate::settings::Settings;

/// Pause between two checks without signs of a loss.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest pause between two checks.
const LOOK_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The findings, kept up to date until they are dropped.
#[derive(Debug)]
pub struct Upkeep {
    found: watch::Receiver<Found>,
    looking: JoinHandle<()>,
}

#[derive(Debug, Clone, Default)]
struct Found {
    missing: Vec<Asset>,
    room: Option<Room>,
}

impl Upkeep {
    /// Starts the checks.
    #[must_use]
    pub fn start(settings: &Settings, bus: Arc<Bus>, wanted: Topology) -> Self {
        let (tell, found) = watch::channel(Found::default());
        let recreates = settings.nats.recreate;
        let looking = tokio::spawn(async move {
            let keeper = Keeper { bus, wanted, recreates };
            keeper.keep(&tell).await;
        });
        Self { found, looking }
    }

    /// Warnings for the readiness check.
    #[must_use]
    pub fn warnings(&self) -> Arc<dyn Fn() -> Vec<Warning> + Send + Sync> {
        let found = self.found.clone();
        Arc::new(move || warnings(&found.borrow()))
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

struct Keeper {
    bus: Arc<Bus>,
    wanted: Topology,
    recreates: bool,
}

impl Keeper {
    async fn keep(&self, tell: &watch::Sender<Found>) {
        let mut found = Found::default();
        loop {
            let before = found.clone();
            self.look(&mut found).await;
            log(&before, &found);
            tell.send_replace(found.clone());
            if self.recreates && found.missing.iter().any(Asset::may_be_made) {
                self.mend().await;
            }
            tokio::time::sleep(LOOK_INTERVAL_MIN).await;
            if found.missing.is_empty() {
                tokio::select! {
                    () = self.bus.suspects() => {}
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
            }
        }
    }

    /// Checks once. If the broker cannot be reached, the last findings stay.
    async fn look(&self, found: &mut Found) {
        match topology::missing(&self.bus, &self.wanted).await {
            Ok(missing) => {
                let stream = |asset: &&Asset| matches!(asset, Asset::Stream(_));
                let needed = missing.iter().filter(stream).filter(|asset| asset.is_needed());
                let needed: Vec<Asset> = needed.cloned().collect();
                self.bus.lacks((!needed.is_empty()).then(|| topology::told(&needed)));
                found.missing = missing;
            }
            Err(failure) => {
                tracing::debug!(%failure, "the broker's streams could not be read");
                return;
            }
        }
        found.room = self.bus.dead_letters().await.ok();
    }

    async fn mend(&self) {
        match topology::mend(&self.bus, &self.wanted).await {
            Ok(made) => {
                let made = topology::told(&made);
                tracing::warn!(
                    made,
                    "created anew, empty; the work that the states know is queued again"
                );
            }
            Err(failure) => {
                tracing::error!(%failure, detail = failure.detail, "missing streams could not be created");
            }
        }
    }
}

fn log(before: &Found, found: &Found) {
    if before.missing != found.missing {
        match found.missing.as_slice() {
            [] => tracing::info!("the broker has every declared stream"),
            missing => {
                let (lacks, advice) = (topology::told(missing), topology::advice(missing));
                tracing::error!(lacks, "the broker lacks declared streams: {advice}");
            }
        }
    }
    let fill = |found: &Found| found.room.map(|room| room.fill());
    if let (Some(room), false) = (found.room, fill(before) == fill(found)) {
        match room.fill() {
            Fill::Fine => {}
            Fill::Filling | Fill::Full => tracing::warn!("{}", of_letters(&room)),
        }
    }
}

fn warnings(found: &Found) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let missing = |needed: bool| {
        let all = found.missing.iter().filter(move |asset| asset.is_needed() == needed);
        all.cloned().collect::<Vec<_>>()
    };
    for (assets, refuses) in [(missing(true), true), (missing(false), false)] {
        if !assets.is_empty() {
            let (lacks, advice) = (topology::told(&assets), topology::advice(&assets));
            let detail = format!("the broker lacks {lacks}: {advice}").into();
            warnings.push(Warning { code: TOPOLOGY_MISSING, detail, refuses });
        }
    }
    if let Some(room) = &found.room {
        // A full stream is no reason to take the node out of service: it does all other work.
        let code = match room.fill() {
            Fill::Fine => return warnings,
            Fill::Filling => "dead-letters-filling",
            Fill::Full => "dead-letters-full",
        };
        warnings.push(Warning { code, detail: of_letters(room).into(), refuses: false });
    }
    warnings
}

fn of_letters(room: &Room) -> String {
    let state = match room.fill() {
        Fill::Full => "the dead letters are full, and messages that cannot be buried wait",
        Fill::Filling | Fill::Fine => "the dead letters are filling up",
    };
    let Room { letters, bytes, limit } = room;
    let limit = limit.unwrap_or_default();
    format!(
        "{state} ({letters} of {bytes} bytes, limit {limit}): replay or discard some with `jetreel dlq`, or raise max_bytes of DLQ in \
         streams.toml"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stops_work_makes_a_node_unready() {
        let stream = |name: &str| Asset::Stream(name.to_owned());
        let room = Room { letters: 3, bytes: 900, limit: Some(1000) };
        let missing = vec![stream("KV_videos"), stream("DLQ")];
        let said = warnings(&Found { missing, room: Some(room) });
        let refuses: Vec<bool> = said.iter().map(|warning| warning.refuses).collect();
        assert_eq!(refuses, [true, false, false], "{said:?}");
        assert!(said[0].detail.contains("bucket videos: restore it"), "{said:?}");
        assert!(said[1].detail.contains("stream DLQ: run `jetreel streams apply`"), "{said:?}");
        assert_eq!(said[2].code, "dead-letters-full");
        assert_eq!(warnings(&Found::default()), []);
    }
}
