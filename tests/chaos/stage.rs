//! Performs scenarios.

use jetreel_actors::ports::{Ledger, Videos};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::Video;
use tokio::task::JoinHandle;

use super::disk::Disk;
use super::signals;
use super::step::{On, Scenario, Step, Victim};
use super::world::World;

/// Whatever is awaited comes within this time, or never.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at what other processes do, who announce nothing; every wait ends with its step.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// Between two looks at the state of videos.
const POLL: Duration = Duration::from_millis(200);
/// Work of a dead node continues within this time.
pub(crate) const RESUME_WITHIN: Duration = Duration::from_secs(30);

/// A scenario on its way.
pub(crate) struct Stage {
    pub(crate) world: World,
    sending: Vec<JoinHandle<anyhow::Result<()>>>,
    /// Acknowledged before this round.
    acknowledged_before: usize,
    /// Place in the ledger at the last fault, or its end.
    mark: usize,
    /// The same when a task was held.
    held_mark: usize,
    since: Instant,
    pub(super) held: Vec<u32>,
    interrupted: Vec<String>,
    /// Rounds that were performed.
    pub(crate) rounds: u32,
    /// The longest time from a fault, or its end, to the finished task.
    pub(crate) resumed: Option<Duration>,
    settled: usize,
}

impl Stage {
    /// Everything that a scenario needs, started.
    pub(crate) async fn new(scenario: &Scenario, clip: Bytes) -> anyhow::Result<Self> {
        Ok(Self::of(World::start(&scenario.spec, clip).await?))
    }

    /// A stage in a world that is there.
    pub(crate) fn of(world: World) -> Self {
        Self {
            world,
            sending: Vec::new(),
            acknowledged_before: 0,
            mark: 0,
            held_mark: 0,
            since: Instant::now(),
            held: Vec::new(),
            interrupted: Vec::new(),
            rounds: 0,
            resumed: None,
            settled: 0,
        }
    }

    /// Performs all rounds; stops where `until` is past.
    pub(crate) async fn perform(
        &mut self,
        scenario: &Scenario,
        until: Instant,
    ) -> anyhow::Result<()> {
        while self.rounds < scenario.rounds && (self.rounds == 0 || Instant::now() < until) {
            self.acknowledged_before = self.world.uploads.acknowledged().len();
            self.touched();
            for step in scenario.steps {
                let performed = tokio::time::timeout(PATIENCE, self.step(*step)).await;
                let round = self.rounds + 1;
                if let Ok(performed) = performed {
                    performed.with_context(|| format!("round {round}, {step:?}"))?;
                } else {
                    let open = self.open().await?;
                    bail!("round {round}, {step:?}: never came; {open}");
                }
            }
            self.rounds += 1;
        }
        Ok(())
    }

    /// After a step that went wrong: everything is started and healed, so that what is not ended then is lost.
    pub(crate) async fn clear_up(&mut self) -> anyhow::Result<()> {
        self.release();
        self.heal()?;
        self.process(Step::Continue(Victim::Servers)).await?;
        self.process(Step::Start(Victim::Servers)).await?;
        for disk in self.disks(On::Both) {
            drop(disk.free());
        }
        for index in 0..self.world.nodes.len() {
            if self.world.nodes[index].has_died().is_some() {
                self.world.kill_node(index);
            }
            if self.world.nodes[index].pid().is_none() {
                self.world.start_node(index, &[]).await?;
            }
            self.world.nodes[index].freeze(false);
        }
        tokio::time::timeout(PATIENCE, self.settle()).await.context("not everything ended")?
    }

    /// A fault begins or ends now.
    fn touched(&mut self) {
        self.mark = self.world.watch.mark();
        self.since = Instant::now();
    }

    /// Performs one step.
    pub(crate) async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Submit(count, at_once) => {
                let uploads = self.world.uploads.clone();
                self.sending.push(tokio::spawn(uploads.send(count, at_once)));
                Ok(())
            }
            Step::Acknowledged(count) => {
                self.world.uploads.until(self.acknowledged_before + count).await;
                Ok(())
            }
            Step::Resumed => self.resume().await,
            Step::Struck => {
                while self.must_have_struck().is_err() {
                    tokio::time::sleep(LOOK).await;
                }
                Ok(())
            }
            Step::Settle => self.settle().await,
            Step::Last(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(())
            }
            Step::Refused(node) => self.refused(node).await,
            Step::Duplicate => self.duplicate().await,
            Step::Hold(node) => self.hold(node).await,
            Step::Continue(Victim::Codec(_)) => {
                self.release();
                Ok(())
            }
            Step::Kill(_) | Step::Stop(_) | Step::Continue(_) | Step::Start(_) | Step::End(_) => {
                self.touched();
                self.process(step).await
            }
            Step::FillLetters
            | Step::Rubbish(_)
            | Step::RubbishDocuments
            | Step::DeleteConsumers => {
                self.touched();
                self.hands(step).await
            }
            Step::PowerCut(on) => {
                self.touched();
                self.power_cut(on).await?;
                self.touched();
                Ok(())
            }
            Step::Cut(_)
            | Step::Heal
            | Step::Fill(_)
            | Step::Free(_)
            | Step::Slow(..)
            | Step::Lose(..)
            | Step::Reset
            | Step::Delay(_)
            | Step::Stall
            | Step::Trouble(..)
            | Step::Clock(_)
            | Step::Squeeze => {
                self.touched();
                self.environment(step).await
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`step` names every kind")]
    async fn process(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Kill(Victim::Node(index)) => {
                self.held.clear();
                self.world.kill_node(index);
            }
            Step::Kill(Victim::Codec(_)) => {
                for pid in self.held.drain(..) {
                    ensure!(signals::kill(pid), "the codec process was gone before");
                }
            }
            Step::Stop(Victim::Node(index)) => {
                self.world.close_gateway(index);
                self.node(index)?.freeze(true);
            }
            Step::Continue(Victim::Node(index)) => {
                self.held.clear();
                self.node(index)?.freeze(false);
                self.world.open_gateway(index);
            }
            Step::Start(Victim::Node(index)) => self.world.start_node(index, &[]).await?,
            Step::End(index) => self.end(index).await?,
            Step::Kill(victim) => {
                for index in self.servers(victim).await? {
                    self.world.servers[index].kill();
                }
            }
            Step::Stop(victim) => {
                for index in self.servers(victim).await? {
                    self.world.servers[index].freeze(true);
                }
            }
            Step::Continue(_) => self.world.servers.iter().for_each(|server| server.freeze(false)),
            Step::Start(_) => {
                for server in self.world.servers.iter_mut().filter(|s| s.pid().is_none()) {
                    server.start().await?;
                }
            }
            other => bail!("{other:?} is no step about a process"),
        }
        Ok(())
    }

    pub(super) fn node(&self, index: usize) -> anyhow::Result<&super::node::Node> {
        self.world.nodes.get(index).context("no such node")
    }

    /// Stops a node in the middle of a task.
    async fn hold(&mut self, index: usize) -> anyhow::Result<()> {
        const MORE_AFTER: Duration = Duration::from_secs(5);
        let mut since = Instant::now();
        loop {
            if since.elapsed() > MORE_AFTER {
                // Everything was finished before one could be caught at it.
                since = Instant::now();
                self.sending.push(tokio::spawn(self.world.uploads.clone().send(4, 4)));
            }
            let node = self.node(index)?;
            let name = node.name().to_owned();
            let pids: Vec<u32> =
                node.codecs().into_iter().filter(|pid| signals::freeze(*pid, true)).collect();
            for pid in &pids {
                while !matches!(signals::state(*pid), Some('T' | 'Z' | 'X') | None) {
                    tokio::time::sleep(LOOK).await;
                }
            }
            self.held = pids.into_iter().filter(|p| signals::state(*p) == Some('T')).collect();
            // The claim was written before the process was started; seeing it takes a moment.
            self.world.watch.client().flush().await?;
            self.held_mark = self.world.watch.mark();
            self.interrupted = self.world.watch.held_by(&name);
            if !self.held.is_empty() && !self.interrupted.is_empty() {
                return Ok(());
            }
            self.release();
            tokio::time::sleep(LOOK / 4).await;
        }
    }

    fn release(&mut self) {
        for pid in self.held.drain(..) {
            signals::freeze(pid, false);
        }
    }

    async fn end(&mut self, index: usize) -> anyhow::Result<()> {
        self.world.close_gateway(index);
        let node = self.world.nodes.get_mut(index).context("no such node")?;
        let pid = node.pid().context("the node does not run")?;
        ensure!(signals::ask_to_end(pid), "the node was gone before");
        let status = node.ended(PATIENCE).await?;
        ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }

    /// Comes back when an upload is refused. Tasks that fail on the full disk remove what they wrote, so an upload may still be taken;
    /// it is filled again until nothing makes room.
    async fn refused(&self, index: usize) -> anyhow::Result<()> {
        let address = self.node(index)?.address().context("the node does not run")?;
        while self.world.uploads.try_at(address).await {
            self.disks(On::Objects).try_for_each(Disk::fill)?;
        }
        Ok(())
    }

    async fn resume(&mut self) -> anyhow::Result<()> {
        let since = self.since;
        let mut took = Duration::ZERO;
        let interrupted = std::mem::take(&mut self.interrupted);
        if interrupted.is_empty() {
            // So that there is work, whatever was finished before the fault.
            self.sending.push(tokio::spawn(self.world.uploads.clone().send(1, 1)));
            let entry = self.world.watch.entry(self.mark, |_| true).await;
            took = entry.at.saturating_duration_since(since);
        }
        for task in interrupted {
            let seen = self.world.watch.entry(self.held_mark, |entry| entry.is_of(&task));
            let at = tokio::select! {
                entry = seen => entry.at,
                done = self.is_done(&task) => done?,
            };
            // What was finished before the fault was not interrupted by it.
            took = took.max(at.saturating_duration_since(since));
        }
        self.resumed = self.resumed.max(Some(took));
        Ok(())
    }

    /// Comes back when a task, `<video>.<number>.<task>`, is in the ledger, or its order has left it behind: an entry may pass by
    /// unseen while the connection that watches is lost.
    async fn is_done(&self, task: &str) -> anyhow::Result<Instant> {
        let mut words = task.split('.');
        let mut word = || words.next().context("no name of a task");
        let order = OrderId::new(word()?.parse()?, word()?.parse()?);
        let task = word()?.parse()?;
        loop {
            tokio::time::sleep(POLL).await;
            let Ok(entry) = self.world.bus.entry(&order, task).await else { continue };
            if entry.is_some() || matches!(self.has_ended(&order).await, Ok(true)) {
                return Ok(Instant::now());
            }
        }
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        for sending in self.sending.drain(..) {
            sending.await??;
        }
        let all = self.world.uploads.acknowledged();
        for order in &all[self.settled..] {
            while !self.has_ended(order).await? {
                let died = self.world.died();
                ensure!(died.is_empty(), "{}", died.join("\n"));
                tokio::time::sleep(POLL).await;
            }
        }
        self.settled = all.len();
        self.must_have_struck()?;
        Ok(())
    }

    /// The acknowledged uploads that have not ended, for a complaint.
    async fn open(&self) -> anyhow::Result<String> {
        let mut open = Vec::new();
        for order in self.world.uploads.acknowledged() {
            let Some(found) = self.world.bus.video(&order.video).await? else { continue };
            if !is_ended(&found.value) {
                let status = found.value.order(order.number).map(|order| order.status);
                open.push(format!("{order}: {status:?}, revision {}", found.revision));
            }
        }
        Ok(format!("{} being sent, not ended: {}", self.sending.len(), open.join(", ")))
    }

    async fn has_ended(&self, order: &OrderId) -> anyhow::Result<bool> {
        let found = self.world.bus.video(&order.video).await?;
        Ok(found.is_none_or(|found| is_ended(&found.value)))
    }
}

/// Whether every order of a video is at its end, and everybody was told.
pub(crate) fn is_ended(video: &Video) -> bool {
    let ended = video.orders.iter().all(|order| order.superseded || order.status.is_ended());
    ended && video.announced == video.seq
}
