//! [`Nodes`] on JetStream: one document per node in the bucket `nodes`. JSON, so that `nats kv get` shows it.

use async_nats::HeaderMap;
use bytes::Bytes;
use jetreel_actors::ports::{NodeReports, Nodes, OddWord, PortFuture};
use jetreel_domain::upkeep::presence::{Presence, Word};

use super::broker::port;
use super::connection::Bus;
use super::found::Found;
use super::kv::outgoing;
use super::names;
use super::request::{Outgoing, READ_BUDGET, persist};
use super::severity::Fault;
use super::write::is_marker;

impl Bus {
    /// Writes without compare-and-set: no other client writes this key.
    async fn tell_presence(&self, id: &str, presence: &Presence) -> Result<(), Fault> {
        let message = outgoing(names::NODES_BUCKET, &names::node_key(id), presence)?;
        persist(READ_BUDGET, || self.publish(&message)).await?;
        Ok(())
    }

    /// Deletes by a marker, which expires with the bucket's age. A purge could overtake the last report; a message cannot.
    async fn delete_presence(&self, id: &str) -> Result<(), Fault> {
        let subject = names::bucket_subject(names::NODES_BUCKET, &names::node_key(id));
        let message = Outgoing { subject, headers: deletion(), body: Bytes::new() };
        persist(READ_BUDGET, || self.publish(&message)).await?;
        Ok(())
    }

    async fn presences(&self, after: u64, limit: usize) -> Result<NodeReports, Fault> {
        let stream = names::bucket_stream(names::NODES_BUCKET);
        let prefix = names::bucket_subject(names::NODES_BUCKET, &names::node_key(""));
        let filter = format!("{prefix}>");
        let extent = self.extent(&stream).await?;
        let mut said = NodeReports { read: after, extent, ..NodeReports::default() };
        let mut left = limit;
        while left > 0 {
            let messages = self.messages_from(&stream, &filter, said.read + 1).await?;
            if messages.is_empty() {
                break;
            }
            // A batch may be larger than the limit.
            for message in messages.iter().take(left) {
                add(&mut said, &prefix, message);
            }
            left = left.saturating_sub(messages.len());
        }
        Ok(said)
    }
}

fn add(said: &mut NodeReports, prefix: &str, message: &Found) {
    said.read = message.sequence;
    let Some(id) = message.subject.strip_prefix(prefix) else { return };
    if is_marker(message) {
        said.left.push(id.to_owned());
        return;
    }
    let (at, sequence) = (message.at, message.sequence);
    let word = |presence| Word { id: id.to_owned(), at, sequence, presence };
    match serde_json::from_slice(&message.payload) {
        Ok(presence) => said.words.push(word(presence)),
        Err(error) => {
            let known = Presence::of_unknown_form(id, &message.payload);
            said.words.extend(known.map(word));
            let fault = Fault::Unreadable(format!("{}: {error}", message.subject));
            let failure = fault.failure("read a node report");
            said.unreadable.push(OddWord { id: id.to_owned(), at, failure });
        }
    }
}

fn deletion() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(names::OPERATION_HEADER, names::DELETED);
    headers
}

impl Nodes for Bus {
    fn tell<'a>(&'a self, id: &'a str, presence: &'a Presence) -> PortFuture<'a, ()> {
        port("say that the node is there", self.tell_presence(id, presence))
    }

    fn leave<'a>(&'a self, id: &'a str) -> PortFuture<'a, ()> {
        port("say that the node goes", self.delete_presence(id))
    }

    fn said(&self, after: u64, limit: usize) -> PortFuture<'_, NodeReports> {
        port("read what nodes say", self.presences(after, limit))
    }
}
