//! Codec processes that hostile media took over: whatever they send, for as long as they send it, the task ends with its typed
//! failure within seconds, the node stays as small as it was, nothing of theirs stays, and the next job is done as ever.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jetreel_domain::id::OrderId;

use crate::clips::{below, jetreel};
use crate::harness::fake_codec::fixture;
use crate::harness::media::{self, Recipe};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::lies::{self, Lie};
use usage::Usage;

/// From the upload to the end of its job. A machine that is busy with other tests is slow; a codec that never stops is slower.
const SECONDS_MAX: Duration = Duration::from_secs(60);

/// One chunk of one tier, with sound: little work, all kinds of it.
const CLIP: Recipe = Recipe {
    name: "tiny-3s.mp4",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=128x96:rate=25:duration=3",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000:duration=3",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-ac",
        "2",
    ],
    frames: 75,
};

/// Permanent misbehaviour of a codec once a result is being made, and the failure it ends with.
const HABITS: [(&str, &str); 16] = [
    ("names", "codec-protocol"),
    ("progress", "codec-output-budget"),
    ("rising", "codec-protocol"),
    ("reads", "codec-read-budget"),
    ("outside", "codec-protocol"),
    ("unreadable", "codec-protocol"),
    ("complaint", "codec-protocol"),
    ("escape", "codec-protocol"),
    ("greeting", "codec-protocol"),
    ("garbage", "codec-protocol"),
    ("giant", "codec-protocol"),
    ("promise", "codec-protocol"),
    ("nested", "codec-protocol"),
    ("lists", "codec-protocol"),
    ("closed", "codec-protocol"),
    ("orphan", "codec-exit"),
];

/// A key and its value.
type Setting<'a> = (&'a str, &'a str);

/// The setting that makes a separate task of that kind. By default the clip's images and file are made by one task.
fn setting(kind: &str) -> Option<Setting<'static>> {
    match kind {
        "Images" => Some(("PLAN__PACKAGE", "false")),
        "Package" => Some(("PLAN__IMAGES", "false")),
        _ => None,
    }
}

/// A node with a codec that misbehaves as armed.
struct Stage {
    site: Site,
    node: Node,
    folder: PathBuf,
    clip: PathBuf,
}

impl Stage {
    /// `None` where there is no ffmpeg to make the clip.
    async fn open(own: Option<Setting<'static>>) -> Option<Self> {
        let clip = media::made(CLIP)?;
        let site = Site::start().await;
        let folder = site.folder().join("hostile");
        std::fs::create_dir(&folder).unwrap();
        let link = |to: PathBuf, name| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
        link(fixture("hostile_codec"), "codec");
        link(jetreel().with_file_name("jetreel-codec"), "real");
        let codec = folder.join("codec").to_str().unwrap().to_owned();
        let settings = [
            ("CODEC__PATH", codec.as_str()),
            // A second attempt would be the same again.
            ("RETRY__INGEST", ""),
            ("RETRY__ENCODE", ""),
            ("PLAN__FIRST_TASKS", "1"),
        ];
        let settings: Vec<Setting> = settings.into_iter().chain(own).collect();
        let node = site.node("one", &settings).await;
        let stage = Self { site, node, folder, clip };
        stage.works().await;
        Some(stage)
    }

    fn arm(&self, kind: &str, plot: &str) {
        std::fs::write(self.folder.join("armed"), format!("{kind} {plot}")).unwrap();
    }

    /// A job without any betrayal.
    async fn works(&self) {
        drop(std::fs::remove_file(self.folder.join("armed")));
        let order = self.node.submit(&self.clip).await;
        self.site.facts(&order).await.until("completed").await;
        let manifest = crate::upload_to_publish::manifest(&self.node, &order).await;
        assert_eq!(manifest.source.frames, CLIP.frames);
        self.site.must_hold_all_of(&manifest).await;
    }

    /// The fault in how such a job ends. It must fail with `code` or, without one, complete, and leave the node unchanged.
    async fn problem(&self, kind: &str, plot: &str, code: Option<&str>) -> Option<String> {
        let before = Usage::of(self.node.pid());
        let watch = usage::watch(self.node.pid());
        self.arm(kind, plot);
        let order = self.node.submit(&self.clip).await;
        let end = tokio::time::timeout(SECONDS_MAX, self.end(&order)).await;
        let end = end.unwrap_or_else(|_| format!("no end within {SECONDS_MAX:?}"));
        drop(std::fs::remove_file(self.folder.join("armed")));
        let quiet = self.is_quiet(&order).await;
        let most = watch.await_end();
        let back = before.is_back(self.node.pid()).await;
        let ended = (end != code.unwrap_or("completed")).then_some(end);
        let problems = [
            ended,
            (!quiet).then(|| "it goes on".to_owned()),
            before.excess(&most),
            back,
            self.left(&order, code.is_some()).await,
        ];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        (!problems.is_empty()).then(|| format!("{kind} {plot}: {}", problems.join("; ")))
    }

    /// How a job ends: its code, or that it is complete.
    async fn end(&self, order: &OrderId) -> String {
        let mut facts = self.site.facts(order).await;
        loop {
            let fact = facts.next().await.body;
            match (fact.fact.as_str(), fact.error) {
                ("failed-1", Some(error)) => return error.code,
                ("completed", _) => return fact.fact,
                (_, _) => {}
            }
        }
    }

    /// Waits until the tasks that were under way have ended too.
    async fn is_quiet(&self, order: &OrderId) -> bool {
        use jetreel_actors::ports::Survey as _;
        in_time(async || {
            let queued = self.site.bus.queued_tasks(order).await.unwrap();
            queued.is_empty() && self.node.codecs_of("codec").is_empty()
        })
        .await
    }

    /// Half written objects and, while there is a ledger, those of tasks without an entry.
    async fn left(&self, order: &OrderId, ledger: bool) -> Option<String> {
        let entries = self.site.ledger(order).await;
        let finished: BTreeSet<String> =
            entries.iter().map(|entry| entry.task.to_string()).collect();
        let out = format!("out/{}/{}/", order.video, order.number);
        let root = self.site.folder().join("media");
        let orphan = |name: &String| {
            let task = name.strip_prefix(&out).and_then(|rest| rest.split_once('/'));
            ledger && task.is_some_and(|(task, _)| !finished.contains(task))
        };
        let files = below(&root).into_iter().filter(|name| root.join(name).is_file());
        let left: Vec<String> =
            files.filter(|name| name.contains(".part") || orphan(name)).collect();
        (!left.is_empty()).then(|| format!("left {} files, such as {}", left.len(), left[0]))
    }
}

/// A wait with an end.
async fn in_time(mut holds: impl AsyncFnMut() -> bool) -> bool {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !holds().await {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok()
}

/// A kind of job, what is done wrong in it, and the code that it ends with.
type Plot<'a> = (&'static str, &'static str, Option<&'a str>);

async fn all_fail(plots: impl IntoIterator<Item = Plot<'_>>) {
    let mut by_setting: BTreeMap<Option<Setting<'static>>, Vec<Plot<'_>>> = BTreeMap::new();
    for plot in plots {
        by_setting.entry(setting(plot.0)).or_default().push(plot);
    }
    for (own, plots) in by_setting {
        let Some(stage) = Stage::open(own).await else { return };
        let mut problems = Vec::new();
        for (kind, plot, code) in plots {
            problems.extend(stage.problem(kind, plot, code).await);
        }
        assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
        stage.works().await;
    }
}

async fn lie(kind: &'static str, told: &[Lie]) {
    all_fail(told.iter().map(|lie| (kind, lie.name, Some("codec-protocol")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_what_a_source_is() {
    lie("Probe", lies::PROBE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_chunks() {
    lie("Video", lies::VIDEO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_sound() {
    lie("Audio", lies::AUDIO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_files() {
    lie("Images", lies::IMAGES).await;
    lie("Package", lies::PACKAGE).await;
    lie("Batch", lies::BATCH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn habits_that_never_stop() {
    let video = HABITS.map(|(habit, code)| ("Video", habit, Some(code)));
    let others =
        ["Audio", "Images", "Package", "Batch"].map(|kind| (kind, "names", Some("codec-protocol")));
    let done = ["Probe", "Video", "Package", "Batch"];
    let twice = done.map(|kind| (kind, "twice-done", None));
    let babble = done.map(|kind| (kind, "babble-done", None));
    all_fail(video.into_iter().chain(others).chain(twice).chain(babble)).await;
}
