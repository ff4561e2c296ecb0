//! Bodies and documents that name another video's objects, for each subject that a client may publish to.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;
use jetreel::bus::names;
use jetreel_domain::delivery::announcement::Announcement;
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded, VERSION};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::{Entry, ImagesOutput, Object, Output, PackageOutput};
use jetreel_domain::order::state::{Fact, Part, Source, Status, Video};
use serde::Serialize;

/// How one knows that a forgery was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is a dead letter.
    Letter,
    /// It is gone from the ledger.
    Removed,
    /// It is a state, which is put right by hand afterwards.
    State,
    /// Nothing reads it until a request does.
    Nothing,
}

/// The right to one subject, and what is tried with it.
pub(super) struct Right {
    pub(super) subject: String,
    pub(super) sign: Sign,
    pub(super) bodies: Vec<(HeaderMap, Bytes)>,
}

/// The two videos.
pub(super) struct Pair {
    /// The order whose subjects the publisher may use.
    pub(super) mine: OrderId,
    pub(super) victim: OrderId,
}

/// Facts of the victim that an attacker may know.
pub(super) struct Known<'a> {
    pub(super) mine: &'a Video,
    pub(super) victim: &'a Video,
    /// Its poster.
    pub(super) picture: Object,
    /// One of its files.
    pub(super) file: Object,
}

impl Known<'_> {
    /// Key of the first part of the victim's original.
    fn raw(&self) -> String {
        format!("raw/{}/00000", self.victim.id)
    }
}

impl Pair {
    pub(super) fn new() -> Self {
        let order = |bits| OrderId::new(VideoId::from_bits(bits), 1);
        Self { victim: order(1), mine: order(2) }
    }

    /// Every subject of `mine` that a client may have the right to.
    pub(super) fn subjects(&self) -> Vec<String> {
        let mine = &self.mine;
        let task = |group, index| TaskId::new(group, index);
        let key = |key: String| names::bucket_subject(names::CLAIMS_BUCKET, &key);
        let dead = subject::encode(Lane::Low, mine, task(Group::Main, 0));
        vec![
            subject::upload(&mine.video),
            subject::publish(mine),
            subject::ledger(mine, task(Group::Images, 0)),
            subject::ledger(mine, task(Group::Package, 1)),
            subject::ledger_part(mine, task(Group::Audio, 0), 0),
            names::bucket_subject(names::VIDEOS_BUCKET, mine.video.as_str()),
            key(subject::claim_key(mine, &"images-0000".into())),
            subject::progress(mine, &Fact::Completed),
            subject::dead_letter(&dead),
            // Last, because a worker encodes only after that.
            dead,
        ]
    }

    /// The same with what is tried there.
    pub(super) fn rights(&self, known: &Known<'_>) -> Vec<Right> {
        let subjects = self.subjects().into_iter();
        let all = subjects.zip([
            (Sign::Letter, self.uploads(known)),
            (Sign::Letter, vec![plain(&Evaluate { v: 1, order: self.victim.clone() })]),
            (Sign::Removed, self.entries(TaskId::new(Group::Images, 0), None, known)),
            (Sign::Removed, self.entries(TaskId::new(Group::Package, 1), None, known)),
            (Sign::Removed, self.entries(TaskId::new(Group::Audio, 0), Some(0), known)),
            (Sign::State, states(known)),
            (Sign::Nothing, self.claims()),
            (Sign::Nothing, vec![self.fact()]),
            (Sign::Nothing, self.letters(known)),
            (Sign::Letter, self.tasks(known)),
        ]);
        all.map(|(subject, (sign, bodies))| Right { subject, sign, bodies }).collect()
    }

    fn uploads(&self, known: &Known<'_>) -> Vec<(HeaderMap, Bytes)> {
        let upload = |of: &OrderId, source: Option<&str>| {
            let (video, source) = (of.video.clone(), source.map(str::to_owned));
            plain(&Uploaded { source, ..Uploaded::new(video, 1, Lane::High) })
        };
        let raw = known.raw();
        let raw = raw.as_str();
        let plan = known.victim.orders[0].plan.as_ref().unwrap().object.key.as_str();
        vec![
            upload(&self.victim, None),
            upload(&self.victim, Some(raw)),
            upload(&self.mine, Some(raw)),
            upload(&self.mine, Some(plan)),
            upload(&self.mine, Some(&known.picture.key)),
            upload(&self.mine, Some("incoming/of-an-operator.mp4")),
            upload(
                &self.mine,
                Some(&format!("raw/{}/../{}/00000", self.mine.video, self.victim.video)),
            ),
            upload(&self.mine, Some("jetreel-store.json")),
        ]
    }

    fn tasks(&self, known: &Known<'_>) -> Vec<(HeaderMap, Bytes)> {
        let task = |of: &OrderId, plan: &Object| {
            let (order, plan, plan_sha256) = (of.clone(), plan.key.clone(), plan.sha256.clone());
            let task = TaskId::new(Group::Main, 0);
            plain(&EncodeTask { v: VERSION, order, task, lane: Lane::Low, plan, plan_sha256 })
        };
        let theirs = &known.victim.orders[0].plan.as_ref().unwrap().object;
        let raw = Object { key: known.raw(), ..theirs.clone() };
        vec![task(&self.victim, theirs), task(&self.mine, theirs), task(&self.mine, &raw)]
    }

    fn entries(
        &self,
        task: TaskId,
        part: Option<u32>,
        known: &Known<'_>,
    ) -> Vec<(HeaderMap, Bytes)> {
        let raw = Object { key: known.raw(), ..known.file.clone() };
        let up = format!("out/{}/1/{task}/../../../{}", self.mine.video, known.picture.key);
        let up = Object { key: up, ..known.picture.clone() };
        let outputs = [&raw, &known.picture, &known.file, &up].into_iter().flat_map(results);
        let mine = outputs.map(|output| self.entry(&self.mine, task, part, vec![output]));
        let theirs = self.entry(&self.victim, task, part, Vec::new());
        let misplaced = self.entry(&self.mine, TaskId::new(Group::Main, 7), part, Vec::new());
        let mut all: Vec<_> = mine.chain([theirs, misplaced]).map(|entry| plain(&entry)).collect();
        all.push((HeaderMap::new(), Bytes::from_static(b"garbage")));
        all
    }

    fn entry(
        &self,
        order: &OrderId,
        task: TaskId,
        part: Option<u32>,
        outputs: Vec<Output>,
    ) -> Entry {
        Entry {
            v: 1,
            writer: "mallory".to_owned(),
            order: order.clone(),
            task,
            part,
            parts: 0,
            outputs,
            node: "mallory".to_owned(),
            attempt: 1,
            codec_build: "build".to_owned(),
            confinement: "FULL".to_owned(),
            cpu_seconds: 0.5,
            wall_seconds: 0.5,
        }
    }

    /// A claim says which message of the queue it is for, and in which folder its attempt writes.
    fn claims(&self) -> Vec<(HeaderMap, Bytes)> {
        let up = format!("../../../{}/1/images-0000/x", self.victim.video);
        ["x", up.as_str()]
            .map(|id| {
                let claim = serde_json::json!({
                    "attempt_id": id, "node": "mallory", "sequence": 1, "attempts": 0,
                });
                (HeaderMap::new(), Bytes::from(claim.to_string()))
            })
            .to_vec()
    }

    fn fact(&self) -> (HeaderMap, Bytes) {
        plain(&Announcement {
            v: 1,
            video: self.victim.video.clone(),
            order: self.victim.to_string(),
            fact: "completed".to_owned(),
            seq: 1,
            at: 0,
            title: "forged".to_owned(),
            status: Some(Status::Completed),
            tier: None,
            tiers: Vec::new(),
            playlist: None,
            published: None,
            error: None,
            source_bytes: 0,
        })
    }

    /// Letters that say of themselves that they are the victim's.
    fn letters(&self, known: &Known<'_>) -> Vec<(HeaderMap, Bytes)> {
        let mut headers = HeaderMap::new();
        headers.insert("Jetreel-Order", self.victim.to_string());
        headers.insert("Jetreel-Stage", "encode");
        headers.insert("Jetreel-Task", "main-0000");
        self.tasks(known).into_iter().map(|(_, body)| (headers.clone(), body)).collect()
    }
}

/// Results that would name an object.
fn results(object: &Object) -> [Output; 2] {
    let files = BTreeMap::from([("poster.jpg".to_owned(), object.clone())]);
    let images = ImagesOutput { files, poster: "poster.jpg".into(), vtt: "thumbnails.vtt".into() };
    let package = PackageOutput { tier: 1, object: object.clone(), verified: None };
    [Output::Images(images), Output::Package(package)]
}

fn states(known: &Known<'_>) -> Vec<(HeaderMap, Bytes)> {
    let edited = |edit: fn(&mut Video, &Video)| {
        let mut video = known.mine.clone();
        edit(&mut video, known.victim);
        (HeaderMap::new(), Bytes::from(serde_json::to_vec(&video).unwrap()))
    };
    vec![
        (HeaderMap::new(), Bytes::from(serde_json::to_vec(known.victim).unwrap())),
        edited(|mine, victim| mine.source = victim.source.clone()),
        edited(|mine, victim| mine.orders[0].source = Some(victim.source.clone())),
        edited(|mine, victim| mine.orders[0].plan.clone_from(&victim.orders[0].plan)),
        edited(|mine, victim| {
            mine.orders[0].published.clone_from(&victim.orders[0].published);
            mine.orders[0].status = Status::Completed;
        }),
        edited(|mine, victim| {
            let mut published = victim.orders[0].published.clone().unwrap();
            published.prefix = format!("out/{}/1/final-x", mine.id);
            mine.orders[0].published = Some(published);
            mine.orders[0].status = Status::Completed;
        }),
        edited(|mine, victim| {
            let key = format!("raw/{}/../{}/00000", mine.id, victim.id);
            mine.source = Source { bytes: 1, parts: vec![Part { key, bytes: 1 }], list: None };
        }),
        edited(|mine, victim| {
            let key = format!("raw/{}/00000", victim.id);
            mine.source = Source { bytes: 1, parts: vec![Part { key, bytes: 1 }], list: None };
        }),
    ]
}

fn plain(body: &impl Serialize) -> (HeaderMap, Bytes) {
    (HeaderMap::new(), rmp_serde::to_vec_named(body).unwrap().into())
}
