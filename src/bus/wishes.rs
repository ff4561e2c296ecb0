//! [`Wishes`] on JetStream: a document in the bucket `nodes`. JSON, so that `nats kv get nodes wish` shows it.

use jetreel_actors::ports::{PortFuture, Versioned, Wishes};
use jetreel_domain::scale::wish::Wish;

use super::broker::port;
use super::connection::Bus;
use super::kv::outgoing;
use super::names;
use super::request::{READ_BUDGET, persist};
use super::severity::Fault;

impl Bus {
    /// Writes without compare-and-set: two nodes that both decide for a while do no harm.
    async fn write_wish(&self, wish: &Wish) -> Result<(), Fault> {
        let message = outgoing(names::NODES_BUCKET, names::WISH_KEY, wish)?;
        persist(READ_BUDGET, || self.publish(&message)).await?;
        Ok(())
    }

    /// `None` also if another version wrote it in another form: the next wish replaces it.
    async fn read_wish(&self) -> Result<Option<Versioned<Wish>>, Fault> {
        let found = self.raw_document(names::NODES_BUCKET, names::WISH_KEY).await?;
        let Some(Versioned { value, revision }) = found else { return Ok(None) };
        match serde_json::from_slice(&value) {
            Ok(value) => Ok(Some(Versioned { value, revision })),
            Err(error) => {
                tracing::debug!(%error, "the wish of the scaler cannot be decoded");
                Ok(None)
            }
        }
    }
}

impl Wishes for Bus {
    fn tell_wish<'a>(&'a self, wish: &'a Wish) -> PortFuture<'a, ()> {
        port("write the wish of the scaler", self.write_wish(wish))
    }

    fn wish(&self) -> PortFuture<'_, Option<Versioned<Wish>>> {
        port("read the wish of the scaler", self.read_wish())
    }
}
