//! The cluster: its events, queues and slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::clock::{Clock, Rng};
use super::report::{Report, Told};
use super::work::Job;
use crate::delivery::dispatch::{TaskQueue, URGENCY};
use crate::id::{Group, OrderId, TaskId, VideoId};
use crate::order::admission::Admission;
use crate::order::lane::{self, Lane};
use crate::order::ledger::Object;
use crate::order::line::{Phase, Row};
use crate::order::release;
use crate::order::state::{Order, PlanRef, Status, Video};
use crate::plan::Class;

/// Groups whose tasks are the bulk, and whose tasks playback needs first.
const BULK: [Group; 2] = [Group::Main, Group::Top];
const FIRST: [Group; 2] = [Group::First, Group::Audio];

/// A cluster. Times are in milliseconds, from least to most.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    /// Slots of a node.
    pub(crate) slots: usize,
    pub(crate) seed: u64,
    /// From an upload to its plan.
    pub(crate) ingest: (u64, u64),
    /// From a result to its evaluation.
    pub(crate) entry: (u64, u64),
    /// From a write of a state to a node's view of it.
    pub(crate) log: (u64, u64),
    /// Time of an evaluation.
    pub(crate) evaluation: (u64, u64),
    /// From the last task to completion.
    pub(crate) publish: (u64, u64),
    /// Probability that an evaluation is lost with its node. The entry of a task is delivered again after [`Self::again`].
    pub(crate) crash: f64,
    pub(crate) again: u64,
    /// Pause between two looks at the queues.
    pub(crate) look: u64,
    /// When the first publisher dies, and after how long the others notice.
    pub(crate) death: Option<(u64, u64)>,
    /// So many nodes have the label that the group `top` needs, from this time on. `None`: it needs none.
    pub(crate) able: Option<(usize, u64)>,
}

impl Setup {
    /// A cluster in which nothing fails.
    pub(crate) fn new(nodes: usize, slots: usize) -> Self {
        Self {
            nodes,
            slots,
            seed: 1,
            ingest: (100, 400),
            entry: (5, 40),
            log: (2, 30),
            evaluation: (5, 30),
            publish: (20, 80),
            crash: 0.0,
            again: 25_000,
            look: 5_000,
            death: None,
            able: None,
        }
    }
}

/// Publishers at most. More nodes than that only encode, so that a simulation takes seconds.
const VIEWS_MAX: usize = 8;

#[derive(Debug)]
pub(super) enum Event {
    Planned(usize),
    /// A node reads the next change.
    Read(usize),
    /// A node evaluates an order.
    Evaluate {
        view: usize,
        job: usize,
    },
    /// A first part is there.
    Part(usize, TaskId),
    Ended {
        node: usize,
        job: usize,
        task: TaskId,
    },
    /// A task that failed is due again.
    Retry(usize, TaskId),
    Completed(usize),
    /// A node looks at the queues.
    Look(usize),
    /// Nodes get the label.
    Labelled,
}

/// An order.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) job: Job,
    pub(super) video: Video,
    /// Tasks that were queued.
    pub(super) queued: BTreeSet<TaskId>,
    pub(super) finished: BTreeSet<TaskId>,
    /// Tasks of which there is a part.
    pub(super) parts: BTreeSet<TaskId>,
    /// Failures of a task.
    pub(super) failures: BTreeMap<TaskId, usize>,
}

impl Open {
    pub(super) fn status(&self) -> Status {
        self.video.orders[0].status
    }
}

/// What a publisher knows.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) admission: Admission,
    /// Changes that it has read.
    pub(super) read: usize,
    /// When it read the last one.
    pub(super) read_at: u64,
}

/// A node that encodes.
#[derive(Debug)]
struct Node {
    free: usize,
    turn: u64,
}

/// See the file's head.
pub(crate) struct Cluster {
    pub(super) setup: Setup,
    pub(super) clock: Clock<Event>,
    pub(super) rng: Rng,
    pub(super) open: Vec<Open>,
    pub(super) by_order: BTreeMap<OrderId, usize>,
    pub(super) views: Vec<View>,
    /// States in the order of their writes.
    pub(super) log: Vec<Video>,
    pub(super) report: Report,
    queues: BTreeMap<(Lane, Group), VecDeque<(usize, TaskId)>>,
    nodes: Vec<Node>,
    /// Nodes with free slots.
    free: Vec<usize>,
    pub(super) ended: usize,
}

impl Cluster {
    /// Runs until all jobs have ended. A job that never ends is a fault.
    pub(crate) fn run(setup: Setup, jobs: Vec<Job>) -> Report {
        let mut cluster = Self::new(setup);
        let count = jobs.len();
        for job in jobs {
            cluster.add(job);
        }
        while cluster.ended < count {
            let event = cluster.clock.next().expect("an event while jobs are open");
            assert!(cluster.clock.now < 30 * 24 * 3_600_000, "{} of {count}", cluster.ended);
            cluster.on(event);
        }
        cluster.report.end = cluster.clock.now;
        cluster.report
    }

    fn new(setup: Setup) -> Self {
        let nodes = (0..setup.nodes).map(|_| Node { free: setup.slots, turn: 0 }).collect();
        let mut clock = Clock::default();
        let views: Vec<View> = (0..setup.nodes.min(VIEWS_MAX)).map(|_| View::default()).collect();
        let mut rng = Rng::new(setup.seed);
        for view in 0..views.len() {
            clock.after(rng.below(setup.look), Event::Look(view));
        }
        let free = (0..setup.nodes).collect();
        setup.able.iter().for_each(|(_, from)| clock.after(*from, Event::Labelled));
        Self {
            setup,
            clock,
            rng,
            open: Vec::new(),
            by_order: BTreeMap::new(),
            views,
            log: Vec::new(),
            report: Report::default(),
            queues: BTreeMap::new(),
            nodes,
            free,
            ended: 0,
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.setup.nodes * self.setup.slots
    }

    fn add(&mut self, job: Job) {
        let index = self.open.len();
        let id = VideoId::from_bits(index as u128 + 1);
        let created = (job.at / 1000) as i64;
        let mut video = Video::receiving(id.clone(), String::new(), job.lane, created);
        video.owner = job.owner.parse().expect("a name");
        self.by_order.insert(OrderId::new(id, 1), index);
        let told = Told { at: job.at, lane: job.lane, owner: job.owner.clone(), ..Told::default() };
        self.report.told.push(told);
        let ingest = self.rng.within(self.setup.ingest);
        self.clock.after(job.at + ingest, Event::Planned(index));
        self.open.push(Open {
            job,
            video,
            queued: BTreeSet::new(),
            finished: BTreeSet::new(),
            parts: BTreeSet::new(),
            failures: BTreeMap::new(),
        });
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Planned(job) => self.planned(job),
            Event::Read(view) | Event::Look(view) if self.is_dead(view) => {}
            Event::Evaluate { view, job } if self.is_dead(view) => {
                // The entry is delivered to another.
                self.clock.after(self.setup.again, Event::Evaluate { view: view + 1, job });
            }
            Event::Read(view) => self.read(view),
            Event::Evaluate { view, job } => self.evaluate(view, job),
            Event::Part(job, task) => self.part(job, task),
            Event::Ended { node, job, task } => self.task_ended(node, job, task),
            Event::Retry(job, task) => self.queue(job, task),
            Event::Completed(job) => self.completed(job),
            Event::Look(view) => self.look(view),
            Event::Labelled => self.fill(),
        }
    }

    fn is_dead(&self, view: usize) -> bool {
        view == 0 && self.setup.death.is_some_and(|(at, _)| self.clock.now >= at)
    }

    fn planned(&mut self, job: usize) {
        let open = &mut self.open[job];
        let steps = open.job.work.steps();
        let left = |phase| release::left(&steps, phase, |_| false) as u32;
        let object = Object { key: "plan".into(), bytes: 1, sha256: String::new() };
        let order: &mut Order = &mut open.video.orders[0];
        order.status = Status::Encoding;
        order.plan = Some(PlanRef {
            object,
            class: Class::A,
            tiers: vec!["all".to_owned()],
            tasks: steps.len() as u32,
            chunks: 1,
            urgent: left(Phase::First),
            bulk: Some(left(Phase::Bulk)),
        });
        self.write(job);
    }

    /// Puts a task in its queue.
    pub(super) fn queue(&mut self, job: usize, task: TaskId) {
        let lane = self.open[job].job.lane;
        self.queues.entry((lane, task.group)).or_default().push_back((job, task));
        let deep = [Phase::First, Phase::Bulk].map(|phase| self.waiting(Row { lane, phase }));
        self.report.deepest = self.report.deepest.max(deep[0]).max(deep[1]);
        self.fill();
    }

    /// Tasks that wait for a slot, by queue.
    pub(super) fn waiting_by_queue(&self) -> BTreeMap<TaskQueue, u64> {
        let of = |((lane, group), tasks): (&(Lane, Group), &VecDeque<_>)| {
            (TaskQueue::new(*lane, *group), tasks.len() as u64)
        };
        self.queues.iter().map(of).collect()
    }

    /// Tasks of a row that wait for a slot.
    fn waiting(&self, row: Row) -> usize {
        let of = |group: &Group| self.queues.get(&(row.lane, *group)).map_or(0, VecDeque::len);
        let groups = if row.phase == Phase::First { FIRST } else { BULK };
        groups.iter().map(of).sum()
    }

    /// Whether a node takes tasks of a group.
    pub(super) fn is_able(&self, node: usize, group: Group) -> bool {
        let able = |(nodes, from): (usize, u64)| node < nodes && self.clock.now >= from;
        group != Group::Top || self.setup.able.is_none_or(able)
    }

    fn fill(&mut self) {
        let mut idle = 0;
        while idle < self.free.len() {
            let at = idle + self.rng.below((self.free.len() - idle) as u64) as usize;
            let node = self.free[at];
            self.nodes[node].turn += 1;
            let Some((job, task)) = self.find(node) else {
                if self.setup.able.is_none() {
                    return;
                }
                // Another node may be able.
                self.free.swap(idle, at);
                idle += 1;
                continue;
            };
            self.nodes[node].free -= 1;
            if self.nodes[node].free == 0 {
                self.free.swap_remove(at);
            }
            self.start(node, job, task);
        }
    }

    fn find(&mut self, node: usize) -> Option<(usize, TaskId)> {
        for lane in lane::turn(self.nodes[node].turn) {
            for group in URGENCY {
                let is_able = self.is_able(node, group);
                let queue = self.queues.get_mut(&(lane, group)).filter(|_| is_able);
                if let Some(found) = queue.and_then(VecDeque::pop_front) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn start(&mut self, node: usize, job: usize, task: TaskId) {
        self.report.told[job].started.get_or_insert(self.clock.now);
        let timed = self.open[job].job.work.timed(task);
        let (takes, first_part) = (timed.takes, timed.first_part);
        self.report.worked += takes;
        self.clock.after(first_part, Event::Part(job, task));
        self.clock.after(takes, Event::Ended { node, job, task });
    }

    fn task_ended(&mut self, node: usize, job: usize, task: TaskId) {
        if self.nodes[node].free == 0 {
            self.free.push(node);
        }
        self.nodes[node].free += 1;
        let failures = self.open[job].failures.get(&task).copied().unwrap_or(0);
        let retry = self.open[job].job.work.timed(task).retries.get(failures).copied();
        if let Some(delay) = retry {
            self.open[job].failures.insert(task, failures + 1);
            self.clock.after(delay, Event::Retry(job, task));
        } else {
            self.open[job].finished.insert(task);
            let view = self.rng.below(self.views.len() as u64) as usize;
            let entry = self.rng.within(self.setup.entry);
            self.clock.after(entry, Event::Evaluate { view, job });
        }
        self.fill();
    }
}
