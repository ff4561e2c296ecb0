//! A task that dies whenever it is tried: through its retries to the dead letters, and back by each of the ways that Jetreel has.

use jetreel_actors::ports::DeadLetters as _;
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::id::{Group, OrderId, TaskId};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ATTEMPTS, BURY_REFUSED, RETRIES, SOURCE, Ward, begun, letter_of};
use crate::harness::media::{self, SOUND_ALONE};
use crate::harness::site::{Site, awaited};
use crate::upload_to_publish::must_be_published;

impl Ward {
    /// The film dies, `replay` brings it back, it is published, and only the task that died was tried more than once.
    pub(super) async fn dies_and_lives(&self, replay: impl AsyncFnOnce(&OrderId, &Buried)) {
        let mut claims = self.site.claims().await;
        let (order, buried) = self.dead().await;
        let task: TaskId = buried.letter.task.task().unwrap();
        assert_eq!((task.group, buried.letter.attempts.len()), (Group::Main, ATTEMPTS));
        let job = self.node.json(&format!("/v1/jobs/{order}")).await;
        assert_eq!((&job["status"], &job["retry_available"]), (&"FAILED".into(), &true.into()));
        assert_eq!(job["error"]["code"], "codec-signal");
        assert!(!job["error"]["suggestion"].as_str().unwrap().is_empty());

        replay(&order, &buried).await;
        let mut facts = self.site.facts(&order).await;
        facts.until("failed-1").await;
        facts.until("completed").await;
        must_be_published(&self.site, &self.node, &order, SOURCE).await;
        let begun = begun(&mut claims, &order).await;
        assert!(begun.len() > 4, "{begun:?}");
        for (found, times) in begun {
            let wanted = if found == task { ATTEMPTS + 1 } else { 1 };
            assert_eq!(times, wanted, "{found}: only what died is done again");
        }
    }

    async fn has_letters(&self) -> bool {
        !self.site.bus.letters(0, 1).await.unwrap().is_empty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_explained_and_brought_back_at_the_command_line() {
    let Some(ward) = Ward::open().await else { return };
    ward.dies_and_lives(async |order, buried| {
        let seq = buried.sequence.to_string();
        let listed = ward.dlq_json(&["ls", "--json", "--reason", "codec-signal"]).await;
        assert_eq!(listed["letters"][0]["seq"], buried.sequence);
        let none = ward.dlq_json(&["ls", "--json", "--stage", "publish"]).await;
        assert_eq!(none, json!({ "letters": [] }));
        is_explained(&ward.dlq_json(&["show", &seq, "--json"]).await, order);
        let text = ward.dlq(&["show", &seq]).await;
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.contains("this job is poison") && !text.contains('\x1b'), "{text}");

        let video = order.video.to_string();
        let meant = ward.dlq_json(&["replay", "--video", &video, "--dry-run", "--json"]).await;
        assert_eq!(meant["results"][0]["outcome"], "meant");
        assert!(ward.has_letters().await);
        assert_eq!(ward.dlq(&["replay"]).await.status.code(), Some(1), "nothing is named");
        let done = ward.dlq_json(&["replay", "--video", &video, "--rate", "5", "--json"]).await;
        assert_eq!(done["results"][0]["outcome"], "replayed");
        assert!(!ward.has_letters().await);
        assert_eq!(ward.dlq(&["replay", &seq]).await.status.code(), Some(4), "it is gone");
    })
    .await;
}

fn is_explained(shown: &Value, order: &OrderId) {
    assert_eq!(shown["job"], order.to_string());
    assert_eq!((&shown["stage"], &shown["reason"]), (&"encode".into(), &"codec-signal".into()));
    assert!(shown["error"].as_str().unwrap().contains("crashes"), "{shown}");
    assert!(shown["detail"].as_str().unwrap().contains("with a second line"), "{shown}");
    assert_eq!(shown["source"]["codec"], "h264");
    assert_eq!((&shown["source"]["width"], &shown["source"]["class"]), (&640.into(), &"A".into()));
    let attempts = shown["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), ATTEMPTS);
    for (index, attempt) in attempts.iter().enumerate() {
        assert_eq!((&attempt["number"], &attempt["node"]), (&(index + 1).into(), &"one".into()));
        assert_eq!(attempt["error"], "codec-signal");
        assert!(attempt["at"].as_i64().unwrap() > 1_700_000_000);
    }
    assert!(shown["suggestion"].as_str().unwrap().contains("decoder"), "{shown}");
    assert_eq!(shown["replay"].as_array().unwrap().len(), 4, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_brought_back_over_http() {
    let Some(ward) = Ward::open().await else { return };
    let client = reqwest::Client::new();
    let retry = async |order: &OrderId| {
        let url = ward.node.url(&format!("/v1/jobs/{order}/retry"));
        client.post(url).send().await.unwrap()
    };
    let mut job = None;
    ward.dies_and_lives(async |order, _| {
        // Asked twice, it happens once.
        for _ in 0..2 {
            let answer = retry(order).await;
            let status = answer.status();
            let document: Value = answer.json().await.unwrap();
            // The second time a worker may have taken it up.
            let late = ["nothing-to-retry", "already-retried"].map(Value::from);
            let late = late.contains(&document["code"]) && job.is_some();
            assert!(status == StatusCode::ACCEPTED || late, "{status} {document}");
            job = Some(order.clone());
        }
        assert!(!ward.has_letters().await);
    })
    .await;
    let answer = retry(&job.unwrap()).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "nothing-to-retry");
    assert!(problem["detail"].as_str().unwrap().contains("complete"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_brought_back_even_when_its_letter_is_gone() {
    let Some(ward) = Ward::open().await else { return };
    ward.dies_and_lives(async |order, buried| {
        let seq = buried.sequence.to_string();
        let removed = ward.dlq_json(&["discard", &seq, "--json"]).await;
        assert_eq!(removed["results"][0]["outcome"], "discarded");
        let url = ward.node.url(&format!("/v1/jobs/{order}/retry"));
        let answer = reqwest::Client::new().post(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_media_is_dead_at_its_first_attempt() {
    let Some(sound) = media::made(SOUND_ALONE) else { return };
    let site = Site::start().await;
    let retries = ("RETRY__INGEST", "100ms, 200ms, 300ms");
    let node = site.node("one", &[RETRIES, BURY_REFUSED, retries]).await;
    let order = node.submit(&sound).await;
    site.facts(&order).await.until("failed-1").await;
    let letter = letter_of(&site, &order).await.letter;
    assert_eq!((letter.stage.as_str(), letter.failure.code.as_str()), ("ingest", "no-video"));
    assert_eq!(letter.attempts.len(), 1, "{:?}", letter.attempts);
    assert_eq!(letter.task, "ingest".into());
    let job = node.json(&format!("/v1/jobs/{order}")).await;
    assert_eq!(
        (&job["error"]["permanent"], &job["retry_available"]),
        (&true.into(), &false.into())
    );

    // A retry that is requested anyway runs, and the task dies again.
    let url = node.url(&format!("/v1/jobs/{order}/retry"));
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let mut facts = site.facts(&order).await;
    facts.until("failed-1").await;
    awaited("it dies again", facts.until("failed-2")).await;
    let again = letter_of(&site, &order).await.letter.attempts;
    assert!(again.len() == 2 && again.iter().all(|attempt| attempt.number == 1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_media_without_a_letter_is_tried_again_when_somebody_asks() {
    let Some(sound) = media::made(SOUND_ALONE) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let order = node.submit(&sound).await;
    let mut facts = site.facts(&order).await;
    facts.until("failed-1").await;
    let retry = async || node.command(&format!("/v1/jobs/{order}/retry")).await.status();
    assert_eq!(retry().await, StatusCode::ACCEPTED);
    awaited("it is refused again", facts.until("failed-2")).await;
    assert!(site.bus.letters(0, 1).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_at_once_one_brings_a_job_back() {
    const MANY: usize = 60;
    let Some(sound) = media::made(SOUND_ALONE) else { return };
    let site = Site::start().await;
    let front = site.node("front", &[("NODE__ROLES", "gateway")]).await;
    let ingest = [BURY_REFUSED, ("NODE__ROLES", "ingest,publish")];
    let mut worker = site.node("worker", &ingest).await;
    let order = front.submit(&sound).await;
    let mut facts = site.facts(&order).await;
    facts.until("failed-1").await;
    // No worker runs during the requests.
    worker.terminate();
    worker.ended().await;
    let path = format!("/v1/jobs/{order}/retry");
    let asked = futures::future::join_all((0..MANY).map(|_| front.command(&path))).await;
    let mut answers = std::collections::BTreeMap::<String, usize>::new();
    for answer in asked {
        let (status, document) = (answer.status(), answer.json::<Value>().await.unwrap());
        let code = document["code"].as_str().unwrap_or(status.as_str()).to_owned();
        *answers.entry(code).or_default() += 1;
    }
    let wanted = [("202".to_owned(), 1), ("already-retried".to_owned(), MANY - 1)];
    assert_eq!(answers, wanted.into());
    assert!(site.bus.letters(0, 1).await.unwrap().is_empty(), "it was replayed");
    let _worker = site.node("worker", &ingest).await;
    awaited("it dies again", facts.until("failed-2")).await;
    letter_of(&site, &order).await;
}
