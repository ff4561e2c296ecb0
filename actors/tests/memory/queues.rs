//! [`Queues`] on the server in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use jetreel_actors::ports::{Delivered, PortFuture, Queues, WriteOnce};
use jetreel_domain::delivery::dispatch::{Heard, TaskQueue};
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded, VERSION};
use jetreel_domain::delivery::stage::{About, Stage};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::port::{Port, encoded};
use super::server::{ENCODE, ENTRIES, LEDGER, PROGRESS, RELEASE, UPLOADS, encode_consumer};

/// Queues of tasks, and their consumers.
static QUEUES: LazyLock<BTreeMap<TaskQueue, String>> = LazyLock::new(|| {
    let named = |queue: TaskQueue| (queue, encode_consumer(queue.lane, queue.group));
    TaskQueue::all().map(named).collect()
});

/// Share of the releases that a node does not hear of.
const DEAF: f64 = 0.2;

impl Queues for Port {
    fn next(&self, stage: Stage, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        let About { stream, consumer, .. } = stage.about();
        Box::pin(self.pull(stream, consumer, wait))
    }

    fn next_task(&self, queue: TaskQueue, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        Box::pin(async move { self.pull(ENCODE, &QUEUES[&queue], wait).await })
    }

    fn waiting_tasks(&self) -> PortFuture<'_, BTreeMap<TaskQueue, u64>> {
        self.look_up("count waiting tasks", |server| {
            let stream = &server.streams[ENCODE];
            let waiting = |(queue, name): (&TaskQueue, &String)| {
                let (_, _, in_hand) = stream.position(name);
                let waiting = stream.waiting(name).count() as u64;
                (*queue, waiting.saturating_sub(in_hand))
            };
            QUEUES.iter().map(waiting).collect()
        })
    }

    fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        let queues = QUEUES.iter();
        let published = self.world.look(|server| {
            let stream = &server.streams[ENCODE];
            let published = queues.map(|(queue, name)| (queue, name, stream.published(name)));
            published.filter(|(.., count)| *count > 0).collect::<Vec<_>>()
        });
        for (queue, name, published) in published {
            // Only hints, and not every one is heard.
            let hears = |count: &u64| !self.world.fixed(&self.body, name, *count).chance(DEAF);
            (0..published).filter(hears).for_each(|_| heard.note(*queue));
        }
        heard
    }

    fn task_hint<'a>(&'a self, since: &'a Heard) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let changed = self.world.change(ENCODE);
                if self.heard() != *since {
                    break;
                }
                changed.await;
            }
        })
    }

    fn cancel_hint<'a>(
        &'a self,
        order: &'a OrderId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let fact = subject::progress(order, &jetreel_domain::order::state::Fact::Cancelled);
        let newest = self.world.look(|server| server.streams[PROGRESS].last);
        // Only a hint, and not every one is heard.
        let deaf = self.world.dice(&self.body, "cancel hint").chance(0.3);
        Box::pin(async move {
            if deaf {
                std::future::pending::<()>().await;
            }
            loop {
                let changed = self.world.change(PROGRESS);
                let told = self.world.look(|server| server.streams[PROGRESS].newest(&fact));
                if told.is_some_and(|told| told > newest) {
                    break;
                }
                changed.await;
            }
        })
    }

    fn receive_entries<'a>(
        &'a self,
        most: usize,
        wait: Duration,
        into: &'a UnboundedSender<Delivered>,
    ) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let until = Instant::now() + wait;
            for _ in 0..most {
                let left = until.saturating_duration_since(Instant::now());
                let Some(delivered) = self.pull(LEDGER, ENTRIES, left).await? else { break };
                if into.send(delivered).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn hear_releases<'a>(
        &'a self,
        into: &'a UnboundedSender<(OrderId, TaskId)>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let mut heard = self.world.look(|server| server.streams[ENCODE].last);
        Box::pin(async move {
            while self.body.is_alive() {
                let changed = self.world.change(ENCODE);
                let (last, told) = self.world.look(|server| {
                    let stream = &server.streams[ENCODE];
                    let messages = stream.messages.range(heard + 1..);
                    let subjects = messages.map(|(_, message)| message.subject.clone());
                    (stream.last, subjects.collect::<Vec<_>>())
                });
                heard = last;
                for subject in told {
                    let order = subject::owner(&subject).and_then(|(video, number)| {
                        Some((OrderId::new(video, number?), subject::task_in(&subject)?))
                    });
                    // Only a hint, and not every one is heard.
                    let deaf = self.world.dice(&self.body, "hear release").chance(0.2);
                    if let Some(release) = order.filter(|_| !deaf)
                        && into.send(release).is_err()
                    {
                        return;
                    }
                }
                changed.await;
            }
            std::future::pending().await
        })
    }

    fn check(&self) -> PortFuture<'_, ()> {
        self.look_up("check", |_| ())
    }

    fn release<'a>(&'a self, task: &'a EncodeTask) -> PortFuture<'a, WriteOnce> {
        let subject = subject::encode(task.lane, &task.order, task.task);
        self.publish("release", ENCODE, self.message(subject, encoded(task), RELEASE))
    }

    fn ask<'a>(&'a self, stage: Stage, order: &'a OrderId) -> PortFuture<'a, WriteOnce> {
        let body = encoded(&Evaluate { v: VERSION, order: order.clone() });
        let message = self.message(stage.subject_of(order), body, RELEASE);
        self.publish("evaluate", stage.about().stream, message)
    }

    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()> {
        let message = self.message(subject::upload(&upload.video), encoded(upload), RELEASE);
        self.look_up("announce upload", move |server| {
            server.stream(UPLOADS).publish(message.clone()).ok();
        })
    }

    fn is_queued(&self, sequence: u64) -> PortFuture<'_, bool> {
        self.look_up("is queued", move |server| server.message(ENCODE, sequence).is_some())
    }
}
