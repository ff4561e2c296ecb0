//! Ports of the reconciler and the heartbeat: [`Survey`], [`Nodes`] and [`Binding`] on the server in memory.

use std::collections::BTreeSet;

use jetreel_actors::binding::Binding;
use jetreel_actors::ports::{
    Leases, NodeReports, Nodes, PortFuture, States, Survey, Swap, Versioned,
};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::room::Room;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::binding::BrokerMark;
use jetreel_domain::upkeep::leadership::{Leadership, Office};
use jetreel_domain::upkeep::presence::{Presence, Word};
use jetreel_domain::upkeep::reconcile::Position;
use jetreel_domain::words::failure::Failure;

use super::port::Port;
use super::server::{DLQ, ENCODE, INGEST, LEDGER, UPLOADS};

impl Survey for Port {
    fn states(&self, after: u64, limit: usize) -> PortFuture<'_, States> {
        Box::pin(self.call("read states", move |server| {
            let all = server.videos.kept.values();
            let mut videos: Vec<Versioned<_>> = all
                .filter(|kept| kept.revision > after)
                .map(|kept| Versioned { value: kept.value.clone(), revision: kept.revision })
                .collect();
            videos.sort_by_key(|video| video.revision);
            let more = videos.len() > limit;
            videos.truncate(limit);
            let read = videos.last().map_or(after, |video| video.revision);
            States { videos, read, more, extent: server.videos.extent() }
        }))
    }

    fn dead_letters(&self) -> PortFuture<'_, Room> {
        Box::pin(self.call("count letters", |server| {
            let letters = server.streams[DLQ].messages.len() as u64;
            Room { letters, bytes: letters, limit: None }
        }))
    }

    fn states_since(&self) -> PortFuture<'_, i64> {
        Box::pin(self.call("states since", |_| 0))
    }

    fn newest_part<'a>(&'a self, _: &'a VideoId) -> PortFuture<'a, Option<i64>> {
        Box::pin(async { Ok(None) })
    }

    fn uploads_on_record(&self) -> PortFuture<'_, BTreeSet<VideoId>> {
        Box::pin(async { Ok(BTreeSet::new()) })
    }

    fn uploads_position(&self) -> PortFuture<'_, Position> {
        Box::pin(self.call("uploads position", |server| {
            let (delivered, floor, unsettled) = server.streams[UPLOADS].position(INGEST);
            Position { delivered, floor, unsettled }
        }))
    }

    fn announced_upload<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Option<u64>> {
        let (order, subject) = (order.clone(), subject::upload(&order.video));
        Box::pin(self.call("find upload", move |server| {
            let there = server.streams[UPLOADS].messages.iter().rev();
            let mut own = there.filter(|(_, message)| message.subject == subject);
            let is_for = |body: &[u8]| {
                let read = rmp_serde::from_slice::<Uploaded>(body);
                read.is_ok_and(|read| read.number == order.number && read.source.is_none())
            };
            own.find(|(_, message)| is_for(&message.body)).map(|(sequence, _)| *sequence)
        }))
    }

    fn queued_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>> {
        let part = format!(".{}.{}.", order.video, order.number);
        Box::pin(self.call("queued tasks", move |server| {
            let there = server.streams[ENCODE].messages.values();
            let own = there.filter(|message| message.subject.contains(&part));
            own.filter_map(|message| subject::task_in(&message.subject)).collect()
        }))
    }

    fn finished_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>> {
        let filter = subject::ledger_filter(order);
        let prefix = filter.trim_end_matches('>').to_owned();
        Box::pin(self.call("finished tasks", move |server| {
            let there = server.streams[LEDGER].messages.values();
            let rest = there.filter_map(|message| message.subject.strip_prefix(&prefix));
            // A checkpoint has one more token.
            rest.filter(|rest| !rest.contains('.')).filter_map(|rest| rest.parse().ok()).collect()
        }))
    }

    fn orders_on_record(&self) -> PortFuture<'_, BTreeSet<OrderId>> {
        Box::pin(self.call("orders on record", |server| {
            let subjects = server.streams[LEDGER].messages.values().map(|m| m.subject.as_str());
            let on_ledger = subjects.filter_map(subject::order_on_ledger);
            let keys = server.claims.kept.keys().map(String::as_str);
            on_ledger.chain(keys.filter_map(subject::order_in_claims)).collect()
        }))
    }
}

impl Leases for Port {
    fn lease(&self, office: Office) -> PortFuture<'_, Option<Versioned<Leadership>>> {
        let key = office.as_str();
        Box::pin(self.call("read leadership", move |server| server.leadership.get(key)))
    }

    fn swap_lease<'a>(
        &'a self,
        office: Office,
        lease: &'a Leadership,
        revision: u64,
    ) -> PortFuture<'a, Swap> {
        let (key, lease, writer) = (office.as_str(), lease.clone(), self.writer());
        Box::pin(self.call("swap leadership", move |server| {
            server.leadership.swap(key, lease.clone(), revision, writer)
        }))
    }
}

impl Nodes for Port {
    fn tell<'a>(&'a self, id: &'a str, presence: &'a Presence) -> PortFuture<'a, ()> {
        let (id, presence, writer) = (id.to_owned(), presence.clone(), self.writer());
        Box::pin(self.call("tell", move |server| {
            let revision = server.nodes.get(&id).map_or(0, |found| found.revision);
            server.left.remove(&id);
            server.nodes.swap(&id, presence.clone(), revision, writer);
        }))
    }

    fn leave<'a>(&'a self, id: &'a str) -> PortFuture<'a, ()> {
        let id = id.to_owned();
        Box::pin(self.call("leave", move |server| {
            server.nodes.kept.remove(&id);
            let marker = server.nodes.next();
            server.left.insert(id.clone(), marker);
        }))
    }

    fn said(&self, after: u64, limit: usize) -> PortFuture<'_, NodeReports> {
        Box::pin(self.call("hear nodes", move |server| {
            let kept = server.nodes.kept.iter().filter(|(_, kept)| kept.revision > after);
            let mut found: Vec<_> = kept.collect();
            found.sort_by_key(|(_, kept)| kept.revision);
            let more = found.len() > limit;
            found.truncate(limit);
            let last = found.last().map(|(_, kept)| kept.revision).filter(|_| more);
            let read = last.unwrap_or_else(|| server.nodes.extent().last.max(after));
            let left = server.left.iter().filter(|(_, at)| (after + 1..=read).contains(*at));
            // All clocks are one.
            let words = found.into_iter().map(|(id, kept)| Word {
                id: id.clone(),
                at: kept.value.at,
                sequence: kept.revision,
                presence: kept.value.clone(),
            });
            NodeReports {
                words: words.collect(),
                left: left.map(|(id, _)| id.clone()).collect(),
                unreadable: Vec::new(),
                read,
                extent: server.nodes.extent(),
            }
        }))
    }
}

impl Binding for Port {
    fn store_mark(&self) -> PortFuture<'_, Option<Versioned<Result<BrokerMark, Failure>>>> {
        Box::pin(self.call("read mark", |server| {
            let found = server.marks.get("mark")?;
            Some(Versioned { value: Ok(found.value), revision: found.revision })
        }))
    }

    fn newest(&self, limit: usize) -> PortFuture<'_, Option<Vec<Video>>> {
        Box::pin(self.call("read newest", move |server| {
            let mut all: Vec<_> = server.videos.kept.values().collect();
            all.sort_by_key(|kept| std::cmp::Reverse(kept.revision));
            let newest = all.into_iter().take(limit).map(|kept| kept.value.clone());
            Some(newest.collect::<Vec<Video>>()).filter(|newest| !newest.is_empty())
        }))
    }

    fn swap_store_mark<'a>(&'a self, mark: &'a BrokerMark, revision: u64) -> PortFuture<'a, Swap> {
        let (mark, writer) = (mark.clone(), self.writer());
        Box::pin(self.call("swap mark", move |server| {
            server.marks.swap("mark", mark.clone(), revision, writer)
        }))
    }

    fn birth(&self) -> PortFuture<'_, String> {
        Box::pin(self.call("birth", |_| "2027-01-15T08:00:00Z".to_owned()))
    }
}
