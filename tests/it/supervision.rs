//! Actors that panic: whatever stage it is, it is started again, and the work that it dropped comes back.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jetreel::bus::topology::{self, DEFAULT, Topology};
use jetreel::node::{self, Services};
use jetreel::settings::{Settings, Sources};
use jetreel_actors::event::Event;
use jetreel_actors::parts;
use jetreel_actors::ports::Environment;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Status, Video};

use crate::clips::jetreel;
use crate::harness::media::{self, SHORT};
use crate::harness::nats::Nats;
use crate::harness::original;
use crate::harness::site::awaited;

/// Panics once in every stage, from within it, or again and again in one.
struct Saboteur {
    inner: Arc<dyn Environment>,
    done: Mutex<BTreeSet<&'static str>>,
    always: Option<&'static str>,
    ended: tokio::sync::Notify,
}

impl Saboteur {
    /// The stage that tells of this event.
    fn stage(event: &Event) -> Option<&'static str> {
        match event {
            Event::Planned { .. } => Some("ingest"),
            Event::SlotsBusy { .. } => Some("dispatch"),
            Event::TaskStarted { .. } => Some("slot"),
            Event::Announced { .. } => Some("publisher"),
            Event::OrderMoved { .. }
            | Event::Released { .. }
            | Event::TierProgress { .. }
            | Event::TaskFinished { .. }
            | Event::AttemptFailed { .. }
            | Event::ClaimLost { .. }
            | Event::Buried { .. }
            | Event::Refused { .. }
            | Event::Unburied { .. }
            | Event::HookCalled { .. }
            | Event::Revived { .. }
            | Event::OrphanSettled { .. }
            | Event::Undeliverable { .. }
            | Event::BreakerOpened { .. }
            | Event::BreakerClosed
            | Event::RenewFailed { .. }
            | Event::SwapConflict { .. }
            | Event::StageFault { .. }
            | Event::CostCounted { .. }
            | Event::Pulled { .. }
            | Event::Leading { .. }
            | Event::LoadMeasured(_)
            | Event::Scaled(_)
            | Event::Reconciled(_) => None,
        }
    }
}

impl Environment for Saboteur {
    fn now(&self) -> i64 {
        self.inner.now()
    }

    fn uuid(&self) -> String {
        self.inner.uuid()
    }

    fn chance(&self) -> f64 {
        self.inner.chance()
    }

    fn emit(&self, event: Event) {
        let stage = Self::stage(&event);
        if matches!(event, Event::OrderMoved { to: Status::Completed | Status::Failed, .. }) {
            self.ended.notify_one();
        }
        self.inner.emit(event);
        if let Some(stage) = stage
            && match self.always {
                None => self.done.lock().unwrap().insert(stage),
                Some(always) => always == stage,
            }
        {
            panic!("the {stage} is made to panic by its test");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_panics_is_started_again() {
    let Some((done, video)) = sabotaged(None).await else { return };
    assert_eq!(done, ["dispatch", "ingest", "publisher", "slot"], "all have panicked");
    assert_eq!(video.order(1).unwrap().status, Status::Completed);
}

/// Its attempts count, although no process dies with them.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_always_panics_dies() {
    let Some((_, video)) = sabotaged(Some("slot")).await else { return };
    let order = video.order(1).unwrap();
    assert_eq!(order.status, Status::Failed);
    let dead = order.dead.values().next().unwrap();
    assert_eq!(dead.failure.code, "stage-panicked");
    assert!(dead.failure.detail.contains("the slot is made to panic"), "{dead:?}");
}

/// Runs an upload on a node whose stages panic. Returns which did, and the video when its order has ended; `None` without ffmpeg.
async fn sabotaged(always: Option<&'static str>) -> Option<(Vec<&'static str>, Video)> {
    let file = media::made(SHORT)?;
    let (nats, bus) = Nats::start_with_streams().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let mut services = Services::connect(&settings, nats.url()).await.unwrap();
    let saboteur = Arc::new(Saboteur {
        inner: services.ports.environment.clone(),
        done: Mutex::default(),
        always,
        ended: tokio::sync::Notify::new(),
    });
    services.ports.environment = saboteur.clone();
    let ports = services.ports.clone();
    let running = node::start(&settings, services).await.unwrap();
    // The message of a dead actor is delivered again when its lease ends: soon, in this test.
    let short = DEFAULT.replace("ack_wait = \"25s\"", "ack_wait = \"6s\"");
    topology::apply(&bus, &Topology::parse(&short).unwrap(), false).await.unwrap();

    let id = VideoId::from_bits(7);
    let (store, bytes) = (ports.store.as_ref(), std::fs::read(&file).unwrap());
    let list = original::stored(store, &id, bytes, 1 << 20).await;
    let mut video = Video::receiving(id.clone(), String::new(), Lane::Normal, 0);
    video.source = parts::write(store, "test", &id, &list).await.unwrap();
    video.advance(1, Status::Queued, 0).unwrap();
    ports.broker.create_video(&video).await.unwrap();
    ports.broker.announce_upload(&Uploaded::new(id.clone(), 1, Lane::Normal)).await.unwrap();

    awaited("the order has ended", saboteur.ended.notified()).await;
    let done = saboteur.done.lock().unwrap().iter().copied().collect();
    let video = ports.broker.video(&id).await.unwrap().unwrap().value;
    running.shutdown(Duration::from_secs(5), std::future::pending()).await;
    Some((done, video))
}

fn settings(folder: &tempfile::TempDir) -> Settings {
    let root = folder.path().join("media");
    let codec = jetreel().with_file_name("jetreel-codec");
    let values = [
        ("JETREEL__STORE__ROOT", root.to_str().unwrap()),
        ("JETREEL__CODEC__PATH", codec.to_str().unwrap()),
        ("JETREEL__PLAN__PRESET", "ultrafast"),
        ("JETREEL__RETRY__INGEST", "1s, 1s"),
        ("JETREEL__RETRY__ENCODE", "1s, 1s"),
        ("JETREEL__RETRY__PUBLISH", "1s, 1s"),
        ("JETREEL__NODE__ROLES", "ingest,encode,publish"),
    ];
    let environment = values.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let sources = Sources { environment, no_usual_places: true, ..Sources::default() };
    Settings::load(&sources).unwrap()
}
