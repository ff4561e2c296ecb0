//! A forged ledger entry that no publisher has seen: it stands where a result belongs, and counts as one where only subjects are read.

use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_actors::ports::{Broker as _, DeadLetters as _, Survey as _};
use jetreel_domain::id::{Group, TaskId};
use jetreel_domain::subject;

use crate::harness::media::{self, SHORT};
use crate::harness::site::Site;
use crate::reconcile::{HASTY, forgets_everything, in_time, repairs};

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_entry_that_no_publisher_saw_is_removed_and_its_task_is_done() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let front = site.node("front", &[("NODE__ROLES", "gateway,ingest")]).await;
    let order = front.submit(&clip).await;
    let queued = async || site.bus.queued_tasks(&order).await.unwrap();
    in_time("tasks are queued", async || !queued().await.is_empty()).await;
    let task = TaskId::new(Group::Package, 0);
    let context = jetstream::new(site.client().await);
    let place = subject::ledger(&order, task);
    context.publish(place, "forged".into()).await.unwrap().await.unwrap();
    forgets_everything(&site, names::LEDGER, names::PUBLISH_CONSUMER).await;

    let node = site.node("worker", &HASTY).await;
    let done = async || site.bus.video(&order.video).await.unwrap().unwrap().value;
    in_time("it is complete", async || done().await.orders[0].status.is_closed()).await;
    assert_eq!(repairs(&node, "forged-removed").await, 1);
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), []);
}
