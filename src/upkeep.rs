//! Looks after what the broker must have. What is missing of it is said, and made anew where that hides no loss. How full the dead
//! letters are is said too.

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

/// Between two looks where nothing is missing and nothing looks so.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks in any case.
const LOOK_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// What was found, kept up to date until it is dropped.
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
    /// Begins to look.
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

    /// What readiness says, now and whenever it is asked.
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

    /// Where the broker cannot be asked, what was known stands.
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
                tracing::debug!(%failure, "what the broker has is not known");
                return;
            }
        }
        found.room = self.bus.dead_letters().await.ok();
    }

    async fn mend(&self) {
        match topology::mend(&self.bus, &self.wanted).await {
            Ok(made) => {
                let made = topology::told(&made);
                tracing::warn!(made, "made anew, empty; what state knows of it is queued again");
            }
            Err(failure) => {
                tracing::error!(%failure, detail = failure.detail, "what is missing cannot be made");
            }
        }
    }
}

fn log(before: &Found, found: &Found) {
    if before.missing != found.missing {
        match found.missing.as_slice() {
            [] => tracing::info!("the broker has all that is declared"),
            missing => {
                let (lacks, advice) = (topology::told(missing), topology::advice(missing));
                tracing::error!(lacks, "the broker lacks what is declared: {advice}");
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
        // The node does all other work: to take it out of service would help nobody.
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
        Fill::Full => "the dead letters are full, and what dies waits",
        Fill::Filling | Fill::Fine => "the dead letters fill up",
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
