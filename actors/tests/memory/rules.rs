//! What may not be done to the server, looked at when it is done. A repair that comes later hides nothing.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_actors::intake;
use jetreel_domain::delivery::claim::{Claim, HISTORY_MAX};
use jetreel_domain::delivery::intake::Body;
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::{Entry, Output};
use jetreel_domain::order::owner::Owner;
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::upkeep::sign;

use super::server::{ENCODE, LEDGER, PROGRESS, PUBLISH, Server, UPLOADS};

/// Longest that an attempt may go on whose claim is another's, milliseconds: several looks of its heartbeat.
const UNNOTICED_MAX: u64 = 100_000;

/// A node, and the stream, the sequence and the order of a message.
type Asked = (String, &'static str, u64, OrderId);

/// When things ended, milliseconds since the start.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// Orders that are closed.
    closed: BTreeMap<OrderId, u64>,
    /// What is dead, with the sequence of the message that died.
    died: BTreeMap<(OrderId, Unit), (u64, u64)>,
    /// Attempts whose claims are another's.
    replaced: BTreeMap<String, u64>,
    /// Attempts that gave their claims up themselves.
    given_up: BTreeSet<String>,
    /// Attempts of a node at the work that a message asks for, with the times when they took their claims.
    taken: BTreeMap<Asked, Vec<(String, u64)>>,
}

/// A delivery as a worker has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// Milliseconds since the start.
    pub(crate) at: u64,
    pub(crate) sequence: u64,
    /// Jetreel published it itself.
    pub(crate) released: bool,
}

impl Ends {
    /// Notes what a change of state ended, or brought back.
    pub(crate) fn note(&mut self, video: &Video, now: u64) {
        for order in &video.orders {
            let id = video.order_id(order.number);
            if order.is_closed() {
                self.closed.entry(id.clone()).or_insert(now);
            }
            self.died.retain(|(of, unit), _| *of != id || order.dead.contains_key(unit));
            for (unit, dead) in &order.dead {
                let died = self.died.entry((id.clone(), unit.clone())).or_insert((now, 0));
                died.1 = dead.sequence;
            }
        }
    }

    /// Notes a change of a claim; says what is wrong with it.
    pub(crate) fn claim(
        &mut self,
        key: &str,
        before: Option<&Claim>,
        after: &Claim,
        now: u64,
    ) -> Option<String> {
        if after.released {
            self.given_up.insert(after.attempt_id.clone());
        }
        let before = before.filter(|before| before.attempt_id != after.attempt_id)?;
        self.replaced.entry(before.attempt_id.clone()).or_insert(now);
        // Whoever takes a claim builds on what was there.
        let known = after.history.iter().filter(|attempt| before.history.contains(attempt)).count();
        let least = before.history.len().min(HISTORY_MAX - 1);
        (known < least).then(|| format!("{key} was taken by one who did not know what it was"))
    }

    /// A worker knows that it holds a claim.
    pub(crate) fn take(&mut self, order: OrderId, unit: &Unit, claim: &Claim, now: u64) {
        let stream = match unit {
            Unit::Task(_) => ENCODE,
            Unit::Stage(Stage::Ingest) => UPLOADS,
            Unit::Stage(_) | Unit::Unknown(_) => PUBLISH,
        };
        let by = (claim.node.clone(), stream, claim.sequence, order);
        self.taken.entry(by).or_default().push((claim.attempt_id.clone(), now));
    }

    /// A worker speaks about a message that it received then, and did not finish: its claim is nobody's by its own doing.
    pub(crate) fn may_speak(
        &self,
        node: &str,
        order: &OrderId,
        (stream, sequence): (&'static str, u64),
        received: u64,
    ) -> Option<String> {
        // Two workers of a node may have the same message in hand: which of them speaks is not known.
        let taken = self.taken_since(received, (node.to_owned(), stream, sequence, order.clone()));
        let anothers = |attempt: &&String| {
            self.replaced.contains_key(*attempt) && !self.given_up.contains(*attempt)
        };
        (!taken.is_empty() && taken.iter().all(anothers))
            .then(|| format!("{order}: {node} spoke about {sequence}, whose claim is another's"))
    }

    /// Attempts whose worker took its claim since.
    fn taken_since(&self, received: u64, by: Asked) -> Vec<&String> {
        let taken = self.taken.get(&by).into_iter().flatten();
        taken.filter(|(_, at)| *at >= received).map(|(attempt, _)| attempt).collect()
    }

    /// A worker hands a message back that it received then: it has given its claim up, if it had one.
    pub(crate) fn may_hand_back(
        &self,
        node: &str,
        order: &OrderId,
        (stream, sequence): (&'static str, u64),
        received: u64,
    ) -> Option<String> {
        let taken = self.taken_since(received, (node.to_owned(), stream, sequence, order.clone()));
        let held = |attempt: &&String| {
            !self.replaced.contains_key(*attempt) && !self.given_up.contains(*attempt)
        };
        taken
            .iter()
            .any(held)
            .then(|| format!("{order}: {node} handed {sequence} back and kept its claim"))
    }

    /// Whoever begins work has looked at state after the message came.
    pub(crate) fn may_start(&self, id: &OrderId, task: TaskId, by: Received) -> Option<String> {
        if self.closed.get(id).is_some_and(|closed| *closed < by.at) {
            return Some(format!("{id}: {task} was begun, and its order was closed before"));
        }
        let (died, sequence) = self.died.get(&(id.clone(), task.into()))?;
        let echo = by.released || by.sequence <= *sequence;
        (echo && *died < by.at)
            .then(|| format!("{id}: {task} was begun, and it was dead before its message came"))
    }

    /// An attempt stores a result at `key`.
    pub(crate) fn may_store(&self, key: &str, now: u64) -> Option<String> {
        let lost = self.replaced.get(key.split('/').nth(4)?).copied();
        let closed = match Owner::of(key)? {
            Owner::Order(order) => self.closed.get(&order).copied(),
            Owner::Original(_) | Owner::Node(_) | Owner::Probe => None,
        };
        let unwanted = lost.into_iter().chain(closed).min()?;
        let late = now.saturating_sub(unwanted);
        (late > UNNOTICED_MAX).then(|| {
            format!("{key} is stored {late} ms after its claim was lost or its order closed")
        })
    }
}

fn video<'a>(server: &'a Server, id: &OrderId) -> Option<&'a Video> {
    server.videos.kept.get(id.video.as_str()).map(|kept| &kept.value)
}

fn order<'a>(server: &'a Server, id: &OrderId) -> Option<&'a Order> {
    video(server, id)?.order(id.number)
}

/// A message of a stage leaves its queue: its work is done, or not wanted any more.
pub(crate) fn settled(server: &Server, stream: &str, sequence: u64) -> Option<String> {
    let message = server.message(stream, sequence)?;
    let wanted = match stream {
        ENCODE => {
            let task: EncodeTask = read(&message.subject, &message.body)?;
            is_task_wanted(server, &task, sequence)
        }
        UPLOADS => {
            let upload: Uploaded = read(&message.subject, &message.body)?;
            upload.source.is_none() && is_upload_wanted(server, &upload, sequence)
        }
        _ => false,
    };
    wanted.then(|| format!("{} was settled, and it is not done", message.subject))
}

fn read<B: Body>(subject: &str, body: &[u8]) -> Option<B> {
    intake::read(subject, body).ok()
}

fn is_task_wanted(server: &Server, message: &EncodeTask, sequence: u64) -> bool {
    let (id, unit) = (&message.order, Unit::Task(message.task));
    let Some(order) = order(server, id).filter(|order| !order.is_closed()) else { return false };
    let done = server.streams[LEDGER].newest(&subject::ledger(id, message.task)).is_some();
    let replayed = order.revived.get(&unit).is_some_and(|at| sequence < *at);
    let claim = server.claims.kept.get(&subject::claim_key(id, &unit));
    let other = claim.map_or(sequence, |claim| claim.value.sequence);
    let doubled = other != sequence && server.message(ENCODE, other).is_some();
    !done && !replayed && !doubled && !order.dead.contains_key(&unit)
}

fn is_upload_wanted(server: &Server, message: &Uploaded, sequence: u64) -> bool {
    let id = OrderId::new(message.video.clone(), message.number);
    let Some(order) = order(server, &id).filter(|order| !order.is_closed()) else { return false };
    let waits = matches!(order.status, Status::Queued | Status::Ingesting);
    let own = subject::upload(&message.video);
    let newest = server.streams[UPLOADS].newest(&own).is_some_and(|newest| newest == sequence);
    waits && newest && !order.dead.contains_key(&Unit::Stage(Stage::Ingest))
}

/// An object is deleted: nobody names it.
pub(crate) fn deleted(server: &Server, key: &str) -> Option<String> {
    let named = match Owner::of(key)? {
        Owner::Original(id) => {
            let video = &server.videos.kept.get(id.as_str())?.value;
            let read = |order: &&Order| !order.superseded && order.status != Status::Cancelled;
            let own =
                |order: &Order| video.source_of(order.number).parts.iter().any(|p| p.key == key);
            video.orders.iter().filter(read).any(own)
        }
        Owner::Order(id) => is_named(server, &id, key),
        Owner::Node(id) => {
            let said = server.nodes.kept.get(&id).and_then(|kept| kept.value.sign);
            said.is_some_and(|number| sign::key(&id, number) == key)
        }
        Owner::Probe => false,
    };
    named.then(|| format!("{key} was deleted, and it is named"))
}

fn is_named(server: &Server, id: &OrderId, key: &str) -> bool {
    let Some(order) = order(server, id) else { return false };
    if order.superseded || order.status == Status::Cancelled {
        return false;
    }
    if order.plan.as_ref().is_some_and(|plan| plan.object.key == key) {
        return true;
    }
    if let Some(published) = &order.published {
        let stored = server.objects.get(&published.manifest.key);
        let manifest = stored.and_then(|stored| serde_json::from_slice(&stored.bytes).ok());
        return published.manifest.key == key
            || manifest.is_some_and(|found: Manifest| found.objects().any(|o| o.key == key));
    }
    let filter = subject::ledger_filter(id);
    let prefix = filter.trim_end_matches('>');
    let own = server.streams[LEDGER].messages.values().filter(|m| m.subject.starts_with(prefix));
    let entries = own.filter_map(|m| read::<Entry>(&m.subject, &m.body));
    entries
        .into_iter()
        .any(|entry| entry.outputs.iter().flat_map(Output::objects).any(|o| o.key == key))
}

/// An entry is in the ledger: what it names is there.
pub(crate) fn entered(server: &Server, entry: &Entry) -> Option<String> {
    order(server, &entry.order).filter(|order| !order.is_closed())?;
    let named = entry.outputs.iter().flat_map(Output::objects);
    let mut gone = named.filter(|object| !server.objects.contains_key(&object.key));
    gone.next().map(|object| format!("{} is entered, and {} is gone", entry.task, object.key))
}

/// Facts are noted as told: they are told.
pub(crate) fn noted(server: &Server, video: &Video) -> Option<String> {
    let untold = |order: &Order| {
        let id = video.order_id(order.number);
        let noted = order.facts.iter().filter(|known| known.seq <= video.announced);
        let told = |subject: &str| server.streams[PROGRESS].newest(subject).is_some();
        noted.map(|known| subject::progress(&id, &known.fact)).find(|subject| !told(subject))
    };
    let untold = video.orders.iter().find_map(untold)?;
    Some(format!("{untold} is noted as told, and it is not"))
}

/// The order that a message of a stage is about.
pub(crate) fn order_of(subject: &str, body: &[u8]) -> Option<OrderId> {
    let task = read::<EncodeTask>(subject, body).map(|task| task.order);
    let asked = || read::<Evaluate>(subject, body).map(|evaluate| evaluate.order);
    let upload = || read::<Uploaded>(subject, body).map(|u| OrderId::new(u.video, u.number));
    task.or_else(asked).or_else(upload)
}
