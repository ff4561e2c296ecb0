//! The bucket of states, made anew under running nodes: lists and the reconciler see what is there, not what was.

use async_nats::jetstream;
use jetreel::bus::topology::{self, DEFAULT, Topology};
use jetreel_domain::order::state::Status;
use reqwest::StatusCode;

use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time, untold};

async fn listed(node: &Node) -> Vec<String> {
    let jobs = node.json("/v1/jobs").await;
    let jobs = jobs["jobs"].as_array().unwrap().iter();
    jobs.map(|job| job["video"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn states_of_another_bucket_are_read_from_its_beginning() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    for _ in 0..5 {
        assert_eq!(node.post(vec![7; 10]).await.status(), StatusCode::ACCEPTED);
    }
    let done = async || {
        let jobs = node.json("/v1/jobs").await;
        let jobs = jobs["jobs"].as_array().unwrap().clone();
        jobs.len() == 5 && jobs.iter().all(|job| job["status"] == "FAILED")
    };
    in_time("the reconciler and the list have read them", done).await;

    let context = jetstream::new(site.client().await);
    context.delete_stream("KV_videos").await.unwrap();
    topology::apply(&site.bus, &Topology::parse(DEFAULT).unwrap(), false).await.unwrap();
    // Its sequence is far below those of before.
    let restored = untold(&site, &clip, 1, Status::Queued).await;
    assert_eq!(listed(&node).await, [restored.video.to_string()]);
    // Only the reconciler finds the upload.
    site.facts(&restored).await.until("completed").await;
}
