//! A source that was cut into chunks, which then do not fit together, is decoded in one go.

use jetreel_actors::ports::{Survey as _, Swap, Videos};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::plan::Class;

use crate::harness::media::{self, FILM, SHORT};
use crate::harness::poison::Poison;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};
use crate::upload_to_publish::manifest;

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_do_not_fit_together_are_encoded_anew_in_one_go() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let codec = Poison::bent(site.folder());
    let path = codec.codec();
    let own: Vec<(&str, &str)> =
        HASTY.into_iter().chain([("CODEC__PATH", path.as_str())]).collect();
    let node = site.node("bent", &own).await;
    let cut = node.submit(&film).await;
    site.facts(&cut).await.until("completed").await;

    let whole = OrderId::new(cut.video.clone(), 2);
    let manifest = manifest(&node, &whole).await;
    assert_eq!(manifest.source.frames, FILM.frames);
    site.must_hold_all_of(&manifest).await;
    let orders = site.bus.video(&cut.video).await.unwrap().unwrap().value.orders;
    let why: Vec<Option<Takeover>> = orders.iter().map(|order| order.takeover).collect();
    assert_eq!(why, [Some(Takeover::SeamMismatch), None]);
    let class = |index: usize| orders[index].plan.as_ref().unwrap().class;
    assert_eq!((class(0), class(1), orders[1].sequential), (Class::A, Class::B, true));
    let left = node.json(&format!("/v1/jobs/{cut}")).await;
    assert_eq!(left["successor"], whole.to_string());
    // Tasks of the order that was given up may still be in hand when the next is complete.
    in_time("nothing of the cut one is kept", async || {
        let queued = site.bus.queued_tasks(&cut).await.unwrap();
        let claims = site.claim_keys(&cut).await;
        queued.is_empty() && claims.is_empty() && site.ledger(&cut).await.is_empty()
    })
    .await;
}

/// The reconciler repairs nothing before the next publisher does.
const PATIENT: (&str, &str) = ("RECONCILER__PATIENCE_SECONDS", "3600");

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_that_a_publisher_began_is_finished_by_the_next() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let roles = ("NODE__ROLES", "gateway,ingest,encode");
    let worker = site.node("worker", &[roles, PATIENT]).await;
    let cut = worker.submit(&short).await;
    in_time("some of it is done", async || !site.ledger(&cut).await.is_empty()).await;
    // One publisher closes the order and dies before the announcement.
    in_time("the order is closed", async || {
        let mut found = site.bus.video(&cut.video).await.unwrap().unwrap();
        assert_eq!(found.value.supersede(cut.number, Takeover::SeamMismatch, 0), Some(2));
        let swapped = site.bus.swap_video(&found.value, found.revision).await.unwrap();
        matches!(swapped, Swap::Done(_))
    })
    .await;

    let _next = site.node("next", &[("NODE__ROLES", "publish"), PATIENT]).await;
    site.facts(&cut).await.until("completed").await;
    let manifest = manifest(&worker, &OrderId::new(cut.video.clone(), 2)).await;
    assert_eq!(manifest.source.frames, SHORT.frames);
    site.must_hold_all_of(&manifest).await;
}
