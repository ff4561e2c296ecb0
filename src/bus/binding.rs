//! [`Binding`] on JetStream: one document in the bucket `store`. JSON, so that `nats kv get` shows it.

use jetreel_actors::binding::Binding;
use jetreel_actors::ports::{PortFuture, Swap, Versioned};
use jetreel_domain::binding::BrokerMark;
use serde::Deserialize;

use super::broker::port;
use super::connection::Bus;
use super::kv::outgoing;
use super::names;
use super::request::{READ_BUDGET, persist};

#[derive(Deserialize)]
struct StreamBirth {
    created: String,
}

impl Binding for Bus {
    fn store_mark(&self) -> PortFuture<'_, Option<Versioned<BrokerMark>>> {
        port("read which store belongs to the broker", async {
            self.document(names::STORE_BUCKET, names::STORE_KEY).await
        })
    }

    fn swap_store_mark<'a>(&'a self, mark: &'a BrokerMark, revision: u64) -> PortFuture<'a, Swap> {
        port("write which store belongs to the broker", async move {
            let message = outgoing(names::STORE_BUCKET, names::STORE_KEY, mark)?;
            self.swap(&names::bucket_stream(names::STORE_BUCKET), &message, revision).await
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
