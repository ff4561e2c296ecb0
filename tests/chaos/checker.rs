//! The checker: compares the guarantees with the state of broker and store, as sets.
//!
//! - Every acknowledged upload has ended: COMPLETED, CANCELLED, or FAILED with a dead letter.
//! - It has exactly one visible result: one completed order, one fact that says so.
//! - Every object that a manifest names is there with its size and hash, and every tier has every frame.
//! - Every fact of a state was published, under one id; and nothing else was.
//! - Nothing exists that no client tried to send, and no message, entry or claim of an ended order is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt as _;
use jetreel::bus::names;
use jetreel_actors::ports::{Ledger, Survey as _, Videos};
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::ledger::{Object, Output};
use jetreel_domain::order::owner::SIGNS;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::upkeep::binding;
use sha2::{Digest as _, Sha256};

use super::stage::is_ended;
use super::world::World;

/// Names of the tiers that the settings of the campaign make.
const TIERS: [&str; 2] = ["96p", "64p"];
/// Dead letters are kept under the subject of the original.
const DEAD: &str = "video.transcodes.dlq.";
/// Says that a folder is a store.
const MARKER: &str = ".jetreel-store";
/// Facts.
const FACTS: &str = "video.transcodes.progress.";

/// Expectations of a scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// Frames of the clip.
    pub(crate) frames: u64,
    /// A job may fail with its reason.
    pub(crate) may_fail: bool,
    /// A job is cancelled by somebody. Otherwise, a cancelled job is a lost one: its node gave up an upload that it had acknowledged.
    pub(crate) may_be_cancelled: bool,
    /// Whether orphans and unfinished uploads are a fault, because sweep and reconciler had enough time.
    pub(crate) swept: bool,
}

/// Findings of the checker.
#[derive(Debug, Default, Clone)]
pub(crate) struct Findings {
    /// Uploads that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Of these, those that have not ended.
    pub(crate) lost: Vec<String>,
    /// Of these, those with more than one visible result.
    pub(crate) duplicated: Vec<String>,
    /// Of these, those that failed with a reason.
    pub(crate) failed: usize,
    /// Uploads without an answer that took place anyway.
    pub(crate) recovered: usize,
    /// Uploads without an answer that are stored and have not ended.
    pub(crate) stuck: usize,
    /// Objects that no document names.
    pub(crate) foreign: Vec<String>,
    /// Messages and records of ended orders.
    pub(crate) left: Vec<String>,
    /// Everything else that does not hold.
    pub(crate) broken: Vec<String>,
}

impl Findings {
    /// Whether everything holds.
    pub(crate) fn holds(&self) -> bool {
        self.lost.is_empty() && self.duplicated.is_empty() && self.broken.is_empty()
    }
}

/// A fact as it was published.
struct Told {
    id: String,
}

struct Checker<'a> {
    world: &'a World,
    expected: Expected,
    /// By `<video>.<number>.<fact>`.
    told: BTreeMap<String, Vec<Told>>,
    /// Subjects of dead letters.
    dead: Vec<String>,
    /// Keys that a document names.
    named: BTreeSet<String>,
    findings: Findings,
}

/// Looks at everything.
///
/// # Errors
/// When broker or store cannot be looked at.
pub(crate) async fn check(world: &World, expected: Expected) -> anyhow::Result<Findings> {
    let told = told(world).await?;
    let rubbish = |name: &str| world.rubbish.iter().any(|id| name.contains(id.as_str()));
    let mut dead = subjects(world, "DLQ").await?;
    dead.retain(|subject| !rubbish(subject));
    let (named, findings) = (BTreeSet::new(), Findings::default());
    let mut checker = Checker { world, expected, told, dead, named, findings };
    checker.facts_have_one_id();
    let acknowledged = world.uploads.acknowledged();
    checker.findings.acknowledged = acknowledged.len();
    let ids: BTreeSet<&VideoId> = acknowledged.iter().map(|order| &order.video).collect();
    if ids.len() != acknowledged.len() {
        checker.findings.broken.push("two uploads got the same id".to_owned());
    }
    for order in &acknowledged {
        checker.upload(order).await?;
    }
    let all = world.bus.videos().await?;
    for id in all.iter().filter(|id| !ids.contains(id) && !rubbish(id.as_str())) {
        checker.unanswered(id).await?;
    }
    if checker.findings.failed == 0 && !checker.dead.is_empty() {
        let letters = format!("dead letters, and nothing failed: {:?}", checker.dead);
        checker.findings.broken.push(letters);
    }
    checker.foreign()?;
    checker.left().await?;
    checker.findings.broken.extend(world.uploads.wrong());
    Ok(checker.findings)
}

impl Checker<'_> {
    fn facts_have_one_id(&mut self) {
        let mut ids = BTreeSet::new();
        for (key, told) in &self.told {
            let id = told.first().map(|told| told.id.clone()).unwrap_or_default();
            if told.len() != 1 || !ids.insert(id) {
                self.findings.broken.push(format!("{key} was told {} times", told.len()));
            }
        }
    }

    async fn upload(&mut self, order: &OrderId) -> anyhow::Result<()> {
        let Some(found) = self.world.bus.video(&order.video).await? else {
            self.findings.lost.push(format!("{order}: no such video"));
            return Ok(());
        };
        let video = found.value;
        self.name_sources(&video);
        if !is_ended(&video) {
            let stand: Vec<_> = video.orders.iter().map(|o| o.status.to_string()).collect();
            let text = format!("{order}: {} ({} told)", stand.join(", "), video.announced);
            self.findings.lost.push(text);
            self.name_open(&video).await?;
            return Ok(());
        }
        let cancelled = |order: &Order| order.status == Status::Cancelled;
        if video.orders.iter().all(cancelled) && !self.expected.may_be_cancelled {
            self.findings.lost.push(format!("{order}: cancelled, and nobody asked for it"));
            return Ok(());
        }
        self.result(&video).await?;
        self.facts(&video);
        Ok(())
    }

    /// Exactly one visible result, and it is what it must be.
    async fn result(&mut self, video: &Video) -> anyhow::Result<()> {
        let id = &video.id;
        let completed: Vec<&Order> =
            video.orders.iter().filter(|order| order.status == Status::Completed).collect();
        let told = self
            .told
            .iter()
            .filter(|(key, _)| key.starts_with(id.as_str()) && key.ends_with(".completed"));
        let told = told.count();
        if completed.len() > 1 || told > 1 {
            self.findings.duplicated.push(format!("{id}: {} results", completed.len().max(told)));
        }
        for order in &completed {
            if let Err(error) = self.published(video, order) {
                self.findings.broken.push(format!("{id}: {error:#}"));
            }
        }
        let failed: Vec<&Order> = video
            .orders
            .iter()
            .filter(|order| order.status == Status::Failed && !order.superseded)
            .collect();
        for order in failed {
            self.findings.failed += 1;
            let reason = order.failure().map(ToString::to_string).unwrap_or_default();
            if !self.expected.may_fail {
                self.findings.broken.push(format!("{id} failed: {reason}"));
            }
            if !self.dead.iter().any(|subject| subject.contains(id.as_str())) {
                self.findings.broken.push(format!("{id} failed without a dead letter: {reason}"));
            }
            self.name_open(video).await?;
        }
        Ok(())
    }

    fn published(&mut self, video: &Video, order: &Order) -> anyhow::Result<()> {
        let published = order.published.as_ref().context("completed without a result")?;
        let bytes = self.object(&published.manifest)?;
        let manifest: Manifest = serde_json::from_slice(&bytes)?;
        anyhow::ensure!(
            (&manifest.video, manifest.order) == (&video.id, order.number),
            "the manifest is of {}-{}",
            manifest.video,
            manifest.order
        );
        let tiers: Vec<(&str, u64)> =
            manifest.tiers.iter().map(|tier| (tier.name.as_str(), tier.frames)).collect();
        let expected = TIERS.map(|tier| (tier, self.expected.frames));
        anyhow::ensure!(tiers == expected, "tiers and frames: {tiers:?}");
        let mut keys = BTreeSet::new();
        for object in manifest.objects() {
            anyhow::ensure!(keys.insert(&object.key), "{} is named twice", object.key);
            self.object(object)?;
        }
        Ok(())
    }

    /// Reads an object that must be there as it was written.
    fn object(&mut self, object: &Object) -> anyhow::Result<Vec<u8>> {
        self.named.insert(object.key.clone());
        let place = self.world.store_root().join(&object.key);
        let bytes = std::fs::read(&place).with_context(|| format!("{} is gone", object.key))?;
        let hash = hex::encode(Sha256::digest(&bytes));
        let found = (bytes.len() as u64, hash.as_str());
        let wanted = (object.bytes, object.sha256.as_str());
        anyhow::ensure!(found == wanted, "{} is not what was written", object.key);
        Ok(bytes)
    }

    /// Facts in the state were announced, announced facts are in the state, and the final fact is among them.
    fn facts(&mut self, video: &Video) {
        let prefix = format!("{}.", video.id);
        let mut told: BTreeSet<String> =
            self.told.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        for order in &video.orders {
            for known in &order.facts {
                let key = format!("{}.{}.{}", video.id, order.number, known.fact);
                let id = format!("{}-{}/{}", video.id, order.number, known.fact);
                let right = self.told.get(&key).is_some_and(|told| told[0].id == id);
                if !told.remove(&key) || !right {
                    self.findings.broken.push(format!("{id} was not told"));
                }
            }
            let word = match order.status {
                Status::Completed => "completed",
                Status::Failed => "failed-",
                Status::Cancelled
                | Status::Receiving
                | Status::Queued
                | Status::Ingesting
                | Status::Encoding
                | Status::Publishing => continue,
            };
            let ends = |known: &jetreel_domain::order::state::Known| {
                known.fact.to_string().starts_with(word)
            };
            if !order.superseded && !order.facts.iter().any(ends) {
                self.findings.broken.push(format!("{} ended in silence", video.id));
            }
        }
        let unknown = told.into_iter().map(|key| format!("{key} was told and is not known"));
        self.findings.broken.extend(unknown);
    }

    /// An upload without an answer: it may have taken place or not.
    async fn unanswered(&mut self, id: &VideoId) -> anyhow::Result<()> {
        let Some(found) = self.world.bus.video(id).await? else { return Ok(()) };
        let video = found.value;
        if !self.world.uploads.has_tried(&video.title) {
            self.findings.broken.push(format!("{id}: nobody sent this"));
        }
        self.name_sources(&video);
        self.name_open(&video).await?;
        if is_ended(&video) {
            self.findings.recovered += 1;
            self.result(&video).await?;
            self.facts(&video);
        } else {
            self.findings.stuck += 1;
        }
        Ok(())
    }

    fn name_sources(&mut self, video: &Video) {
        let sources = video.orders.iter().filter_map(|order| order.source.as_ref());
        for source in sources.chain([&video.source]) {
            self.named.extend(source.parts.iter().map(|part| part.key.clone()));
            let Some(object) = &source.list else { continue };
            let read = |bytes: Vec<u8>| Ok(rmp_serde::from_slice::<PartList>(&bytes)?);
            match self.object(object).and_then(read) {
                Ok(parts) => self.named.extend(parts.iter().map(|part| part.key())),
                Err(error) => self.findings.broken.push(format!("{}: {error:#}", video.id)),
            }
        }
        let plans = video.orders.iter().filter_map(|order| order.plan.as_ref());
        self.named.extend(plans.map(|plan| plan.object.key.clone()));
    }

    /// Adds the objects that the ledger of open orders names.
    async fn name_open(&mut self, video: &Video) -> anyhow::Result<()> {
        for order in video.orders.iter().filter(|order| !order.is_closed()) {
            let (entries, _) = self.world.bus.entries(&video.order_id(order.number), 0).await?;
            let outputs = entries.iter().flat_map(|entry| &entry.outputs);
            self.named.extend(outputs.flat_map(Output::objects).map(|object| object.key.clone()));
        }
        Ok(())
    }

    /// Queues run empty, and a closed order leaves no entries and no claims.
    async fn left(&mut self) -> anyhow::Result<()> {
        let context = jetstream::new(self.world.watch.client().clone());
        for stream in [names::ENCODE, names::PUBLISH] {
            let queued = context.get_stream(stream).await?.info().await?.state.messages;
            if queued > 0 {
                self.findings.left.push(format!("{queued} messages are left on {stream}"));
            }
        }
        for order in self.world.bus.orders_on_record().await? {
            let found = self.world.bus.video(&order.video).await?;
            let state = found.as_ref().and_then(|found| found.value.order(order.number));
            if state.is_none_or(Order::is_closed) {
                self.findings.left.push(format!("{order} is closed and has records"));
            }
        }
        for id in self.world.bus.uploads_on_record().await? {
            let found = self.world.bus.video(&id).await?.map(|found| found.value);
            let receives = |order: &Order| order.status == Status::Receiving;
            if found.is_none_or(|video| !video.orders.iter().any(receives)) {
                self.findings.left.push(format!("{id} does not arrive and has a log"));
            }
        }
        if self.expected.swept {
            self.findings.broken.extend(self.findings.left.iter().cloned());
        }
        Ok(())
    }

    fn foreign(&mut self) -> anyhow::Result<()> {
        let mut keys = Vec::new();
        list(self.world.store_root(), "", &mut keys)?;
        keys.retain(|key| !self.named.contains(key));
        if self.expected.swept {
            let complaints = keys.iter().map(|key| format!("{key} was not swept"));
            self.findings.broken.extend(complaints);
        }
        if self.expected.swept && self.findings.stuck > 0 {
            let complaint = format!("{} uploads were never mended", self.findings.stuck);
            self.findings.broken.push(complaint);
        }
        self.findings.foreign = keys;
        Ok(())
    }
}

/// Every file of a store but its markers and the signs of nodes, half-written ones too.
fn list(root: &Path, prefix: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(root.join(prefix)) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let sign = prefix.is_empty() && name == SIGNS.trim_end_matches('/');
        if name == MARKER || name == binding::KEY || sign {
            continue;
        }
        let key = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if entry.file_type()?.is_dir() {
            list(root, &key, found)?;
        } else {
            found.push(key);
        }
    }
    Ok(())
}

async fn told(world: &World) -> anyhow::Result<BTreeMap<String, Vec<Told>>> {
    let context = jetstream::new(world.watch.client().clone());
    let mut stream = context.get_stream(names::PROGRESS).await?;
    let mut left = stream.info().await?.state.messages;
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;
    let mut told = BTreeMap::<String, Vec<Told>>::new();
    while left > 0 {
        let message = messages.next().await.context("the facts broke off")??;
        left -= 1;
        let key = message.subject.strip_prefix(FACTS).unwrap_or_default().to_owned();
        let id = message.headers.as_ref().and_then(|headers| headers.get("ce-id"));
        let id = id.map(ToString::to_string).unwrap_or_default();
        told.entry(key).or_default().push(Told { id });
    }
    Ok(told)
}

/// Subjects of dead letters.
async fn subjects(world: &World, stream: &str) -> anyhow::Result<Vec<String>> {
    let context = jetstream::new(world.watch.client().clone());
    let stream = context.get_stream(stream).await?;
    let mut found = stream.info_with_subjects(format!("{DEAD}>")).await?;
    let mut subjects = Vec::new();
    while let Some(item) = found.next().await {
        subjects.push(item?.0);
    }
    Ok(subjects)
}
