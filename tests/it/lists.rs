//! Lists of jobs some of which cannot be read.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jetreel_actors::ports::{Store as _, Videos};
use jetreel_domain::id::OrderId;

use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, SHORT};
use crate::harness::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_keeps_nobody_from_the_others() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    // No node encodes, so planned orders stay planned.
    let node = site.node("front", &[("NODE__ROLES", "gateway,ingest")]).await;
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(node.submit(&clip).await);
    }
    let [garbage, newer, lost, whole] = orders.try_into().unwrap();
    for order in [&garbage, &newer, &lost, &whole] {
        eventually_so("planned", async || plan_of(&site, order).await.is_some()).await;
    }
    let videos = async_nats::jetstream::new(site.client().await);
    let videos = videos.get_key_value("videos").await.unwrap();
    videos.put(garbage.video.as_str(), "not a document".into()).await.unwrap();
    // A newer version that knows another status.
    let bytes = videos.get(newer.video.as_str()).await.unwrap().unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    document["orders"][0]["status"] = "DREAMING".into();
    videos.put(newer.video.as_str(), document.to_string().into()).await.unwrap();
    let plan = plan_of(&site, &lost).await.unwrap();
    site.store().delete(&plan).await.unwrap();

    // Another gateway, which has read none of them before.
    let other = site.node("other", &[("NODE__ROLES", "gateway")]).await;
    let listed = other.json("/v1/jobs").await;
    let of = |order: &OrderId| {
        let jobs = listed["jobs"].as_array().unwrap().iter();
        jobs.into_iter().find(|job| job["video"] == order.video.as_str()).unwrap().clone()
    };
    for order in [&garbage, &newer] {
        assert_eq!(of(order)["unreadable"]["code"], "unreadable-document", "{listed}");
        assert_eq!(of(order)["status"], serde_json::Value::Null);
    }
    assert_eq!(of(&lost)["status"], "ENCODING");
    assert_eq!(of(&lost)["unreadable"]["code"], "object-missing", "{listed}");
    assert_eq!(of(&whole)["status"], "ENCODING");
    assert_eq!(of(&whole)["unreadable"], serde_json::Value::Null);
}

async fn plan_of(site: &Site, order: &OrderId) -> Option<String> {
    let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
    let plan = video.order(order.number).unwrap().plan.clone();
    plan.map(|plan| plan.object.key)
}
