//! [`Leases`] on JetStream: a document per office in the bucket `nodes`.

use jetreel_actors::ports::{Leases, PortFuture, Swap, Versioned};
use jetreel_domain::upkeep::leadership::{Leadership, Office};

use super::broker::port;
use super::connection::Bus;
use super::kv::outgoing;
use super::names;

impl Leases for Bus {
    fn lease(&self, office: Office) -> PortFuture<'_, Option<Versioned<Leadership>>> {
        port("read a lease", async move {
            let (bucket, key) = (names::NODES_BUCKET, office.as_str());
            let Some(found) = self.raw_document(bucket, key).await? else { return Ok(None) };
            let value = serde_json::from_slice(&found.value).unwrap_or_else(|error| {
                tracing::warn!(key, %error, "a lease of an unknown form counts as free");
                Leadership::nobodys()
            });
            Ok(Some(Versioned { value, revision: found.revision }))
        })
    }

    fn swap_lease<'a>(
        &'a self,
        office: Office,
        lease: &'a Leadership,
        revision: u64,
    ) -> PortFuture<'a, Swap> {
        port("write a lease", async move {
            let message = outgoing(names::NODES_BUCKET, office.as_str(), lease)?;
            self.swap(&names::bucket_stream(names::NODES_BUCKET), &message, revision).await
        })
    }
}
