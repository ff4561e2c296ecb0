//! Shared by all nodes of a run: the server, the scheduler, and the faults that the seed selects.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jetreel_domain::delivery::eligibility::Rules;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use super::rules::Received;
use super::schedule::{Rng, Scheduler};
use super::script::Script;
use super::server::Server;

/// Seconds since the Unix epoch at which every run begins.
pub(crate) const EPOCH: i64 = 1_800_000_000;

/// Who uploads, cancels and replays: no node.
pub(crate) const USER: &str = "user";

/// A call that takes so long is waited for before a run ends, milliseconds.
const SLOW: u64 = 1000;
/// Longer than a lease, milliseconds.
const LONG: u64 = 30_000;

/// Calls that change something: one of them is treated worse than others.
pub(crate) const CHANGES: [&str; 19] = [
    "bury",
    "discard",
    "swap video",
    "swap claim",
    "read claim",
    "read video",
    "write entry",
    "announce",
    "release",
    "evaluate",
    "forget",
    "finish object",
    "write object",
    "ack",
    "hand back",
    "terminate",
    "renew",
    "read object",
    "replay",
];

/// The calls of a burial.
pub(crate) const BURIAL: [&str; 6] =
    ["bury", "swap claim", "read claim", "swap video", "renew", "terminate"];

/// Probabilities of a run, each for one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// The server refuses: nothing happens, and the caller hears so.
    pub(crate) refuse: f64,
    /// It happens, and the answer is lost.
    pub(crate) lose: f64,
    /// The caller gives up, and it happens afterwards.
    pub(crate) late: f64,
    /// The answer is lost, and the call is made again before it is noticed.
    pub(crate) double: f64,
    /// Request or answer take seconds, perhaps longer than a lease.
    pub(crate) slow: f64,
    /// The node dies with the call.
    pub(crate) kill: f64,
    /// Nodes that may die yet.
    pub(crate) kills_left: u32,
    /// A message that is published is counted and never delivered, until the server is restarted.
    pub(crate) hide: f64,
    /// Calls that fare badly.
    pub(crate) hot: Vec<&'static str>,
    /// How often.
    pub(crate) heat: f64,
    /// A codec process crashes for no reason of the source's.
    pub(crate) crash: f64,
}

/// Fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Refused,
    Lost,
    Late(u64),
    Doubled,
}

/// Fate of a call, and its delay in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) before: u64,
    pub(crate) kind: Kind,
    pub(crate) after: u64,
    /// Places it among others of the same instant.
    pub(crate) tie: u64,
}

/// A node as the world sees it.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) name: String,
    alive: AtomicBool,
    /// Calls so far.
    counts: Mutex<BTreeMap<String, u64>>,
    /// Messages in hand, by subject, oldest first.
    hand: Mutex<BTreeMap<String, Vec<Received>>>,
}

impl Body {
    pub(crate) fn new(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            alive: AtomicBool::new(true),
            counts: Mutex::default(),
            hand: Mutex::default(),
        })
    }

    fn hand(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Received>>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message came.
    pub(crate) fn received(&self, subject: &str, received: Received) {
        self.hand().entry(subject.to_owned()).or_default().push(received);
    }

    /// A message is in hand no more. Of two with one subject it is not told which: the older stays, of which less is said.
    pub(crate) fn put_down(&self, subject: &str) {
        let mut hand = self.hand();
        if let Some(held) = hand.get_mut(subject) {
            held.pop();
            if held.is_empty() {
                hand.remove(subject);
            }
        }
    }

    /// Whether a message is in hand twice. Which of its workers does what is not known then.
    pub(crate) fn has_twice(&self, subject: &str) -> bool {
        self.hand().get(subject).is_some_and(|held| held.len() > 1)
    }

    /// The message of a task that is in hand for longest.
    pub(crate) fn has(&self, order: &OrderId, task: TaskId) -> Option<Received> {
        let tail = format!(".{}.{}.{task}", order.video, order.number);
        let hand = self.hand();
        let mut held = hand.iter().filter(|(subject, _)| subject.ends_with(&tail));
        held.find(|(subject, _)| subject.contains(".encode."))
            .and_then(|(_, held)| held.first())
            .copied()
    }

    /// Counts a call; gives how many there were.
    fn count(&self, call: &str) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(call) {
            *count += 1;
            return *count;
        }
        counts.insert(call.to_owned(), 1);
        1
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }
}

/// The fate of the next such call by any node, for scripted runs.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) call: &'static str,
    pub(crate) fate: Fate,
}

/// See the file's head.
pub(crate) struct World {
    pub(crate) scheduler: Arc<Scheduler>,
    server: Mutex<Server>,
    /// By stream: something may be ready in it that was not before.
    changed: BTreeMap<&'static str, Notify>,
    seed: u64,
    writers: AtomicU64,
    faults: Mutex<Faults>,
    orders: Mutex<Vec<Order>>,
    /// A state was perhaps changed.
    pub(crate) moved: Notify,
    /// A state was written.
    pub(crate) written: Notify,
    deaths: mpsc::UnboundedSender<Arc<Body>>,
    /// Until when calls are under way that take long, milliseconds.
    busy_until: AtomicU64,
    scripts: Mutex<BTreeMap<VideoId, Script>>,
    /// What the reconciler repaired.
    repairs: Mutex<Vec<String>>,
    /// Rules of all nodes. They have no labels, and no hours of their own.
    rules: OnceLock<Rules>,
    trace: bool,
    /// Every call, too.
    trace_calls: bool,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        max_deliver: u64,
        faults: Faults,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Arc<Body>>) {
        let (deaths, died) = mpsc::unbounded_channel();
        let server = Server::new(max_deliver);
        let changed = server.streams.keys().map(|stream| (*stream, Notify::new())).collect();
        let world = Self {
            scheduler: Scheduler::new(seed),
            server: Mutex::new(server),
            changed,
            seed,
            writers: AtomicU64::new(0),
            faults: Mutex::new(faults),
            orders: Mutex::default(),
            moved: Notify::new(),
            written: Notify::new(),
            deaths,
            busy_until: AtomicU64::new(0),
            scripts: Mutex::default(),
            repairs: Mutex::default(),
            rules: OnceLock::new(),
            trace: std::env::var_os("JETREEL_TRACE").is_some(),
            trace_calls: std::env::var_os("JETREEL_TRACE").is_some_and(|value| value == "2"),
        };
        (Arc::new(world), died)
    }

    /// Rules of all nodes.
    pub(crate) fn rules(&self) -> &Rules {
        self.rules.get_or_init(Rules::default)
    }

    /// Sets the rules, before any node starts.
    pub(crate) fn set_rules(&self, rules: Rules) {
        self.rules.set(rules).expect("no node has started");
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn seconds(&self) -> i64 {
        EPOCH + (self.scheduler.now() / 1000) as i64
    }

    /// Changes or reads the server, at once.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Server) -> T) -> T {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.now = self.scheduler.now();
        let done = work(&mut server);
        if server.videos.take_touched() {
            self.written.notify_waiters();
        }
        for (name, stream) in &mut server.streams {
            if stream.take_touched() {
                self.changed[name].notify_waiters();
            }
        }
        done
    }

    /// Reads the server, at once.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Server) -> T) -> T {
        look(&self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends with the next change of a stream after this was called.
    pub(crate) fn change(&self, stream: &'static str) -> Notified<'_> {
        self.changed[stream].notified()
    }

    /// A number that no other write has.
    pub(crate) fn writer(&self) -> u64 {
        self.writers.fetch_add(1, Ordering::Relaxed)
    }

    /// Random numbers of one call. They do not depend on the order in which a node makes different calls at the same instant, for that
    /// is tokio's to choose.
    pub(crate) fn dice(&self, body: &Body, call: &str) -> Rng {
        self.fixed(body, call, body.count(call))
    }

    /// Random numbers of one thing among others of its kind, the same each time.
    pub(crate) fn fixed(&self, body: &Body, call: &str, count: u64) -> Rng {
        let words = body.name.bytes().chain(call.bytes()).chain(count.to_be_bytes());
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Rng::new(words.fold(self.seed ^ 0xcbf2_9ce4_8422_2325, mix))
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scripts(&self) -> MutexGuard<'_, BTreeMap<VideoId, Script>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reconciler repaired something.
    pub(crate) fn repaired(&self, what: String) {
        self.repairs.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What the reconciler repaired.
    pub(crate) fn repairs(&self) -> Vec<String> {
        self.repairs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        self.scheduler.draw(draw)
    }

    /// Sets the fate of the next such call.
    pub(crate) fn order(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }

    fn ordered(&self, call: &str) -> Option<Fate> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let index = orders.iter().position(|order| order.call == call)?;
        Some(orders.remove(index).fate)
    }

    /// The fate of a call.
    pub(crate) fn fate(&self, body: &Body, call: &str) -> Fate {
        if self.trace_calls {
            self.tell(body, call);
        }
        let fate = self.ordered(call).unwrap_or_else(|| self.drawn(body, call));
        let late = if let Kind::Late(late) = fate.kind { late } else { 0 };
        let takes = fate.before + fate.after.max(late);
        if takes >= SLOW {
            self.busy_until.fetch_max(self.scheduler.now() + takes, Ordering::Relaxed);
        }
        fate
    }

    /// Whether a call is under way that takes long: what it does is not done yet.
    pub(crate) fn is_busy(&self) -> bool {
        self.scheduler.now() <= self.busy_until.load(Ordering::Relaxed)
    }

    fn drawn(&self, body: &Body, call: &str) -> Fate {
        let faults = self.faults().clone();
        let mut rng = self.dice(body, call);
        let mut delay = || if rng.chance(faults.slow) { rng.below(40_000) } else { rng.below(20) };
        let (mut before, mut after) = (delay(), delay());
        let (tie, mut dice, mut kind) = (rng.next(), rng.unit(), Kind::Plain);
        let late = Kind::Late(1000 + rng.below(40_000));
        let kinds = [
            (faults.refuse, Kind::Refused),
            (faults.lose, Kind::Lost),
            (faults.late, late),
            (faults.double, Kind::Doubled),
        ];
        for (probability, fault) in kinds {
            if (0.0..probability).contains(&dice) {
                kind = fault;
            }
            dice -= probability;
        }
        if faults.hot.contains(&call) && rng.chance(faults.heat) {
            let long = LONG + rng.below(LONG);
            match rng.below(7) {
                0 => before = long,
                1 | 2 => after = long,
                other => kind = kinds[other as usize - 3].1,
            }
        }
        if call == "hand back" && kind == Kind::Doubled {
            // Said once, by the port.
            kind = Kind::Lost;
        }
        Fate { before, kind, after, tie }
    }

    /// Whether the node dies right here.
    pub(crate) fn strikes(&self, body: &Arc<Body>) -> bool {
        let mut faults = self.faults();
        let strikes =
            faults.kills_left > 0 && body.name != USER && self.draw(|rng| rng.chance(faults.kill));
        if strikes {
            faults.kills_left -= 1;
            drop(faults);
            self.kill(body);
        }
        strikes
    }

    /// Ends a node: nothing of it says or does anything any more.
    pub(crate) fn kill(&self, body: &Arc<Body>) {
        if body.alive.swap(false, Ordering::Relaxed) {
            self.tell(body, "dies");
            // The receiver is dropped once the run has ended.
            self.deaths.send(Arc::clone(body)).ok();
        }
    }

    /// Whether a message that is being published gets lost to its consumer's sight.
    pub(crate) fn hides(&self) -> bool {
        let hide = self.faults().hide;
        hide > 0.0 && self.draw(|rng| rng.chance(hide))
    }

    /// A line of the run's story, for who replays a seed with `JETREEL_TRACE`.
    #[expect(clippy::print_stderr, reason = "asked for, to find out about a seed")]
    pub(crate) fn tell(&self, body: &Body, what: impl std::fmt::Display) {
        if self.trace {
            eprintln!("{:>9.3} {:<4} {what}", self.scheduler.now() as f64 / 1000.0, body.name);
        }
    }
}
