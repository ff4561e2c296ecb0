//! Tasks that end in the middle of an object: their multipart uploads are aborted, however the task ends.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jetreel::node::{self, RunningNode, Services};
use jetreel::settings::{Settings, Sources};
use jetreel_actors::ports::{
    Claims, Codec, CodecSession, PortFuture, ProcessBudget, Readable, Swap,
};
use jetreel_domain::codec::death::CodecDeath;
use jetreel_domain::codec::wire::{FromCodec, Job, JobWork};
use jetreel_domain::delivery::claim::{self, Claim};
use jetreel_domain::id::OrderId;
use jetreel_domain::words::failure::Failure;
use reqwest::StatusCode;
use tokio::sync::Notify;

use crate::clips::jetreel;
use crate::harness::eventually::eventually;
use crate::harness::media::{self, SHORT};
use crate::harness::s3::S3Server;
use crate::harness::site::{Site, Watched, awaited};

/// A fragment larger than a part of a multipart upload, sent so often that parts are on the server.
const FRAGMENT_BYTES: usize = 6 << 20;
const FRAGMENTS: usize = 4;

/// The codec of a node; the first picture task that it does stops in the middle of a long object.
struct Stalling {
    inner: Arc<dyn Codec>,
    stalled: AtomicBool,
    crash: Arc<Notify>,
}

impl Codec for Stalling {
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>> {
        let pictures = matches!(job.work, JobWork::Video(_));
        let stalls = pictures && !self.stalled.swap(true, Ordering::Relaxed);
        Box::pin(async move {
            let inner = self.inner.start(job, objects, budget).await?;
            if !stalls {
                return Ok(inner);
            }
            let (fragment, crash) = (None, Arc::clone(&self.crash));
            Ok(Box::new(StallingSession { inner, fragment, left: FRAGMENTS, crash }) as Box<_>)
        })
    }

    fn build(&self) -> PortFuture<'_, String> {
        self.inner.build()
    }
}

/// Passes everything on up to the first fragment, repeats that one at length, then says no more until it crashes.
struct StallingSession {
    inner: Box<dyn CodecSession>,
    fragment: Option<FromCodec>,
    left: usize,
    crash: Arc<Notify>,
}

impl StallingSession {
    async fn stall(&mut self) -> Result<FromCodec, Failure> {
        let repeated = if let Some(fragment) = &self.fragment {
            fragment.clone()
        } else {
            let frame = self.inner.next().await?;
            let FromCodec::Fragment { chunk, tier, segment, .. } = &frame else {
                return Ok(frame);
            };
            let (chunk, tier, segment) = (*chunk, *tier, segment.clone());
            let bytes = vec![7; FRAGMENT_BYTES].into();
            self.fragment.insert(FromCodec::Fragment { chunk, tier, segment, bytes }).clone()
        };
        if self.left == 0 {
            self.crash.notified().await;
            return Err(Failure::from(CodecDeath::Signal(11)));
        }
        self.left -= 1;
        Ok(repeated)
    }
}

impl CodecSession for StallingSession {
    fn next(&mut self) -> PortFuture<'_, FromCodec> {
        Box::pin(self.stall())
    }

    fn cpu_seconds(&self) -> f64 {
        self.inner.cpu_seconds()
    }
}

/// A node in the middle of an object, parts of which are in the bucket.
struct Held {
    server: S3Server,
    site: Site,
    node: RunningNode,
    claims: Watched<Claim>,
    crash: Arc<Notify>,
    order: OrderId,
}

impl Held {
    async fn start() -> Option<Self> {
        let film = media::made(SHORT)?;
        let server = S3Server::start().await;
        let site = Site::start_on_s3(&server.options()).await;
        let claims = site.claims().await;
        let settings = settings(&site);
        let mut services =
            Services::connect(&settings, settings.nats.url.as_deref().unwrap()).await.unwrap();
        let crash = Arc::<Notify>::default();
        services.ports.codec = Arc::new(Stalling {
            inner: services.ports.codec.clone(),
            stalled: AtomicBool::new(false),
            crash: crash.clone(),
        });
        let node = node::start(&settings, services).await.unwrap();
        let url = format!("http://{}/v1/videos", node.gateway.unwrap());
        let body = std::fs::read(&film).unwrap();
        let answer = reqwest::Client::new().post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let job = answer.headers()["location"].to_str().unwrap().to_owned();
        let order = job.strip_prefix("/v1/jobs/").unwrap().parse().unwrap();
        let held = Self { server, site, node, claims, crash, order };
        let open = async {
            while held.server.leftovers().iter().filter(|name| name.contains(".part-")).count() < 2
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        awaited("an object is being uploaded", open).await;
        Some(held)
    }

    /// The claim of the task that is in hand.
    async fn claim(&mut self) -> (String, Claim) {
        let claims = self.claims.so_far_by_subject().await;
        let of_task =
            |subject: &str| subject.rsplit('.').next().is_some_and(|task| task.contains('-'));
        let task = |subject: String| subject.rsplit('.').next().unwrap().to_owned();
        let taken = claims.into_iter().filter(|(subject, _)| of_task(subject));
        taken.map(|(subject, claim)| (task(subject), claim)).next_back().unwrap()
    }

    async fn nothing_is_left(&self) {
        eventually("no upload is open", || self.server.leftovers().is_empty()).await;
    }
}

fn settings(site: &Site) -> Settings {
    let codec = jetreel().with_file_name("jetreel-codec");
    let own = [
        ("JETREEL__NODE__ROLES", "gateway,ingest,encode,publish"),
        ("JETREEL__CODEC__PATH", codec.to_str().unwrap()),
        ("JETREEL__RETRY__ENCODE", "1s, 1s, 1s"),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let environment = site.settings().iter().cloned().chain(own).collect();
    let sources = Sources { environment, no_usual_places: true, ..Sources::default() };
    Settings::load(&sources).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_crashes_leaves_no_open_upload() {
    let Some(held) = Held::start().await else { return };
    held.crash.notify_one();
    held.nothing_is_left().await;
    held.site.facts(&held.order).await.until("completed").await;
    assert_eq!(held.server.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_leaves_no_open_upload() {
    let Some(held) = Held::start().await else { return };
    let url = format!("http://{}/v1/jobs/{}/cancel", held.node.gateway.unwrap(), held.order);
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    held.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_leaves_no_open_upload() {
    let Some(mut held) = Held::start().await else { return };
    let (task, claim) = held.claim().await;
    let bus = &held.site.bus;
    let found = bus.claim(&held.order, &task.as_str().into()).await.unwrap().unwrap();
    let sequence = claim.sequence;
    let rival = claim::take(Some(claim), "rival".into(), "rival".into(), sequence, 0);
    let swapped =
        bus.swap_claim(&held.order, &task.as_str().into(), &rival, found.revision).await.unwrap();
    assert!(matches!(swapped, Swap::Done(_)));
    held.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_has_aborted_its_uploads_when_it_ends() {
    let Some(held) = Held::start().await else { return };
    held.node.shutdown(Duration::from_secs(10), std::future::ready(())).await;
    // The process ends here, so uploads that are not aborted yet never are.
    assert_eq!(held.server.leftovers(), Vec::<String>::new());
}
