//! Uploads whose part list is larger than any message of the broker: they are accepted, made, refused and given up as others.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_actors::parts::Lists;
use jetreel_actors::ports::{PartLogs, Store as _, Survey as _, Videos};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::order::state::{Fact, Status};
use reqwest::{Body, StatusCode};

use crate::harness::media::{self, SHORT};
use crate::harness::nats::Nats;
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};
use crate::upload_to_publish::manifest;

const MIB: usize = 1 << 20;
/// With this many parts, their list within the state would exceed the limit of a message: 66 bytes per part.
const PARTS: usize = 130;
/// Bytes of a message.
const PAYLOAD_MAX: usize = 8192;
/// The state of a video stays below this at any length of its source.
const STATE_MAX: usize = 8 << 10;

async fn site() -> Site {
    Site::start_with(Nats::start_with_payload(PAYLOAD_MAX).await).await
}

/// Sends `head` followed by zeros, `bytes` in all, in pieces and without a declared length, so that no process holds them.
async fn send(node: &Node, head: Vec<u8>, bytes: usize) -> reqwest::Response {
    let zeros = bytes - head.len();
    let pieces = std::iter::once(head)
        .chain((0..zeros.div_ceil(MIB)).map(move |index| vec![0; MIB.min(zeros - index * MIB)]));
    let body = futures::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
    let request = reqwest::Client::new().post(node.url("/v1/videos"));
    request.header("content-type", "video/mp4").body(Body::wrap_stream(body)).send().await.unwrap()
}

fn order_of(answer: &reqwest::Response) -> OrderId {
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let job = answer.headers()["location"].to_str().unwrap();
    job.strip_prefix("/v1/jobs/").unwrap().parse().unwrap()
}

/// Bytes of a state, as it lies in its bucket.
async fn state_bytes(site: &Site, order: &OrderId) -> usize {
    let stream = jetstream::new(site.client().await).get_stream("KV_videos").await.unwrap();
    let subject = names::bucket_subject(names::VIDEOS_BUCKET, order.video.as_str());
    stream.get_last_raw_message_by_subject(&subject).await.unwrap().payload.len()
}

async fn list_of(site: &Site, order: &OrderId) -> std::sync::Arc<PartList> {
    let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
    Lists::default().get(site.store(), &video.id, &video.source).await.unwrap()
}

/// A short film with a box of zeros behind it.
fn padded(bytes: usize) -> Option<Vec<u8>> {
    let mut film = std::fs::read(media::made(SHORT)?).unwrap();
    // ISO/IEC 14496-12, 4.2: a box is its size, its type, and its content.
    let rest = u32::try_from(bytes - film.len()).unwrap();
    film.extend_from_slice(&rest.to_be_bytes());
    film.extend_from_slice(b"free");
    Some(film)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_taken_although_its_parts_would_fill_no_message() {
    let bytes = PARTS * MIB;
    let Some(film) = padded(bytes) else { return };
    let site = site().await;
    let node = site.node("one", &[("HTTP__PART_BYTES", "1048576")]).await;
    node.logs("8,192 bytes (max_payload)").await;
    let refused = order_of(&send(&node, vec![0; 8], bytes).await);
    let made = order_of(&send(&node, film, bytes).await);
    for order in [&refused, &made] {
        let list = list_of(&site, order).await;
        assert_eq!((list.len(), list.bytes()), (PARTS, bytes as u64));
    }

    let told = site.facts(&refused).await.until("failed-1").await;
    let reason = told.last().unwrap().body.error.clone().unwrap();
    assert_eq!(reason.code, "unknown-format", "it was read, and is no video");
    site.facts(&made).await.until("completed").await;
    let manifest = manifest(&node, &made).await;
    assert_eq!(manifest.source.frames, SHORT.frames);
    site.must_hold_all_of(&manifest).await;
    for order in [&refused, &made] {
        let found = state_bytes(&site, order).await;
        assert!(found < STATE_MAX, "{found} bytes");
        let log = subject::parts_filter(&order.video);
        in_time("the log is gone", async || site.subjects("PARTS", &log).await.is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_upload_is_open_its_parts_are_logged_and_once_it_breaks_off_nothing_is_left() {
    let site = site().await;
    let node = site.node("one", &[("HTTP__PART_BYTES", "1048576")]).await;
    let (send, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let request = reqwest::Client::new().post(node.url("/v1/videos")).body(Body::wrap_stream(body));
    let upload = tokio::spawn(request.send());
    for _ in 0..3 {
        send.unbounded_send(Ok(vec![1; MIB])).unwrap();
    }
    in_time("two parts are logged", async || {
        site.subjects("PARTS", subject::PARTS_ALL).await.len() >= 2
    })
    .await;
    let logged = site.bus.uploads_on_record().await.unwrap();
    let id = logged.first().unwrap().clone();
    assert!(site.bus.newest_part(&id).await.unwrap().is_some());
    assert_eq!(
        site.bus.video(&id).await.unwrap().unwrap().value.orders[0].status,
        Status::Receiving
    );
    send.unbounded_send(Err(std::io::Error::other("gone"))).unwrap();
    drop(upload.await.unwrap());

    let order = OrderId::new(id.clone(), 1);
    site.facts(&order).await.until("cancelled").await;
    in_time("nothing is left", async || {
        site.keys("raw/").await.is_empty() && site.bus.uploads_on_record().await.unwrap().is_empty()
    })
    .await;
    let state = site.bus.video(&id).await.unwrap().unwrap().value;
    assert_eq!(state.orders[0].status, Status::Cancelled);
    assert!(state.orders[0].knows(&Fact::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_parts_cannot_be_logged_is_refused_and_leaves_nothing() {
    let site = site().await;
    let node =
        site.node("one", &[("HTTP__PART_BYTES", "1048576"), ("NATS__RECREATE", "false")]).await;
    let context = jetstream::new(site.client().await);
    let mut parts = context.get_stream("PARTS").await.unwrap().cached_info().config.clone();
    // Room for one entry.
    parts.max_messages = 1;
    context.update_stream(&parts).await.unwrap();
    let answer = send(&node, Vec::new(), 3 * MIB).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    in_time("nothing is left", async || {
        site.keys("raw/").await.is_empty() && site.bus.uploads_on_record().await.unwrap().is_empty()
    })
    .await;
    let [id] = site.bus.videos().await.unwrap().try_into().unwrap();
    let state = site.bus.video(&id).await.unwrap().unwrap().value;
    assert_eq!(state.orders[0].status, Status::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_be_announced_is_accepted_and_announced_later() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let own = [&HASTY[..], &[("NATS__RECREATE", "false")]].concat();
    let node = site.node("one", &own).await;
    let context = jetstream::new(site.client().await);
    let mut uploads = context.get_stream("UPLOADS").await.unwrap().cached_info().config.clone();
    uploads.max_bytes = 1;
    context.update_stream(&uploads).await.unwrap();
    // As a client sees it that would otherwise send all of it again.
    let order = node.submit(&short).await;
    let state = site.bus.video(&order.video).await.unwrap().unwrap().value;
    assert_eq!(state.orders[0].status, Status::Queued);
    assert!(site.subjects("UPLOADS", ">").await.is_empty());
    uploads.max_bytes = -1;
    context.update_stream(&uploads).await.unwrap();
    site.facts(&order).await.until("completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_an_upload_that_is_over_is_removed_and_a_list_that_nobody_names_too() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let order = node.submit(&short).await;
    site.facts(&order).await.until("completed").await;
    // As a gateway leaves it that dies right after its upload is queued.
    let part = jetreel_domain::order::parts::LoggedPart {
        v: jetreel_domain::order::parts::VERSION,
        video: order.video.clone(),
        index: 7,
        object: jetreel_domain::order::ledger::Object {
            key: format!("raw/{}/00007", order.video),
            bytes: 1,
            sha256: "00".repeat(32),
        },
    };
    use jetreel_actors::ports::WriteOnce;
    assert_eq!(site.bus.log_part(&part).await.unwrap(), WriteOnce::Mine);
    assert_eq!(site.bus.log_part(&part).await.unwrap(), WriteOnce::Taken, "another's");
    // As a gateway leaves it whose video is deleted while its bytes arrive.
    let deleted = jetreel_domain::id::VideoId::from_bits(7);
    let key = format!("raw/{deleted}/00000");
    let object = jetreel_domain::order::ledger::Object { key, ..part.object.clone() };
    let last = jetreel_domain::order::parts::LoggedPart { video: deleted, object, ..part.clone() };
    assert_eq!(site.bus.log_part(&last).await.unwrap(), WriteOnce::Mine);
    let orphan = format!("raw/{}/list-of-nobody", order.video);
    site.put(&orphan, b"x".to_vec()).await;
    in_time("log and list are gone", async || {
        let logged = site.bus.uploads_on_record().await.unwrap();
        logged.is_empty() && site.store().size(&orphan).await.unwrap().is_none()
    })
    .await;
    let list = list_of(&site, &order).await;
    for part in list.iter() {
        assert!(site.store().size(&part.key()).await.unwrap().is_some(), "{}", part.key());
    }
}
