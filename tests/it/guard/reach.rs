//! Who may publish to a single subject tries every key, id and source of another video, and reaches none.

use std::collections::BTreeMap;
use std::path::Path;

use async_nats::jetstream;
use bytes::Bytes;
use jetreel::bus::names;
use jetreel_actors::deadletter::{Action, DlqService, Fate};
use jetreel_actors::ports::{DeadLetters as _, Queues, Videos};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Status, Video};
use jetreel_domain::output::manifest::Manifest;

use super::forgeries::{Known, Pair, Right, Sign};
use crate::harness::media::{self, ODD_SIZED, SHORT};
use crate::harness::nats::Nats;
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time, untold};
use crate::upload_to_publish::manifest;

/// Streams whose subjects contain a video.
const STREAMS: [&str; 7] =
    ["UPLOADS", "ENCODE", "LEDGER", "PUBLISH", "PROGRESS", "KV_videos", "KV_claims"];

/// Files requested under a video's address.
const FILES: [&str; 8] = [
    "poster.jpg",
    "thumbnails.vtt",
    "240p.mp4",
    "360p.mp4",
    "master.m3u8",
    "240p.m3u8",
    "init-240p.mp4",
    "manifest.json",
];

/// The victim as it was.
struct Victim {
    order: OrderId,
    state: Bytes,
    /// By subject: sequence of the last message.
    messages: BTreeMap<String, u64>,
    /// Everything that it may be known by: its original and its files.
    contents: Vec<Vec<u8>>,
    manifest: Manifest,
}

struct Scene {
    site: Site,
    front: Node,
    mine: Video,
    sound: Bytes,
    victim: Victim,
}

async fn raw_state(site: &Site, order: &OrderId) -> Bytes {
    let context = jetstream::new(site.client().await);
    let stream = context.get_stream("KV_videos").await.unwrap();
    let subject = names::bucket_subject(names::VIDEOS_BUCKET, order.video.as_str());
    stream.get_last_raw_message_by_subject(&subject).await.unwrap().payload
}

async fn messages(site: &Site, order: &OrderId) -> BTreeMap<String, u64> {
    let context = jetstream::new(site.client().await);
    let mut found = BTreeMap::new();
    for name in STREAMS {
        let stream = context.get_stream(name).await.unwrap();
        for subject in site.subjects(name, ">").await {
            if subject.contains(order.video.as_str()) {
                let last = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
                found.insert(subject, last.sequence);
            }
        }
    }
    found
}

impl Scene {
    /// A completed video, and another whose order is open: its tasks are queued, and no worker runs them yet.
    async fn set(pair: &Pair) -> Option<Self> {
        let (theirs, clip) = (media::made(ODD_SIZED)?, media::made(SHORT)?);
        let site = Site::start_with(Nats::start_with_publishers(pair.subjects()).await).await;
        let node = site.node("one", &HASTY).await;
        let told = async |order: &OrderId, bits, clip: &Path| {
            assert_eq!(untold(&site, clip, bits, Status::Queued).await, *order);
            site.bus
                .announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::Normal))
                .await
                .unwrap();
        };
        told(&pair.victim, 1, &theirs).await;
        site.facts(&pair.victim).await.until("completed").await;
        let manifest = manifest(&node, &pair.victim).await;
        let mut contents = vec![std::fs::read(&theirs).unwrap()];
        for object in manifest.objects() {
            let path = site.folder().join("media").join(&object.key);
            contents.push(std::fs::read(path).unwrap());
        }
        in_time("the victim is forgotten", async || site.ledger(&pair.victim).await.is_empty())
            .await;
        drop(node);
        let roles = ("NODE__ROLES", "gateway,ingest,publish,deadletter,reconciler");
        let front = site.node("front", &[&HASTY[..], &[roles]].concat()).await;
        let state = raw_state(&site, &pair.victim).await;
        told(&pair.mine, 2, &clip).await;
        let mut mine = None;
        in_time("mine is planned", async || {
            let found = site.bus.video(&pair.mine.video).await.unwrap().unwrap().value;
            mine = Some(found).filter(|video| video.orders[0].status == Status::Encoding);
            mine.is_some()
        })
        .await;
        let sound = raw_state(&site, &pair.mine).await;
        let messages = messages(&site, &pair.victim).await;
        let victim = Victim { order: pair.victim.clone(), state, messages, contents, manifest };
        Some(Self { site, front, mine: mine.unwrap(), sound, victim })
    }

    /// Publishes as the user with only this right. A message that the server refuses to store is tried again, because an earlier one is in
    /// its place.
    async fn publish(&self, index: usize, right: &Right, body: (async_nats::HeaderMap, Bytes)) {
        let context = jetstream::new(self.site.nats().publisher(index).await);
        in_time("it is stored", async || {
            let (headers, body) = body.clone();
            let sent = context.publish_with_headers(right.subject.clone(), headers, body).await;
            sent.unwrap().await.is_ok()
        })
        .await;
    }

    async fn letters(&self) -> usize {
        let letters = self.site.bus.letters(0, 1000).await.unwrap();
        let ours = ["front", "late"];
        letters.iter().filter(|found| ours.contains(&found.letter.node.as_str())).count()
    }

    /// Waits until the forgery was looked at, and whether it reached anything of the victim's.
    async fn reached(&self, right: &Right, letters: usize) -> bool {
        match right.sign {
            Sign::Letter => in_time("a letter", async || self.letters().await > letters).await,
            Sign::Removed => {
                in_time("removed", async || {
                    !self.site.subjects("LEDGER", ">").await.contains(&right.subject)
                })
                .await;
            }
            Sign::State | Sign::Nothing => {}
        }
        let shown = self.is_shown().await;
        if right.sign == Sign::State {
            // By a person, with the right to do so.
            let context = jetstream::new(self.site.client().await);
            let sent = context.publish(right.subject.clone(), self.sound.clone()).await;
            sent.unwrap().await.unwrap();
        }
        shown || !self.is_untouched().await
    }

    /// Whether something of the victim is shown under the address of the other video.
    async fn is_shown(&self) -> bool {
        let mine = &self.mine.id;
        for name in FILES {
            let answer = self.front.get(&format!("/v/{mine}/{name}")).await;
            let bytes = answer.bytes().await.unwrap();
            let id = self.victim.order.video.as_str().as_bytes();
            let named = bytes.windows(id.len()).any(|window| window == id);
            if named || self.victim.contents.iter().any(|content| **content == *bytes) {
                return true;
            }
        }
        false
    }

    /// Whether everything of the victim is as it was.
    async fn is_untouched(&self) -> bool {
        let Victim { order, state, messages: before, manifest, .. } = &self.victim;
        self.site.must_hold_all_of(manifest).await;
        raw_state(&self.site, order).await == *state && messages(&self.site, order).await == *before
    }

    /// The order that was attacked ends as if nothing had been, and names nothing of the victim's.
    async fn ends_well(&self, pair: &Pair) {
        in_time("mine is complete", async || {
            let found = self.site.bus.video(&pair.mine.video).await.unwrap().unwrap().value;
            found.orders[0].status == Status::Completed
        })
        .await;
        let state = raw_state(&self.site, &pair.mine).await;
        let made = manifest(&self.front, &pair.mine).await;
        let text = format!("{}{}", String::from_utf8_lossy(&state), serde_json::json!(made));
        assert!(!text.contains(self.victim.order.video.as_str()), "{text}");
        assert_eq!(made.source.frames, SHORT.frames);
        self.site.must_hold_all_of(&made).await;
        assert!(self.is_untouched().await);
    }

    /// A letter goes back only where its body belongs.
    async fn replay_all(&self) {
        let bus = &self.site.bus;
        let service = DlqService { broker: bus.clone(), letters: bus.clone(), store: None };
        for buried in bus.letters(0, 1000).await.unwrap() {
            let letter = &buried.letter;
            assert_ne!(letter.order.as_ref(), Some(&self.victim.order), "{}", letter.subject);
            if letter.failure.code == "source-denied" {
                continue;
            }
            let handled = service.handle(Action::Replay, &buried, false).await.unwrap();
            assert_eq!(handled.outcome, Fate::Refused, "{}", letter.subject);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_publish_to_one_subject_reaches_no_other_video() {
    let pair = Pair::new();
    let Some(scene) = Scene::set(&pair).await else { return };
    let victim = scene.site.bus.video(&pair.victim.video).await.unwrap().unwrap().value;
    let images = scene.victim.manifest.images.as_ref().unwrap();
    let known = Known {
        mine: &scene.mine,
        victim: &victim,
        picture: images.files["poster.jpg"].clone(),
        file: scene.victim.manifest.tiers[0].progressive.clone().unwrap(),
    };
    let rights = pair.rights(&known);
    let (mut table, mut all, mut worker) = (Vec::new(), 0, None);
    for (index, right) in rights.iter().enumerate() {
        if index + 1 == rights.len() {
            worker = Some(scene.site.node("late", &[("NODE__ROLES", "encode")]).await);
        }
        let mut reached = 0;
        for body in right.bodies.clone() {
            let letters = scene.letters().await;
            scene.publish(index, right, body).await;
            reached += usize::from(scene.reached(right, letters).await);
        }
        table.push(format!("| {} | {} | {reached} |", right.subject, right.bodies.len()));
        all += reached;
    }
    println!("| right to publish to | tries | reached |\n|---|---|---|\n{}", table.join("\n"));
    assert_eq!(all, 0);
    scene.replay_all().await;
    scene.ends_well(&pair).await;
    drop(worker);
}
