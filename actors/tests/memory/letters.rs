//! [`DeadLetters`] on the server in memory.

use std::time::Duration;

use jetreel_actors::ports::{DeadLetters, Delivered, PortFuture, WriteOnce};
use jetreel_domain::delivery::deadletter::{Buried, DeadLetter, ORIGIN};
use jetreel_domain::delivery::subject;
use jetreel_domain::words::failure::Failure;

use super::port::Port;
use super::server::{DLQ, ENCODE, PUBLISH, RELEASE, Server, UPLOADS};
use super::stream::Message;

/// Seconds for which the server knows a message id again.
const DUPLICATE_WINDOW: i64 = 600;

fn read(sequence: u64, message: &Message) -> Buried {
    let subject = message.subject.strip_prefix(subject::DLQ_PREFIX).unwrap_or(&message.subject);
    let headers = message.headers.iter().filter(|(name, _)| name != RELEASE).cloned().collect();
    let letter = DeadLetter::from_parts(subject.to_owned(), message.body.to_vec(), headers);
    Buried { sequence, at: message.at, letter }
}

/// Every letter that is there.
pub(crate) fn letters(server: &Server) -> Vec<Buried> {
    server.streams[DLQ].messages.iter().map(|(sequence, m)| read(*sequence, m)).collect()
}

/// As the real one: looked up by its origin first; then by its id, which the server knows for a while.
fn bury(server: &mut Server, message: &Message, id: &str) -> u64 {
    let there = server.streams[DLQ].newest(&message.subject);
    let same = |sequence: &u64| {
        let found = server.message(DLQ, *sequence).and_then(|found| found.header(ORIGIN));
        found.is_some() && found == message.header(ORIGIN)
    };
    if let Some(there) = there.filter(same) {
        return there;
    }
    let known = server.buried.get(id).copied();
    if let Some(known) = known.filter(|known| {
        let recent = |found: &Message| message.at - found.at < DUPLICATE_WINDOW;
        server.message(DLQ, *known).is_some_and(recent)
    }) {
        return known;
    }
    let sequence = server.stream(DLQ).publish(message.clone()).unwrap_or_else(|there| there);
    server.buried.insert(id.to_owned(), sequence);
    sequence
}

impl DeadLetters for Port {
    fn bury<'a>(&'a self, letter: &'a DeadLetter) -> PortFuture<'a, u64> {
        let mut headers = letter.to_headers();
        headers.retain(|(name, _)| name != RELEASE);
        let subject = subject::dead_letter(&letter.subject);
        let body = letter.body.clone().into();
        let message = Message { subject, body, headers, at: self.world.seconds() };
        let id = format!("{}-{}", letter.stream, letter.sequence);
        Box::pin(self.call("bury", move |server| bury(server, &message, &id)))
    }

    fn letters(&self, after: u64, limit: usize) -> PortFuture<'_, Vec<Buried>> {
        Box::pin(self.call("read letters", move |server| {
            let later = letters(server).into_iter().filter(|buried| buried.sequence > after);
            later.take(limit).collect()
        }))
    }

    fn letter(&self, sequence: u64) -> PortFuture<'_, Option<Buried>> {
        Box::pin(self.call("read letter", move |server| {
            server.message(DLQ, sequence).map(|message| read(sequence, message))
        }))
    }

    fn next_letter(&self, _: Duration) -> PortFuture<'_, Option<Delivered>> {
        // No hook is called here.
        Box::pin(std::future::pending())
    }

    fn replay<'a>(&'a self, buried: &'a Buried) -> PortFuture<'a, WriteOnce> {
        let letter = &buried.letter;
        let stream = match letter.subject.split('.').nth(1) {
            Some("encode") => ENCODE,
            Some("publish") => PUBLISH,
            Some("uploads") => UPLOADS,
            _ => {
                let refused = Failure::task("bad-subject", "The subject is no stage's.");
                return Box::pin(async { Err(refused) });
            }
        };
        let (headers, died) = (letter.headers.clone(), letter.sequence);
        let (subject, body) = (letter.subject.clone(), letter.body.clone().into());
        let message = Message { subject, body, headers, at: self.world.seconds() };
        Box::pin(self.call("replay", move |server| {
            match server.stream(stream).publish(message.clone()) {
                Ok(_) => WriteOnce::Mine,
                // What lies there without the header of a release is a replay: as good.
                Err(there) => {
                    let found = server.message(stream, there);
                    let by_hand = found.is_some_and(|found| found.header(RELEASE).is_none());
                    if by_hand && there != died { WriteOnce::Mine } else { WriteOnce::Taken }
                }
            }
        }))
    }

    fn discard(&self, sequence: u64) -> PortFuture<'_, bool> {
        Box::pin(self.call("discard", move |server| server.stream(DLQ).remove(sequence)))
    }
}
