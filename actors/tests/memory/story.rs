//! A run: nodes, uploads, people and faults, all of it drawn from a seed; then calm, until everything has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jetreel_actors::config::{Config, Context, Roles};
use jetreel_actors::sign::{Arrival, Arrived};
use jetreel_actors::supervisor::{Args, Node};
use jetreel_actors::{binding, sign};
use jetreel_domain::delivery::eligibility::Rules;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::lane::Lane;
use ractor::Actor as _;
use tokio::sync::mpsc::UnboundedReceiver;

use super::broker::ports;
use super::checker;
use super::people::{cancel, replay, upload};
use super::port::Port;
use super::schedule::{Rng, Told};
use super::script::{self, Cut, Poison, Script};
use super::wishes::Wish;
use super::world::{self, BURIAL, Body, CHANGES, Faults, USER, World};

/// Seconds of calm after which an open order counts as stuck. Longer than all delays of the settings together.
const CALM_MAX: u64 = 2400;

/// Between two looks whether everything has ended, milliseconds.
const LOOK: u64 = 5000;

/// An upload and what people do about it; times are in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) id: VideoId,
    pub(crate) script: Script,
    pub(crate) lane: Lane,
    pub(crate) at: u64,
    /// The gateway dies between state and message.
    pub(crate) silent: bool,
    pub(crate) cancel_at: Option<u64>,
    /// It is cancelled in the moment in which it is being published.
    pub(crate) cancel_late: bool,
    pub(crate) wishes: Vec<Wish>,
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) max_deliver: u64,
    pub(crate) nodes: Vec<usize>,
    pub(crate) plots: Vec<Plot>,
    /// When people try again what failed.
    pub(crate) replays: Vec<u64>,
    /// When a node is drained.
    pub(crate) drains: Vec<u64>,
    pub(crate) calm_at: u64,
    /// How long it is watched after everything has ended, milliseconds.
    pub(crate) watched: u64,
    /// Whether a replay finds the cause repaired.
    pub(crate) mended: bool,
    /// Calls with a scripted fate.
    pub(crate) orders: Vec<world::Order>,
    /// Whether all nodes have one name.
    pub(crate) namesakes: bool,
    /// Rules of all nodes.
    pub(crate) rules: Rules,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) complaints: Vec<String>,
    /// Starts of work, by its name.
    pub(crate) starts: BTreeMap<String, u32>,
    /// What the reconciler repaired.
    pub(crate) repairs: Vec<String>,
    pub(crate) told: Told,
    pub(crate) digest: u64,
    /// When everything had ended, in seconds since the Unix epoch.
    pub(crate) ended: i64,
}

/// `mortal`: something dies in this run, whatever else happens.
fn faults(rng: &mut Rng, mortal: bool) -> Faults {
    let calls: &[&str] = if mortal && rng.chance(0.5) { &BURIAL } else { &CHANGES };
    let mut hot: Vec<&'static str> =
        rng.chance(0.8).then(|| *rng.pick(calls)).into_iter().collect();
    // Who keeps his lease has no rival.
    hot.extend(rng.chance(0.4).then_some("renew"));
    let heat = if rng.chance(0.5) { 0.3 } else { 0.7 };
    let mut some = |most: f64| if rng.chance(0.5) { rng.unit() * most } else { 0.0 };
    Faults {
        refuse: some(0.03),
        lose: some(0.03),
        late: some(0.02),
        double: some(0.03),
        slow: some(0.1),
        kill: some(0.004),
        kills_left: 4,
        hide: some(0.05),
        crash: some(0.15),
        hot,
        heat,
    }
}

fn plot(rng: &mut Rng, index: u64) -> Plot {
    let cut =
        *rng.pick(&[Cut::Clean, Cut::Clean, Cut::Clean, Cut::Torn, Cut::Sequential, Cut::Refused]);
    let mut script = Script::new(cut, rng.chance(0.5));
    if cut == Cut::Refused {
        script.poison.insert("probe", Poison::Refuse);
    } else if rng.chance(0.45) {
        let what = *rng.pick(&["probe", "first", "main", "audio", "tail"]);
        let how = *rng.pick(&[Poison::Crash, Poison::Crash, Poison::Refuse, Poison::Kill]);
        script.poison.insert(what, how);
    }
    Plot {
        id: VideoId::from_bits(u128::from(index) + 1),
        script,
        lane: *rng.pick(&Lane::ALL),
        at: rng.below(20_000),
        silent: rng.chance(0.1),
        cancel_at: rng.chance(0.25).then(|| rng.below(90_000)),
        cancel_late: rng.chance(0.1),
        wishes: Vec::new(),
    }
}

impl Story {
    /// Everything that follows from a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let count = 1 + rng.below(2);
        let mut plots: Vec<Plot> = (0..count).map(|index| plot(&mut rng, index)).collect();
        let mut wishes = Rng::new(seed ^ 0x1a7e);
        plots.iter_mut().for_each(|plot| plot.wishes = Wish::some(&mut wishes));
        let mortal = plots.iter().any(|plot| !plot.script.poison.is_empty());
        let faults = faults(&mut rng, mortal);
        let mut times = |most: u64| -> Vec<u64> {
            (0..rng.below(most + 1)).map(|_| rng.below(150_000)).collect()
        };
        let (replays, drains) = (times(3), times(1));
        Self {
            seed,
            faults,
            max_deliver: if rng.chance(0.3) { 3 } else { 50 },
            nodes: (0..2 + rng.below(2)).map(|_| 1 + rng.below(3) as usize).collect(),
            plots,
            replays,
            drains,
            calm_at: 60_000 + rng.below(120_000),
            watched: if rng.chance(0.15) { 400_000 } else { 0 },
            mended: rng.chance(0.7),
            orders: Vec::new(),
            namesakes: false,
            rules: Rules::default(),
        }
    }

    /// A run from a seed in which nothing goes wrong: nodes, uploads, and the order in which things happen.
    pub(crate) fn calm(seed: u64) -> Self {
        let mut story = Self::of(seed);
        story.faults = Faults::default();
        story.max_deliver = 50;
        (story.replays, story.drains) = (Vec::new(), Vec::new());
        for plot in &mut story.plots {
            if plot.script.cut == Cut::Refused {
                plot.script.cut = Cut::Clean;
            }
            plot.script.poison.clear();
            (plot.silent, plot.cancel_at, plot.cancel_late) = (false, None, false);
        }
        story
    }

    /// A run of two nodes in which nothing happens but what is ordered.
    pub(crate) fn scripted(script: Script, orders: Vec<world::Order>) -> Self {
        let plot = Plot {
            id: VideoId::from_bits(1),
            script,
            lane: Lane::Normal,
            at: 0,
            silent: false,
            cancel_at: None,
            cancel_late: false,
            wishes: Vec::new(),
        };
        Self {
            seed: 0,
            faults: Faults::default(),
            max_deliver: 50,
            nodes: vec![1, 1],
            plots: vec![plot],
            replays: Vec::new(),
            drains: Vec::new(),
            calm_at: 120_000,
            watched: 0,
            mended: false,
            orders,
            namesakes: false,
            rules: Rules::default(),
        }
    }

    /// Runs it to its end on its own runtime.
    pub(crate) fn run(self) -> Outcome {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).event_interval(u32::MAX);
        let runtime = builder.build().expect("a runtime");
        runtime.block_on(self.play())
    }

    async fn play(self) -> Outcome {
        let (world, died) = World::new(self.seed, self.max_deliver, self.faults.clone());
        self.orders.iter().for_each(|order| world.order(order.clone()));
        world.set_rules(self.rules.clone());
        let nodes = Nodes::start(&world, &self.nodes, self.namesakes);
        let user = Port { world: Arc::clone(&world), body: Body::new(USER.to_owned()) };
        for plot in self.plots.clone() {
            world.scripts().insert(plot.id.clone(), plot.script.clone());
            tokio::spawn(upload(user.clone(), plot.clone()));
            for wish in &plot.wishes {
                tokio::spawn(wish.come_true(user.clone(), plot.id.clone()));
            }
            tokio::spawn(cancel(user.clone(), plot));
        }
        for at in self.replays.clone() {
            tokio::spawn(replay(user.clone(), at, self.mended));
        }
        tokio::spawn(nodes.drains(self.drains.clone()));
        tokio::spawn(nodes.replacements(died));
        self.storm(&world).await;
        *world.faults() = Faults::default();
        world.with(|server| server.streams.values_mut().for_each(super::stream::Stream::heal));
        world.tell(&user.body, "it is calm");
        let stuck = self.settle(&world).await;
        let ended = world.seconds();
        world.scheduler.hold(self.watched).await;
        let mut complaints = checker::check(&world, &self);
        if let Some(stuck) = stuck {
            complaints.push(stuck);
        }
        let (told, digest) = world.scheduler.told();
        let mut starts = BTreeMap::new();
        for (work, count) in world.scripts().values().flat_map(|script| &script.starts) {
            *starts.entry(work.clone()).or_default() += count;
        }
        Outcome { complaints, starts, repairs: world.repairs(), told, digest, ended }
    }

    /// Lasts until it is calm, or until nothing more can come of it.
    async fn storm(&self, world: &Arc<World>) {
        let planned = self.plots.iter().flat_map(|plot| [Some(plot.at), plot.cancel_at]);
        let wished = self.plots.iter().flat_map(|plot| plot.wishes.iter().map(|wish| wish.at));
        let events =
            planned.flatten().chain(wished).chain(self.replays.iter().chain(&self.drains).copied());
        let last = events.max().unwrap_or(0);
        loop {
            let now = world.scheduler.now();
            let over = now > last && self.has_ended(world);
            if over || now >= self.calm_at {
                return;
            }
            world.scheduler.hold(LOOK.min(self.calm_at - now)).await;
        }
    }

    fn has_ended(&self, world: &Arc<World>) -> bool {
        !world.is_busy() && checker::open(world, self.plots.len()).is_empty()
    }

    /// Waits until everything has ended; says what has not.
    async fn settle(&self, world: &Arc<World>) -> Option<String> {
        let until = world.scheduler.now() + CALM_MAX * 1000;
        loop {
            if self.has_ended(world) {
                return None;
            }
            if world.scheduler.now() > until {
                let open = checker::open(world, self.plots.len());
                return Some(format!("not ended: {}", open.join("; ")));
            }
            world.scheduler.hold(LOOK).await;
        }
    }
}

/// The nodes of a run.
#[derive(Clone)]
pub(crate) struct Nodes {
    world: Arc<World>,
    running: Arc<Mutex<Running>>,
    slots: Vec<usize>,
    namesakes: bool,
}

/// Nodes that are alive, each with what drains it.
type Running = Vec<(Arc<Body>, Context)>;

impl Nodes {
    pub(crate) fn start(world: &Arc<World>, slots: &[usize], namesakes: bool) -> Self {
        let (world, slots_of) = (Arc::clone(world), slots.to_vec());
        let nodes = Self { world, running: Arc::default(), slots: slots_of, namesakes };
        for (index, slots) in slots.iter().enumerate() {
            nodes.add(format!("n{index}"), *slots);
        }
        nodes
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: String, slots: usize) {
        let body = Body::new(name.clone());
        let port = Port { world: Arc::clone(&self.world), body: Arc::clone(&body) };
        let name = if self.namesakes { "node".to_owned() } else { name };
        let rules = self.world.rules().clone();
        let config = Config { rules, ..script::config(&name, slots) };
        let context = Context::new(config, ports(&port));
        self.running().push((body, context.clone()));
        tokio::spawn(async move {
            let bound = loop {
                let id = jetreel_actors::ports::Environment::uuid(&port);
                if let Ok(bound) = binding::verify(&port, &port, id).await {
                    break bound;
                }
            };
            let arrived = arrived(&port, &name).await;
            let port = Arc::new(port);
            let args = Args {
                context,
                roles: Roles::all(),
                survey: port.clone(),
                nodes: port.clone(),
                leases: port.clone(),
                // It changes nothing, and its calls would slow every run down.
                gauge: None,
                bound,
                binding: port,
                arrived,
                hook: None,
                scaling: None,
            };
            Node::spawn(None, Node, args).await.expect("a node that starts");
        });
    }

    fn slots(&self, count: usize) -> usize {
        self.slots[count % self.slots.len()]
    }

    /// A new node for each that dies.
    async fn replacements(self, mut died: UnboundedReceiver<Arc<Body>>) {
        let mut count = self.slots.len();
        while let Some(body) = died.recv().await {
            self.running().retain(|(running, _)| running.name != body.name);
            let pause = self.world.draw(|rng| rng.below(20_000));
            self.world.scheduler.hold(pause).await;
            self.add(format!("n{count}"), self.slots(count));
            count += 1;
        }
    }

    fn drains(&self, times: Vec<u64>) -> impl Future<Output = ()> + Send + use<> {
        let nodes = self.clone();
        async move {
            for at in times {
                nodes.world.scheduler.hold(at).await;
                let found = nodes.running().first().cloned();
                let Some((body, context)) = found else { continue };
                nodes.world.tell(&body, "drains");
                context.drain.cancel();
                let grace = nodes.world.draw(|rng| rng.below(30_000));
                nodes.world.scheduler.hold(grace).await;
                context.put_down.cancel();
                nodes.world.scheduler.hold(10_000).await;
                nodes.world.kill(&body);
            }
        }
    }
}

/// An operator starts a node until it has found the signs of the others.
async fn arrived(port: &Port, name: &str) -> Arrived {
    loop {
        let arrival = Arrival {
            id: jetreel_actors::ports::Environment::uuid(port),
            node: name.to_owned(),
            roles: script::config(name, 1).roles,
            since: port.world.seconds(),
        };
        if let Ok(arrived) = sign::arrive(port, port, arrival).await {
            return arrived;
        }
    }
}
