//! A node's way to the world: every call waits for its turn, may be lost, doubled, late or slow, and may be the last that its node makes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jetreel_actors::event::{Event, Reconciled};
use jetreel_actors::ports::{Delivered, Delivery, Environment, PortFuture};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::TaskId;
use jetreel_domain::upkeep::relations::LEASE;
use jetreel_domain::words::failure::Failure;
use tokio::time::Instant;

use super::rules::{self, Received};
use super::server::{ADVISORY, ENCODE, LEDGER, PUBLISH, RELEASE, Server, UPLOADS};
use super::stream::{Given, Message};
use super::world::{Body, Kind, World};

/// All ports of one node.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) world: Arc<World>,
    pub(crate) body: Arc<Body>,
}

fn silent(call: &str) -> Failure {
    let message = "The broker or the store does not answer.";
    Failure::dependency("broker-timeout", message).with_detail(call)
}

impl Port {
    /// Waits for its turn. A dead node waits for ever.
    pub(crate) async fn step(&self, milliseconds: u64, tie: u64) {
        self.world.scheduler.turn(milliseconds, tie).await;
        if !self.body.is_alive() || self.world.strikes(&self.body) {
            std::future::pending::<()>().await;
        }
    }

    /// One call: request, effect, answer. An effect that is done twice must know itself again, as a write does by its writer's id.
    pub(crate) async fn call<T, F>(&self, name: &'static str, mut effect: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnMut(&mut Server) -> T + Send + 'static,
    {
        let fate = self.world.fate(&self.body, name);
        self.step(fate.before, fate.tie).await;
        if !matches!(fate.kind, Kind::Plain) {
            self.world.tell(&self.body, format_args!("{name}: {:?}", fate.kind));
        }
        match fate.kind {
            Kind::Refused => return Err(silent(name)),
            Kind::Late(after) => {
                let world = Arc::clone(&self.world);
                tokio::spawn(async move {
                    world.scheduler.hold(after).await;
                    drop(world.with(effect));
                });
                self.step(fate.after, fate.tie).await;
                return Err(silent(name));
            }
            Kind::Plain | Kind::Lost | Kind::Doubled => {}
        }
        let mut done = self.world.with(&mut effect);
        if fate.kind == Kind::Doubled {
            let again = self.world.draw(|rng| rng.below(5000));
            self.step(again, fate.tie).await;
            done = self.world.with(&mut effect);
        }
        self.step(fate.after, fate.tie).await;
        if fate.kind == Kind::Lost { Err(silent(name)) } else { Ok(done) }
    }

    /// An id for one write.
    pub(crate) fn writer(&self) -> u64 {
        self.world.writer()
    }

    /// Pulls, and waits for something to pull.
    pub(crate) async fn pull(
        &self,
        stream: &'static str,
        consumer: &str,
        wait: Duration,
    ) -> Result<Option<Delivered>, Failure> {
        let until = Instant::now() + wait;
        loop {
            let changed = self.world.change(stream);
            let due = self.world.look(|server| server.streams[stream].due(consumer));
            let now = self.world.scheduler.now();
            if due.is_some_and(|due| due <= now) {
                let taken = self.take(stream, consumer).await?;
                if taken.is_some() {
                    return Ok(taken);
                }
                continue;
            }
            if !self.body.is_alive() {
                std::future::pending::<()>().await;
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            let left = due.map_or(wait, |due| Duration::from_millis(due - now));
            let look = until.min(Instant::now() + left);
            // Either way it looks again.
            drop(tokio::time::timeout_at(look, changed).await);
        }
    }

    async fn take(
        &self,
        stream: &'static str,
        consumer: &str,
    ) -> Result<Option<Delivered>, Failure> {
        let (world, name) = (Arc::clone(&self.world), consumer.to_owned());
        let taken = self
            .call(label(stream), move |server| {
                let now = world.scheduler.now();
                let at = world.seconds();
                let next = world.draw(|rng| server.stream(stream).next(&name, now, rng));
                let (given, given_up) = next;
                for sequence in given_up {
                    advise(server, stream, &name, sequence, at);
                }
                let Given { sequence, count, left } = given?;
                let message = server.message(stream, sequence)?.clone();
                Some((message, sequence, count, left))
            })
            .await?;
        Ok(taken.map(|(message, sequence, count, left)| {
            self.world.tell(&self.body, format_args!("gets {} ({count})", message.subject));
            let released = message.header(RELEASE).is_some();
            let received = Received { at: self.world.scheduler.now(), sequence, released };
            self.body.received(&message.subject, received);
            Box::new(MemoryDelivery {
                port: self.clone(),
                message,
                stream,
                consumer: consumer.to_owned(),
                sequence,
                count,
                left,
                spoken: AtomicBool::new(false),
                received: received.at,
                held: Mutex::new(Instant::now()),
            }) as Delivered
        }))
    }
}

/// The name of a pull.
fn label(stream: &str) -> &'static str {
    match stream {
        UPLOADS => "pull upload",
        ENCODE => "pull task",
        LEDGER => "pull entry",
        PUBLISH => "pull evaluation",
        _ => "pull advisory",
    }
}

fn advise(server: &mut Server, stream: &str, consumer: &str, sequence: u64, at: i64) {
    let body =
        format!(r#"{{"stream":"{stream}","consumer":"{consumer}","stream_seq":{sequence}}}"#);
    let subject = subject::given_up(stream, consumer);
    let message = Message { subject, body: body.into(), headers: Vec::new(), at };
    // Every one is stored: the stream holds many a subject.
    server.stream(ADVISORY).publish(message).ok();
}

/// A message in hand.
struct MemoryDelivery {
    port: Port,
    message: Message,
    stream: &'static str,
    consumer: String,
    sequence: u64,
    count: u64,
    left: u64,
    /// Something was said of it.
    spoken: AtomicBool,
    /// When it came, milliseconds since the start.
    received: u64,
    /// When the lease was last known to be ours.
    held: Mutex<Instant>,
}

impl MemoryDelivery {
    /// As in the real one: a lease that was not renewed for long may be another's.
    fn may_be_anothers(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= LEASE.lost_after
    }

    /// What is wrong with a word that does not say that the work is done.
    fn look_at_word(&self, name: &str) {
        let (stream, subject) = (self.stream, &self.message.subject);
        let stage = matches!(stream, UPLOADS | ENCODE | PUBLISH);
        let order = rules::order_of(subject, &self.message.body).filter(|_| stage);
        self.port.world.with(|server| {
            let count = server.streams[stream].count(&self.consumer, self.sequence);
            // A way that was longer than the lease is nothing a worker can know.
            if self.may_be_anothers() && count.is_some_and(|count| count > self.count) {
                let wrong = format!("{name} of {subject} meets the delivery of another");
                server.violations.push(wrong);
            }
            let node = &self.port.body.name;
            let Some(order) = order else { return };
            let (message, received) = ((stream, self.sequence), self.received);
            let spoken = server.ends.may_speak(node, &order, message, received);
            let twice = self.port.body.has_twice(subject);
            let kept = (name == "hand back" && !twice)
                .then(|| server.ends.may_hand_back(node, &order, message, received));
            server.violations.extend(spoken.into_iter().chain(kept.flatten()));
        });
    }

    /// Takes the message out of the queue.
    fn settle(&self, name: &'static str) -> PortFuture<'_, ()> {
        self.spoken.store(true, Ordering::Relaxed);
        let (stream, consumer, sequence) = (self.stream, self.consumer.clone(), self.sequence);
        self.port.world.tell(&self.port.body, format_args!("{name} {}", self.message.subject));
        Box::pin(self.port.call(name, move |server| {
            let wrong = rules::settled(server, stream, sequence);
            server.violations.extend(wrong);
            server.stream(stream).settle(&consumer, sequence);
        }))
    }

    fn say(
        &self,
        name: &'static str,
        word: impl Fn(&mut super::stream::Stream, &str, u64, u64) + Send + 'static,
    ) -> PortFuture<'_, ()> {
        let (world, stream) = (Arc::clone(&self.port.world), self.stream);
        let (consumer, sequence) = (self.consumer.clone(), self.sequence);
        self.port.world.tell(&self.port.body, format_args!("{name} {}", self.message.subject));
        Box::pin(self.port.call(name, move |server| {
            let now = world.scheduler.now();
            word(server.stream(stream), &consumer, sequence, now);
        }))
    }
}

impl Drop for MemoryDelivery {
    fn drop(&mut self) {
        self.port.body.put_down(&self.message.subject);
    }
}

impl Delivery for MemoryDelivery {
    fn body(&self) -> &[u8] {
        &self.message.body
    }
    fn subject(&self) -> &str {
        &self.message.subject
    }
    fn stream(&self) -> &str {
        self.stream
    }
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn delivered(&self) -> u64 {
        self.count
    }
    fn pending(&self) -> u64 {
        self.left
    }
    fn headers(&self) -> Vec<(String, String)> {
        self.message.headers.clone()
    }
    fn is_released(&self) -> bool {
        self.message.header(RELEASE).is_some()
    }
    fn ack(&self) -> PortFuture<'_, ()> {
        self.settle("ack")
    }
    fn hand_back(&self, after: Duration) -> PortFuture<'_, ()> {
        if self.may_be_anothers() {
            return Box::pin(async { Ok(()) });
        }
        self.look_at_word("hand back");
        self.spoken.store(true, Ordering::Relaxed);
        let after = after.as_millis() as u64;
        self.say("hand back", move |stream, consumer, sequence, now| {
            stream.hand_back(consumer, sequence, now + after);
        })
    }
    fn terminate(&self, _: &str) -> PortFuture<'_, ()> {
        self.settle("terminate")
    }
    fn renew(&self) -> PortFuture<'_, ()> {
        if self.may_be_anothers() {
            let message = "The lease ran out before it was renewed.";
            return Box::pin(async move { Err(Failure::dependency("lease-renewal", message)) });
        }
        if self.spoken.load(Ordering::Relaxed) {
            let wrong = format!("{} was renewed after it was settled", self.message.subject);
            self.port.world.with(|server| server.violations.push(wrong));
        }
        let asked = Instant::now();
        let renewed = self.say("renew", |stream, consumer, sequence, now| {
            stream.renew(consumer, sequence, now);
        });
        Box::pin(async move {
            renewed.await?;
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            Ok(())
        })
    }
}

impl Port {
    /// A complaint about a task that begins outside of the hours of its group.
    fn is_early(&self, task: TaskId) -> Option<String> {
        let hours = self.world.rules().groups.get(&task.group)?;
        let is_open = hours.is_open(self.world.seconds());
        (!is_open).then(|| format!("{task} began outside of {hours}"))
    }
}

impl Environment for Port {
    fn now(&self) -> i64 {
        self.world.seconds()
    }
    fn uuid(&self) -> String {
        let mut dice = self.world.dice(&self.body, "uuid");
        let (a, b) = (dice.next(), dice.next());
        let bits = (u128::from(a) << 64) | u128::from(b);
        let hex = format!("{bits:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        parts.join("-")
    }
    fn chance(&self) -> f64 {
        self.world.dice(&self.body, "chance").unit()
    }
    fn emit(&self, event: Event) {
        if let Event::TaskStarted { order, task, .. } = &event
            && let Some(received) = self.body.has(order, *task)
        {
            self.world.with(|server| {
                let wrong = server.ends.may_start(order, *task, received);
                server.violations.extend(wrong.into_iter().chain(self.is_early(*task)));
            });
        }
        if let Event::Reconciled(Reconciled::Repaired { order, repair }) = &event {
            self.world.repaired(format!("{order}: {repair:?}"));
        }
        self.world.tell(&self.body, format_args!("{event:?}"));
    }
}

/// A body as it lies on a subject.
pub(crate) fn encoded(body: &impl serde::Serialize) -> Bytes {
    rmp_serde::to_vec_named(body).expect("a body that can be written").into()
}
