//! [`Binding`] on JetStream: one document in the bucket `store`. JSON, so that `nats kv get` shows it.

use jetreel_actors::binding::Binding;
use jetreel_actors::ports::{PortFuture, Swap, Versioned};
use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::binding::BrokerMark;
use jetreel_domain::words::failure::Failure;
use serde::Deserialize;

use super::broker::port;
use super::connection::Bus;
use super::kv::outgoing;
use super::names;
use super::request::{READ_BUDGET, persist};

fn unreadable(error: &serde_json::Error) -> Failure {
    let message = "The broker's mark, which names its store, has no known form. Stop the nodes and run `jetreel store adopt` to write it anew.";
    let place = format!("{} {}", names::STORE_BUCKET, names::STORE_KEY);
    Failure::task("unreadable-document", message).with_detail(format_args!("{place}: {error}"))
}

#[derive(Deserialize)]
struct StreamBirth {
    created: String,
}

impl Binding for Bus {
    fn store_mark(&self) -> PortFuture<'_, Option<Versioned<Result<BrokerMark, Failure>>>> {
        port("read which store belongs to the broker", async {
            let found = self.raw_document(names::STORE_BUCKET, names::STORE_KEY).await?;
            Ok(found.map(|Versioned { value, revision }| {
                let value = serde_json::from_slice(&value).map_err(|error| unreadable(&error));
                Versioned { value, revision }
            }))
        })
    }

    fn swap_store_mark<'a>(&'a self, mark: &'a BrokerMark, revision: u64) -> PortFuture<'a, Swap> {
        port("write which store belongs to the broker", async move {
            let message = outgoing(names::STORE_BUCKET, names::STORE_KEY, mark)?;
            self.swap(&names::bucket_stream(names::STORE_BUCKET), &message, revision).await
        })
    }

    fn newest(&self, limit: usize) -> PortFuture<'_, Option<Vec<Video>>> {
        port("read the newest videos", async move {
            let ids = self.video_ids().await?;
            let mut videos = Vec::new();
            for id in ids.iter().rev().take(limit) {
                match self.read_video(id).await {
                    Ok(found) => videos.extend(found.map(|found| found.value)),
                    Err(fault) if fault.is_of_document() => {
                        tracing::warn!(%id, %fault, "a state could not be read");
                    }
                    Err(fault) => return Err(fault),
                }
            }
            Ok((!ids.is_empty()).then_some(videos))
        })
    }

    fn birth(&self) -> PortFuture<'_, String> {
        port("ask since when states are kept", async {
            let path = format!("STREAM.INFO.{}", names::bucket_stream(names::VIDEOS_BUCKET));
            let nothing = serde_json::json!({});
            let born: StreamBirth =
                persist(READ_BUDGET, || self.api(path.clone(), &nothing)).await?;
            Ok(born.created)
        })
    }
}
