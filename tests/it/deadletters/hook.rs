//! The hook is called about every dead letter until a call succeeds, and then never again.

use async_nats::jetstream;
use jetreel::bus::names;
use serde_json::json;

use super::{BURY_REFUSED, letter_of};
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, SOUND_ALONE};
use crate::harness::pager::Pager;
use crate::harness::site::Site;

const SECRET_PATH: &str = "planted-hook-path";
const BEARER: &str = "Bearer planted-hook-token";

/// Whether every letter was called about.
async fn all_is_told(site: &Site) -> bool {
    let context = jetstream::new(site.client().await);
    let stream = context.get_stream(names::DLQ).await.unwrap();
    let info = stream.consumer_info(names::HOOK_CONSUMER).await.unwrap();
    info.num_pending == 0 && info.num_ack_pending == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_is_called_until_it_answers_and_tells_no_secret() {
    let Some(sound) = media::made(SOUND_ALONE) else { return };
    let site = Site::start().await;
    let mut pager = Pager::start().await;
    let url = pager.url(SECRET_PATH);
    let hook = [
        ("HOOK__URL", url.as_str()),
        ("HOOK__AUTHORIZATION", BEARER),
        ("LOG__FILTER", "debug"),
        BURY_REFUSED,
    ];
    // Letters buried while no node calls are called about later.
    let silent = site.node("silent", &[BURY_REFUSED]).await;
    let first = silent.submit(&sound).await;
    site.facts(&first).await.until("failed-1").await;
    drop(silent);

    let node = site.node("one", &hook).await;
    let refused = pager.next().await;
    pager.take();
    let taken = pager.next().await;
    let buried = letter_of(&site, &first).await;
    for call in [&refused, &taken] {
        assert_eq!(call.header("authorization"), BEARER);
        assert_eq!(call.header("idempotency-key"), call.body["key"]);
        assert_eq!((&call.body["v"], &call.body["event"]), (&1.into(), &"dead-letter".into()));
        let letter = &call.body["letter"];
        assert_eq!(letter["seq"], json!(buried.sequence));
        assert_eq!(
            (&letter["job"], &letter["reason"]),
            (&first.to_string().into(), &"no-video".into())
        );
        assert_eq!(letter["replay"].as_array().unwrap().len(), 4, "{letter}");
        let summary = call.body["summary"].as_str().unwrap();
        assert!(summary.contains(&first.to_string()), "{summary}");
    }
    assert_eq!(refused.body["key"], taken.body["key"]);
    eventually_so("the call is settled", async || all_is_told(&site).await).await;

    let second = node.submit(&sound).await;
    site.facts(&second).await.until("failed-1").await;
    let other = pager.next().await;
    assert_eq!(other.body["letter"]["job"], second.to_string());
    assert_ne!(other.body["key"], taken.body["key"]);
    eventually_so("that too", async || all_is_told(&site).await).await;
    let numbers = String::from_utf8(node.bytes("/metrics").await).unwrap();
    for line in ["{result=\"hook-refused\"} 1", "{result=\"taken\"} 2"] {
        let line = format!("jetreel_hook_calls_total{line}");
        assert!(numbers.contains(&line), "{line}\n{numbers}");
    }
    for (place, text) in [
        ("the log", node.log()),
        ("the metrics", numbers),
        ("the letter", format!("{:?}", letter_of(&site, &second).await)),
    ] {
        assert!(!text.contains("planted-hook"), "{place} tells a secret");
    }
    drop(node);

    // The next node calls about what is new, and nothing else.
    let node = site.node("two", &hook).await;
    let third = node.submit(&sound).await;
    assert_eq!(pager.next().await.body["letter"]["job"], third.to_string());
}
