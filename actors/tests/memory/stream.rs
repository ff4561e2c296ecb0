//! A stream with its durable consumers, as JetStream documents them: ack_wait, redelivery, max_deliver, one message a subject with
//! discard new, work queues that lose what is settled.
//!
//! As on a real server, any client may settle a delivery, even a worker whose lease expired long ago.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::schedule::Rng;

/// Milliseconds.
pub(crate) const ACK_WAIT: u64 = 25_000;

/// A message as it lies in a stream.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(String, String)>,
    /// Seconds since the Unix epoch.
    pub(crate) at: i64,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Pending {
    due: u64,
    count: u64,
}

/// A durable consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    filter: String,
    max_deliver: u64,
    /// Messages that were published for it.
    published: u64,
    cursor: u64,
    pending: BTreeMap<u64, Pending>,
    /// Counted as pending, and not delivered.
    blind: BTreeSet<u64>,
}

/// A delivery of a consumer.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) sequence: u64,
    pub(crate) count: u64,
    pub(crate) left: u64,
}

/// A stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) last: u64,
    pub(crate) messages: BTreeMap<u64, Message>,
    /// Newest message by subject.
    subjects: BTreeMap<String, u64>,
    /// Its messages go when they are settled.
    pub(crate) queue: bool,
    /// At most one message a subject, the first.
    pub(crate) single: bool,
    /// Something may be ready that was not before.
    touched: bool,
    pub(crate) consumers: BTreeMap<String, Consumer>,
}

impl Stream {
    pub(crate) fn new(queue: bool, single: bool) -> Self {
        Self { queue, single, ..Self::default() }
    }

    pub(crate) fn consume(&mut self, name: &str, filter: &str, max_deliver: u64) {
        let filter = filter.trim_end_matches('>').to_owned();
        let (pending, blind) = (BTreeMap::new(), BTreeSet::new());
        let (published, cursor) = (0, 0);
        let consumer = Consumer { filter, max_deliver, published, cursor, pending, blind };
        self.consumers.insert(name.to_owned(), consumer);
    }

    /// Stores a message; where the subject is taken, gives the message that is there.
    pub(crate) fn publish(&mut self, message: Message) -> Result<u64, u64> {
        if let Some(there) = self.newest(&message.subject)
            && self.single
        {
            return Err(there);
        }
        self.last += 1;
        self.touched = true;
        for consumer in self.consumers.values_mut() {
            consumer.published += u64::from(message.subject.starts_with(&consumer.filter));
        }
        self.subjects.insert(message.subject.clone(), self.last);
        self.messages.insert(self.last, message);
        Ok(self.last)
    }

    /// Messages that were published for a consumer.
    pub(crate) fn published(&self, name: &str) -> u64 {
        self.consumers.get(name).map_or(0, |consumer| consumer.published)
    }

    pub(crate) fn newest(&self, subject: &str) -> Option<u64> {
        self.subjects.get(subject).copied()
    }

    /// Removes a message. `false`: there is none.
    pub(crate) fn remove(&mut self, sequence: u64) -> bool {
        for consumer in self.consumers.values_mut() {
            consumer.pending.remove(&sequence);
            consumer.blind.remove(&sequence);
        }
        let Some(message) = self.messages.remove(&sequence) else { return false };
        if self.newest(&message.subject) == Some(sequence) {
            self.subjects.remove(&message.subject);
            let before = self.messages.iter().rev().find(|(_, m)| m.subject == message.subject);
            if let Some((before, _)) = before {
                self.subjects.insert(message.subject, *before);
            }
        }
        true
    }

    pub(crate) fn purge(&mut self, is_meant: impl Fn(&str) -> bool) {
        let meant = self.messages.iter().filter(|(_, message)| is_meant(&message.subject));
        for sequence in meant.map(|(sequence, _)| *sequence).collect::<Vec<_>>() {
            self.remove(sequence);
        }
    }

    /// Makes every consumer of a message count it and never deliver it.
    pub(crate) fn hide(&mut self, sequence: u64) {
        let Some(message) = self.messages.get(&sequence) else { return };
        for consumer in self.consumers.values_mut() {
            if message.subject.starts_with(&consumer.filter) {
                consumer.blind.insert(sequence);
            }
        }
    }

    /// After a change of its leader, a consumer sees the messages that it had missed.
    pub(crate) fn heal(&mut self) {
        self.touched = true;
        for consumer in self.consumers.values_mut() {
            for sequence in std::mem::take(&mut consumer.blind) {
                if sequence <= consumer.cursor {
                    consumer.pending.insert(sequence, Pending { due: 0, count: 0 });
                }
            }
        }
    }

    /// Whether pollers should look again; asked once for each change.
    pub(crate) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    fn fresh(&self, consumer: &Consumer) -> Vec<u64> {
        let later = self.messages.range(consumer.cursor + 1..);
        later.filter(|(_, m)| m.subject.starts_with(&consumer.filter)).map(|(s, _)| *s).collect()
    }

    /// The next delivery, and the messages that were given up on the way to it.
    pub(crate) fn next(
        &mut self,
        name: &str,
        now: u64,
        rng: &mut Rng,
    ) -> (Option<Given>, Vec<u64>) {
        let Some(consumer) = self.consumers.get(name) else { return (None, Vec::new()) };
        let fresh: Vec<u64> = self.fresh(consumer);
        let hidden = |sequence: &&u64| !consumer.blind.contains(*sequence);
        let first = fresh.iter().find(hidden).copied();
        let max = consumer.max_deliver;
        let expired: Vec<u64> =
            consumer.pending.iter().filter(|(_, p)| p.due <= now).map(|(s, _)| *s).collect();
        let Some(consumer) = self.consumers.get_mut(name) else { return (None, Vec::new()) };
        let spent =
            |sequence: &&u64| consumer.pending.get(*sequence).is_some_and(|p| p.count >= max);
        let given_up: Vec<u64> = expired.iter().filter(spent).copied().collect();
        for sequence in &given_up {
            consumer.pending.remove(sequence);
        }
        let mut ready: Vec<u64> =
            expired.into_iter().filter(|sequence| !given_up.contains(sequence)).collect();
        ready.extend(first);
        if ready.is_empty() {
            return (None, given_up);
        }
        let sequence = *rng.pick(&ready);
        consumer.cursor = consumer.cursor.max(sequence);
        let due = now + ACK_WAIT;
        let pending = consumer.pending.entry(sequence).or_insert(Pending { due, count: 0 });
        pending.due = due;
        pending.count += 1;
        let left = fresh.iter().filter(|fresh| **fresh > sequence).count() as u64;
        (Some(Given { sequence, count: pending.count, left }), given_up)
    }

    /// When a consumer has something to give out: now, at a time, or not before something is published.
    pub(crate) fn due(&self, name: &str) -> Option<u64> {
        let consumer = self.consumers.get(name)?;
        let mut later = self.messages.range(consumer.cursor + 1..);
        let is_fresh = |(sequence, message): (&u64, &Message)| {
            message.subject.starts_with(&consumer.filter) && !consumer.blind.contains(sequence)
        };
        if later.any(is_fresh) {
            return Some(0);
        }
        consumer.pending.values().map(|pending| pending.due).min()
    }

    /// `+ACK` or `+TERM`.
    pub(crate) fn settle(&mut self, name: &str, sequence: u64) {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.pending.remove(&sequence);
        }
        if self.queue {
            self.remove(sequence);
        }
    }

    /// `-NAK` with a delay.
    pub(crate) fn hand_back(&mut self, name: &str, sequence: u64, due: u64) {
        self.touched = true;
        if let Some(pending) = self.pending(name, sequence) {
            pending.due = due;
        }
    }

    /// `+WPI`.
    pub(crate) fn renew(&mut self, name: &str, sequence: u64, now: u64) {
        if let Some(pending) = self.pending(name, sequence) {
            pending.due = now + ACK_WAIT;
        }
    }

    /// How often a message that is in hand was delivered.
    pub(crate) fn count(&self, name: &str, sequence: u64) -> Option<u64> {
        Some(self.consumers.get(name)?.pending.get(&sequence)?.count)
    }

    fn pending(&mut self, name: &str, sequence: u64) -> Option<&mut Pending> {
        self.consumers.get_mut(name)?.pending.get_mut(&sequence)
    }

    /// Highest sequence delivered, ack floor, and deliveries that are not settled.
    pub(crate) fn position(&self, name: &str) -> (u64, u64, u64) {
        let Some(consumer) = self.consumers.get(name) else { return (0, 0, 0) };
        let floor = consumer.pending.keys().next().map_or(consumer.cursor, |first| first - 1);
        (consumer.cursor, floor, consumer.pending.len() as u64)
    }

    /// Messages that a consumer has in hand, or will still give out.
    pub(crate) fn waiting(&self, name: &str) -> impl Iterator<Item = &Message> {
        let consumer = self.consumers.get(name);
        let waits = move |sequence: &u64, message: &Message| {
            consumer.is_some_and(|consumer| {
                let fresh = *sequence > consumer.cursor;
                let unsettled = consumer.pending.contains_key(sequence);
                (fresh || unsettled) && message.subject.starts_with(&consumer.filter)
            })
        };
        let waiting = self.messages.iter().filter(move |(sequence, m)| waits(sequence, m));
        waiting.map(|(_, message)| message)
    }

    /// Messages that a consumer does not account for; empty where it accounts for all. And how many it has in hand.
    pub(crate) fn unaccounted(&self, name: &str) -> (Vec<u64>, u64) {
        let Some(consumer) = self.consumers.get(name) else { return (Vec::new(), 0) };
        let there: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, message)| message.subject.starts_with(&consumer.filter))
            .map(|(sequence, _)| *sequence)
            .collect();
        let blind = consumer.blind.iter().filter(|sequence| **sequence <= consumer.cursor).count();
        let fresh = there.iter().filter(|sequence| **sequence > consumer.cursor).count();
        let in_hand = consumer.pending.len();
        if there.len() <= fresh + blind + in_hand {
            return (Vec::new(), in_hand as u64);
        }
        let delivered = there.into_iter().filter(|sequence| *sequence <= consumer.cursor);
        (delivered.collect(), in_hand as u64)
    }
}
