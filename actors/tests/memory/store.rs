//! [`Store`] on the objects in memory.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use jetreel_actors::ports::{
    Met, ObjectReader, ObjectWriter, PIECE_BYTES, PortFuture, Store, Walk, WriteOnce,
};
use jetreel_domain::order::ledger::Object;
use jetreel_domain::words::failure::Failure;
use sha2::{Digest as _, Sha256};

use super::port::Port;
use super::rules;
use super::server::{Server, Stored};

pub(crate) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn missing(key: &str) -> Failure {
    Failure::task("object-missing", "An object is not in the store.").with_detail(key)
}

/// Writes an object and returns it. An existing object may only be written again with the same content.
fn put(server: &mut Server, key: &str, bytes: &Bytes, modified: i64) -> Object {
    let stored = Stored { bytes: bytes.clone(), modified };
    let before = server.objects.insert(key.to_owned(), stored);
    if before.is_some_and(|before| before.bytes != *bytes) {
        server.violations.push(format!("{key} was overwritten"));
    }
    Object { key: key.to_owned(), bytes: bytes.len() as u64, sha256: hash(bytes) }
}

impl Store for Port {
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes> {
        Box::pin(async move {
            let all = self.read_all(key).await?;
            let end = range.end.min(all.len() as u64);
            Ok(all.slice(range.start.min(end) as usize..end as usize))
        })
    }

    fn reader<'a>(
        &'a self,
        key: &'a str,
        range: Range<u64>,
    ) -> PortFuture<'a, Box<dyn ObjectReader>> {
        Box::pin(async move {
            let reader = Reader { left: self.read(key, range).await? };
            Ok(Box::new(reader) as Box<dyn ObjectReader>)
        })
    }

    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes> {
        let name = key.to_owned();
        Box::pin(async move {
            let read = move |server: &mut Server| {
                server.objects.get(&name).map(|found| found.bytes.clone())
            };
            self.call("read object", read).await?.ok_or_else(|| missing(key))
        })
    }

    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>> {
        let writer = Writer { port: self.clone(), key: key.to_owned(), bytes: BytesMut::new() };
        Box::pin(async move { Ok(Box::new(writer) as Box<dyn ObjectWriter>) })
    }

    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object> {
        let (key, at) = (key.to_owned(), self.world.seconds());
        Box::pin(self.call("write object", move |server| put(server, &key, &bytes, at)))
    }

    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>> {
        let key = key.to_owned();
        Box::pin(self.call("size", move |server| {
            server.objects.get(&key).map(|found| found.bytes.len() as u64)
        }))
    }

    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce> {
        let (key, at) = (key.to_owned(), self.world.seconds());
        Box::pin(self.call("create object", move |server| {
            if server.objects.contains_key(&key) {
                return WriteOnce::Taken;
            }
            put(server, &key, &bytes, at);
            WriteOnce::Mine
        }))
    }

    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()> {
        let key = key.to_owned();
        Box::pin(self.call("delete object", move |server| {
            let wrong = rules::deleted(server, &key);
            server.violations.extend(wrong);
            server.objects.remove(&key);
        }))
    }

    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>> {
        let steps = Steps { port: self.clone(), prefix: prefix.to_owned(), after: String::new() };
        Box::pin(async move { Ok(Box::new(steps) as Box<dyn Walk>) })
    }
}

struct Reader {
    left: Bytes,
}

impl ObjectReader for Reader {
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>> {
        let piece = self.left.split_to(PIECE_BYTES.min(self.left.len()));
        Box::pin(async { Ok(Some(piece).filter(|piece| !piece.is_empty())) })
    }
}

struct Writer {
    port: Port,
    key: String,
    bytes: BytesMut,
}

impl ObjectWriter for Writer {
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()> {
        self.bytes.extend_from_slice(&bytes);
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> PortFuture<'static, Object> {
        Box::pin(async move {
            let (key, bytes) = (self.key, self.bytes.freeze());
            let at = self.port.world.seconds();
            self.port.world.with(|server| {
                let wrong = server.ends.may_store(&key, server.now);
                server.violations.extend(wrong);
            });
            self.port.call("finish object", move |server| put(server, &key, &bytes, at)).await
        })
    }

    fn abort(self: Box<Self>) -> PortFuture<'static, ()> {
        Box::pin(async { Ok(()) })
    }
}

struct Steps {
    port: Port,
    prefix: String,
    after: String,
}

impl Walk for Steps {
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>> {
        Box::pin(async move {
            let (prefix, after) = (self.prefix.clone(), self.after.clone());
            let page = self
                .port
                .call("walk", move |server| {
                    let later = server.objects.range(after.clone()..);
                    let own = later.filter(|(key, _)| **key > after && key.starts_with(&prefix));
                    let met = own.map(|(key, stored)| Met {
                        key: key.clone(),
                        bytes: stored.bytes.len() as u64,
                        modified: Some(stored.modified),
                    });
                    met.take(limit).collect::<Vec<Met>>()
                })
                .await?;
            if let Some(last) = page.last() {
                self.after.clone_from(&last.key);
            }
            Ok(page)
        })
    }

    fn unread(&self) -> &[String] {
        &[]
    }
}
