//! States of videos as their writers send them to the broker, overheard by a plain subscription. It costs the broker no consumer and no
//! request. A message whose head is malformed breaks the connection once, as any other that is heard here, and is not delivered again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use jetreel_actors::ports::Overheard;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Video;

use super::connection::Bus;
use super::kv::state;
use super::names;
use super::severity::Fault;

/// Videos whose last write is remembered.
const REMEMBERED_MAX: usize = 20_000;

struct Listener {
    heard: Subscriber,
    prefix: String,
    /// Revision that the last write of a video replaced. A later one that replaces the same or an older one was refused.
    replaced: BTreeMap<VideoId, u64>,
}

impl Bus {
    pub(super) async fn listen_to_states(&self) -> Result<Box<dyn Overheard>, Fault> {
        let prefix = names::bucket_subject(names::VIDEOS_BUCKET, "");
        let heard = self.client.subscribe(format!("{prefix}>")).await;
        let heard = heard.map_err(|error| Fault::Connection(error.to_string()))?;
        Ok(Box::new(Listener { heard, prefix, replaced: BTreeMap::new() }))
    }
}

impl Listener {
    fn read(&mut self, message: &Message) -> Option<Video> {
        let id: VideoId = message.subject.strip_prefix(&self.prefix)?.parse().ok()?;
        let headers = message.headers.as_ref()?;
        let revision: u64 =
            headers.get(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE)?.as_str().parse().ok()?;
        if self.replaced.get(&id).is_some_and(|last| *last >= revision) {
            return None;
        }
        let video = state(id.as_str(), &message.payload).ok()?;
        if self.replaced.len() >= REMEMBERED_MAX {
            self.replaced.clear();
        }
        self.replaced.insert(id, revision);
        Some(video)
    }
}

impl Overheard for Listener {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Video> + Send + '_>> {
        Box::pin(async move {
            loop {
                // A closed connection delivers nothing.
                let Some(message) = self.heard.next().await else {
                    std::future::pending::<()>().await;
                    continue;
                };
                if let Some(video) = self.read(&message) {
                    return video;
                }
            }
        })
    }
}
