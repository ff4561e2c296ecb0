//! An outage of the broker in the middle of a request, at each call that the request makes: the client is answered within five seconds, and
//! once the broker is back the same request works, and nothing is doubled or lost.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::state::{Dead, PlanRef, Status, Video};
use jetreel_domain::plan::{Class, planner};
use jetreel_domain::words::failure::Failure;
use reqwest::{Client, Method, Response};
use serde_json::Value;

use super::Patience;
use super::testing::{Served, served_with};
use super::tests::eventually;

#[path = "../../actors/domain/src/sample.rs"]
mod sample;

/// Five seconds, and what a busy machine adds. The outage itself has no end.
const SOON: Duration = Duration::from_secs(12);
/// More calls than any request makes before it is answered.
const CALLS: usize = 12;

/// No connection is closed, however busy the machine is.
const CALM: Patience = Patience {
    head: Duration::from_secs(60),
    idle: Duration::from_secs(60),
    write: Duration::from_secs(60),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Upload,
    Cancel,
    Retry,
    Delete,
    List,
    Job,
    Playlist,
}

const ALL: [Asked; 7] = [
    Asked::Upload,
    Asked::Cancel,
    Asked::Retry,
    Asked::Delete,
    Asked::List,
    Asked::Job,
    Asked::Playlist,
];

fn id() -> VideoId {
    VideoId::from_bits(7)
}

/// A gateway that knows a video in the middle of its encode, where one task is dead.
async fn with_a_video() -> Served {
    let served = served_with(100, CALM).await;
    let order = OrderId::new(id(), 1);
    let (policy, limits) = (sample::policy(), sample::limits());
    let plan = planner::plan(order, sample::facts(), &policy, &limits, "build", false).unwrap();
    let bytes = serde_json::to_vec(&plan).unwrap();
    let object: Object = served.gateway.ports.store.write("plans/x", bytes.into()).await.unwrap();
    let mut video = Video::receiving(id(), "a film".to_owned(), Lane::Normal, 0);
    video.source.bytes = 1;
    video.advance(1, Status::Queued, 1).unwrap();
    video.orders[0].status = Status::Encoding;
    let tiers = plan.tiers.iter().map(|tier| tier.name.clone()).collect();
    video.orders[0].plan = Some(PlanRef {
        object,
        class: Class::A,
        tiers,
        tasks: plan.tasks.len() as u32,
        chunks: 1,
        urgent: 0,
        bulk: None,
    });
    let failure = Failure::task("codec-signal", "it crashed");
    video.bury(1, &Stage::Publish.into(), Dead { sequence: 9, failure, letter: 0 }, 2).unwrap();
    served.videos.kept.lock().unwrap().insert(id(), (1, video));
    served
}

impl Served {
    async fn ask(&self, asked: Asked) -> Response {
        let (method, path) = match asked {
            Asked::Upload => (Method::POST, "/v1/videos".to_owned()),
            Asked::Cancel => (Method::POST, format!("/v1/jobs/{}/cancel", id())),
            Asked::Retry => (Method::POST, format!("/v1/jobs/{}/retry", id())),
            Asked::Delete => (Method::DELETE, format!("/v1/videos/{}", id())),
            Asked::List => (Method::GET, "/v1/jobs".to_owned()),
            Asked::Job => (Method::GET, format!("/v1/jobs/{}", id())),
            Asked::Playlist => (Method::GET, format!("/v/{}/720p.m3u8", id())),
        };
        let request = Client::new().request(method, self.at(&path));
        let body = if asked == Asked::Upload { vec![7; 2500] } else { Vec::new() };
        request.body(body).send().await.unwrap()
    }

    fn status(&self, id: &VideoId) -> Option<Status> {
        let kept = self.videos.kept.lock().unwrap();
        kept.get(id).map(|(_, video)| video.orders[0].status)
    }

    /// Uploads that are not given up.
    fn uploads(&self) -> usize {
        let kept = self.videos.kept.lock().unwrap();
        let open = |video: &&Video| video.orders[0].status != Status::Cancelled;
        let uploads = kept.values().map(|(_, video)| video).filter(|video| video.id != id());
        uploads.filter(open).count()
    }

    /// Uploads whose objects are named by state.
    fn sources(&self) -> usize {
        let kept = self.videos.kept.lock().unwrap();
        kept.values().filter(|(_, video)| video.source.names_objects()).count()
    }
}

/// Whether the answer of a request that worked may be this one. `again`: an earlier one may have been carried out.
fn works(asked: Asked, status: u16, again: bool) -> bool {
    match asked {
        Asked::Upload => status == 202,
        Asked::Cancel => status == 202 || again && status == 200,
        // It is tried again already, or is not dead any more.
        Asked::Retry => status == 202 || again && status == 409,
        Asked::Delete => status == 202,
        Asked::List | Asked::Job => status == 200,
        // No segment is there yet.
        Asked::Playlist => status == 404,
    }
}

/// An outage that begins after `calls` calls; `false` where the request was answered before.
async fn interrupted(asked: Asked, calls: usize, loses_answer: bool) -> bool {
    let served = with_a_video().await;
    let place = format!("{asked:?} after {calls} calls, answer lost: {loses_answer}");
    served.videos.outage.loses_answer.store(loses_answer, Ordering::SeqCst);
    served.videos.outage.begin_after(calls);
    let begun = Instant::now();
    let answer = served.ask(asked).await;
    assert!(begun.elapsed() < SOON, "{place}: {:?}", begun.elapsed());
    let reached = served.videos.outage.has_begun();
    let status = answer.status().as_u16();
    if status == 503 {
        assert_eq!(answer.json::<Value>().await.unwrap()["retryable"], true, "{place}");
    } else {
        assert!(works(asked, status, false), "{place}: {status}");
    }
    served.videos.outage.end();
    let kept = usize::from(asked == Asked::Upload && status == 202);
    eventually(|| served.uploads() == kept).await;
    let again = served.ask(asked).await;
    assert!(works(asked, again.status().as_u16(), true), "{place}: then {}", again.status());
    match asked {
        Asked::Upload => {
            eventually(|| served.uploads() == kept + 1).await;
            // Three parts and a list of each upload, and of each that was queued and given up then: the reconciler removes those.
            eventually(|| served.files() == 4 * served.sources()).await;
            assert!(served.sources() <= 2, "{place}");
        }
        Asked::Cancel => assert_eq!(served.status(&id()), Some(Status::Cancelled), "{place}"),
        Asked::Retry => {
            eventually(|| served.videos.replayed.load(Ordering::SeqCst) == 1).await;
        }
        Asked::Delete => {
            let kept = served.videos.kept.lock().unwrap();
            assert!(kept[&id()].1.is_deleted(), "{place}");
        }
        Asked::List | Asked::Job | Asked::Playlist => {}
    }
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_an_outage_begins_a_client_is_answered_in_time_and_truthfully() {
    for asked in ALL {
        let places = (0..CALLS).flat_map(|calls| [(calls, false), (calls, true)]);
        let all = places.map(|(calls, loses_answer)| interrupted(asked, calls, loses_answer));
        let reached = join_all(all).await;
        assert!(reached[0], "{asked:?} asks the broker");
        assert!(!reached[2 * CALLS - 1], "{asked:?} is looked at to its end");
    }
}
