//! The simulated cluster: one event after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chance::Chance;
use super::clip::Job;
use super::fleet::{Fleet, Hand, Place};
use super::outcome::{self, Outcome, Sample, Waits};
use super::speed::Speed;
use super::timeline::{Timeline, What};
use super::trace::{Trace, TraceError};
use super::waiting::{TaskAt, Waiting};
use crate::codec::limits::Limits;
use crate::order::lane::Lane;
use crate::plan::policy::PlanPolicy;
use crate::scale::arrivals::Arrivals;
use crate::scale::demand::Demand;
use crate::scale::scaler::{self, Memory};
use crate::words::failure::Failure;

/// Time between two decisions of the scaler.
const POLL_SECONDS: f64 = 5.0;
/// A cluster that has not done its work after this time never will.
const SECONDS_MAX: f64 = 90.0 * 86_400.0;

/// Why a trace has no outcome.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulationError {
    /// The trace makes no sense.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The planner refuses an upload.
    #[error("an upload of the trace cannot be planned: {}", .0.message)]
    Refused(Failure),
    /// The nodes never finish the work.
    #[error("the work is not done after 90 days; allow more nodes (scaler.nodes-max)")]
    NeverDone,
}

/// Runs a trace.
///
/// # Errors
/// The trace is wrong, or its work is never done.
pub fn simulate(
    trace: &Trace,
    policy: &PlanPolicy,
    limits: &Limits,
) -> Result<Outcome, SimulationError> {
    trace.check()?;
    let mut world = World::new(trace, policy, limits)?;
    while let Some((now, what)) = world.timeline.next() {
        world.now = now;
        if now > SECONDS_MAX {
            return Err(SimulationError::NeverDone);
        }
        if world.happen(what) {
            break;
        }
        world.fill();
    }
    Ok(world.outcome())
}

struct World<'a> {
    trace: &'a Trace,
    now: f64,
    timeline: Timeline,
    chance: Chance,
    orders: Vec<Order>,
    waiting: Waiting,
    fleet: Fleet,
    memory: Memory,
    arrivals: Arrivals,
    speed: Speed,
    /// How many times as long the storage takes.
    slowness: f64,
    /// Incomplete orders that have arrived. They are numbered by arrival.
    open: BTreeSet<usize>,
    unfinished: u64,
    backlog: f64,
    busy_seconds: f64,
    /// Orders that are still to come.
    coming: usize,
    /// Losses and slow times that are still to come or to end.
    troubles: usize,
    unstarted: usize,
    tally: Tally,
}

/// What is counted on the way.
#[derive(Default)]
struct Tally {
    nodes_peak: u32,
    nodes_lost: u32,
    tasks_again: usize,
    seconds_again: f64,
    samples: Vec<Sample>,
}

struct Order {
    at: f64,
    job: Arc<Job>,
    lane: Lane,
    owner: String,
    /// Unfinished needs of each task.
    needs: Vec<usize>,
    left: usize,
    started: Option<f64>,
    completed: f64,
}

impl<'a> World<'a> {
    fn new(
        trace: &'a Trace,
        policy: &PlanPolicy,
        limits: &Limits,
    ) -> Result<Self, SimulationError> {
        let mut chance = Chance::new(trace.seed);
        let orders = orders(trace, policy, limits, &mut chance)?;
        let mut timeline = Timeline::default();
        for (index, order) in orders.iter().enumerate() {
            timeline.plan(order.at, What::Upload(index));
        }
        for (index, lost) in trace.lose_nodes.iter().enumerate() {
            timeline.plan(lost.at_seconds, What::Lose(index));
        }
        for (index, slow) in trace.slow_storage.iter().enumerate() {
            timeline.plan(slow.at_seconds, What::Slow(index));
            timeline.plan(slow.at_seconds + slow.for_seconds, What::Fast(index));
        }
        let mut fleet = Fleet::new(trace.nodes.slots);
        for _ in 0..trace.nodes.first {
            let node = fleet.start(0.0);
            fleet.ready(node);
        }
        timeline.plan(0.0, What::Poll);
        Ok(Self {
            trace,
            now: 0.0,
            timeline,
            chance,
            coming: orders.len(),
            unstarted: 0,
            orders,
            waiting: Waiting::default(),
            fleet,
            memory: Memory::new(0.0, trace.nodes.first),
            arrivals: Arrivals::default(),
            speed: Speed::assumed(trace.nodes.speed),
            slowness: 1.0,
            open: BTreeSet::new(),
            unfinished: 0,
            backlog: 0.0,
            busy_seconds: 0.0,
            troubles: trace.lose_nodes.len() + 2 * trace.slow_storage.len(),
            tally: Tally::default(),
        })
    }

    /// `true` if this was the end.
    fn happen(&mut self, what: What) -> bool {
        match what {
            What::Upload(order) => self.upload(order),
            What::Ready(node) => self.fleet.ready(node),
            What::Done { node, slot, serial } => {
                if let Some(hand) = self.fleet.finish(Place { node, slot }, serial, self.now) {
                    self.finished(hand);
                }
            }
            What::DrainEnds(node) => {
                for hand in self.fleet.end(node, self.now) {
                    self.again(hand);
                    self.wait(hand.task);
                }
            }
            What::Back { order, task } => self.wait((order, task)),
            What::Lose(index) => self.lose(self.trace.lose_nodes[index].share),
            What::Slow(index) => self.slow(self.trace.slow_storage[index].factor),
            What::Fast(_) => self.slow(1.0),
            What::Poll => return self.poll(),
        }
        false
    }

    fn upload(&mut self, index: usize) {
        let order = &mut self.orders[index];
        // In the steps of the clock, so that no wait is below 0.
        order.at = self.now;
        let (job, cost) = (order.job.clone(), order.job.cost());
        self.coming -= 1;
        self.unstarted += 1;
        self.open.insert(index);
        self.unfinished += job.tasks.len() as u64;
        self.backlog += cost;
        self.arrivals.add(self.now, cost);
        let free = job.tasks.iter().enumerate().filter(|(_, task)| task.needs == 0);
        free.for_each(|(task, _)| self.wait((index, task)));
    }

    fn wait(&mut self, task: TaskAt) {
        let order = &self.orders[task.0];
        self.waiting.add(order.lane, task, order.job.tasks[task.1].urgent);
    }

    /// Fills the free slots.
    fn fill(&mut self) {
        while self.fleet.has_room() {
            let Some(task) = self.waiting.next() else { return };
            let order = &mut self.orders[task.0];
            if order.started.is_none() {
                order.started = Some(self.now);
                self.unstarted -= 1;
            }
            let cost = order.job.tasks[task.1].cost;
            let Some((Place { node, slot }, serial)) = self.fleet.take(task, self.now) else {
                return;
            };
            let seconds = self.service_seconds(cost);
            self.timeline.plan(self.now + seconds, What::Done { node, slot, serial });
        }
    }

    fn service_seconds(&mut self, cost: f64) -> f64 {
        let nodes = &self.trace.nodes;
        let stored = nodes.storage_share;
        let slower = 1.0 - stored + stored * self.slowness;
        cost / nodes.speed * slower * self.chance.around_one(nodes.spread)
    }

    fn finished(&mut self, hand: Hand) {
        let (index, task) = hand.task;
        let order = &mut self.orders[index];
        let job = order.job.clone();
        let done = &job.tasks[task];
        let wall = self.now - hand.since;
        self.busy_seconds += wall;
        self.speed.finished(done.cost, wall);
        self.backlog -= done.cost;
        self.unfinished -= 1;
        order.left -= 1;
        if order.left == 0 {
            order.completed = self.now;
            self.open.remove(&index);
        }
        for next in &done.feeds {
            self.orders[index].needs[*next] -= 1;
            if self.orders[index].needs[*next] == 0 {
                self.wait((index, *next));
            }
        }
    }

    /// Counts a task that is begun again.
    fn again(&mut self, hand: Hand) {
        self.busy_seconds += self.now - hand.since;
        self.tally.tasks_again += 1;
        self.tally.seconds_again += self.now - hand.since;
    }

    fn lose(&mut self, share: f64) {
        self.troubles -= 1;
        let mut alive = self.fleet.alive();
        let count = (alive.len() as f64 * share).round() as usize;
        for _ in 0..count {
            let pick = (self.chance.unit() * alive.len() as f64) as usize;
            let node = alive.swap_remove(pick);
            self.tally.nodes_lost += 1;
            for hand in self.fleet.end(node, self.now) {
                self.again(hand);
                let (order, task) = hand.task;
                let at = self.now + self.trace.nodes.lost_seconds;
                self.timeline.plan(at, What::Back { order, task });
            }
        }
    }

    fn slow(&mut self, factor: f64) {
        self.troubles -= 1;
        self.slowness = factor;
    }

    fn poll(&mut self) -> bool {
        self.speed.age(POLL_SECONDS);
        let (wanted, memory) =
            scaler::decide(&self.trace.scaler, &self.demand(), self.memory.clone());
        self.memory = memory;
        self.adjust(wanted.nodes);
        self.sample(wanted.nodes);
        let counts = self.fleet.counts();
        let done = self.coming + self.open.len() + self.troubles == 0;
        let idle =
            counts.starting + counts.draining == 0 && counts.working <= self.trace.scaler.nodes_min;
        // With rules that keep more nodes than the least there is nothing more to see once they are idle for an hour.
        let settled = done && self.now > self.completed() + 3600.0;
        self.timeline.plan(self.now + POLL_SECONDS, What::Poll);
        done && (idle || settled)
    }

    fn demand(&mut self) -> Demand {
        let oldest = self.open.first().map_or(self.now, |order| self.orders[*order].at);
        Demand {
            now_seconds: self.now,
            lag_tasks: 0,
            unfinished_tasks: self.unfinished,
            backlog_seconds: self.backlog,
            arrivals_per_second: self.arrivals.per_second(self.now),
            oldest_seconds: self.now - oldest,
            speed: self.speed.now(),
            busy_slots: self.fleet.busy(),
            slots_per_node: self.trace.nodes.slots,
        }
    }

    /// Starts or drains nodes. Lost ones are replaced by this.
    fn adjust(&mut self, wanted: u32) {
        let counts = self.fleet.counts();
        let present = counts.starting + counts.working;
        for _ in present..wanted {
            let node = self.fleet.start(self.now);
            self.timeline.plan(self.now + self.trace.nodes.start_seconds, What::Ready(node));
        }
        for node in self.fleet.drain(present.saturating_sub(wanted), self.now) {
            self.timeline.plan(self.now + self.trace.nodes.drain_seconds, What::DrainEnds(node));
        }
    }

    fn sample(&mut self, nodes_wanted: u32) {
        let counts = self.fleet.counts();
        let all = counts.starting + counts.working + counts.draining;
        self.tally.nodes_peak = self.tally.nodes_peak.max(all);
        self.tally.samples.push(Sample {
            seconds: self.now,
            nodes_working: counts.working,
            nodes_starting: counts.starting,
            nodes_draining: counts.draining,
            nodes_wanted,
            slots_busy: self.fleet.busy(),
            backlog_encode_seconds: self.backlog.max(0.0),
            videos_open: self.open.len(),
            videos_waiting: self.unstarted,
        });
    }

    fn completed(&self) -> f64 {
        self.orders.iter().map(|order| order.completed).fold(0.0, f64::max)
    }

    fn outcome(self) -> Outcome {
        let first = self.orders.first().map_or(0.0, |order| order.at);
        let waits = |wanted: &dyn Fn(&Order) -> bool| {
            let of = |order: &Order| {
                let started = order.started.unwrap_or(order.completed);
                (started - order.at, order.completed - order.at)
            };
            let waits: Vec<_> = self.orders.iter().filter(|o| wanted(o)).map(of).collect();
            Waits::of(&waits)
        };
        let lanes: BTreeSet<Lane> = self.orders.iter().map(|order| order.lane).collect();
        let lanes = lanes.into_iter().map(|lane| (lane.to_string(), waits(&|o| o.lane == lane)));
        let owners: BTreeSet<&str> = self.orders.iter().map(|order| order.owner.as_str()).collect();
        let owners = owners.iter().filter(|_| owners.len() > 1);
        let owners = owners.map(|owner| ((*owner).to_owned(), waits(&|o| o.owner == **owner)));
        let (nodes, tally) = (&self.trace.nodes, &self.tally);
        let outcome = Outcome {
            uploads: self.orders.len(),
            tasks: self.orders.iter().map(|order| order.job.tasks.len()).sum(),
            encode_seconds: self.orders.iter().map(|order| order.job.cost()).sum(),
            drain_seconds: self.completed() - first,
            node_hours: 0.0,
            vcpu_hours: 0.0,
            busy_share: 0.0,
            nodes_peak: tally.nodes_peak,
            nodes_lost: tally.nodes_lost,
            tasks_again: tally.tasks_again,
            seconds_again: tally.seconds_again,
            lanes: lanes.collect(),
            owners: owners.collect(),
            samples: outcome::thinned(&tally.samples),
        };
        let node_seconds = self.fleet.node_seconds(self.now);
        outcome.with_nodes(node_seconds, nodes.vcpus, (self.busy_seconds, nodes.slots))
    }
}

/// The uploads of a trace by arrival. Those of one moment in the order of the trace.
fn orders(
    trace: &Trace,
    policy: &PlanPolicy,
    limits: &Limits,
    chance: &mut Chance,
) -> Result<Vec<Order>, SimulationError> {
    // Uploads of the same length and shape share a plan.
    let mut jobs: BTreeMap<(usize, u64), Arc<Job>> = BTreeMap::new();
    let mut orders = Vec::new();
    for (group, uploads) in trace.uploads.iter().enumerate() {
        let mut policy = policy.clone();
        if !uploads.tiers.is_empty() {
            policy.tiers = Some(uploads.tiers.clone());
        }
        let mut at = uploads.at_seconds;
        for _ in 0..uploads.count {
            let clip = uploads.clip(chance.unit());
            let key = (group, clip.seconds.to_bits());
            if let std::collections::btree_map::Entry::Vacant(free) = jobs.entry(key) {
                let job = clip.job(&policy, limits).map_err(SimulationError::Refused)?;
                free.insert(Arc::new(job));
            }
            let job = jobs[&key].clone();
            orders.push(Order {
                at,
                lane: uploads.lane,
                owner: uploads.owner.clone(),
                needs: job.tasks.iter().map(|task| task.needs).collect(),
                left: job.tasks.len(),
                started: None,
                completed: 0.0,
                job,
            });
            at += if uploads.every_seconds > 0.0 { chance.gap(uploads.every_seconds) } else { 0.0 };
        }
    }
    orders.sort_by(|a, b| a.at.total_cmp(&b.at));
    Ok(orders)
}
