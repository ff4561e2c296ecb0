//! Faults of everything around the processes: networks, disks, storage, clocks, memory, messages.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_nats::{HeaderMap, jetstream};
use jetreel::bus::names;
use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::delivery::subject;
use jetreel_domain::order::lane::Lane;

use super::broker::Server;
use super::cgroup::Group;
use super::disk::Disk;
use super::proxy::Proxy;
use super::signals;
use super::stage::{LOOK, Stage};
use super::step::{Cut, On, Step, Victim};
use super::watch::AGAIN;

impl Stage {
    #[expect(clippy::wildcard_enum_match_arm, reason = "`step` names every kind")]
    pub(super) async fn environment(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Cut(cut) => self.cut(cut, true).await?,
            Step::Heal => self.heal()?,
            Step::Fill(on) => self.disks(on).try_for_each(Disk::fill)?,
            Step::Free(on) => self.disks(on).try_for_each(Disk::free)?,
            Step::Slow(bytes, writes) => self.slow(bytes, writes)?,
            Step::Lose(prefix, loss, count) => {
                self.must_have_struck()?;
                self.proxy()?.lose(prefix, loss, count);
            }
            Step::Reset => self.proxy()?.reset(),
            Step::Delay(by) => self.proxy()?.delay(Duration::from_millis(by)),
            Step::Stall => self.proxy()?.stall(true),
            Step::Trouble(trouble, nth) => {
                let bucket = self.world.bucket.as_ref().context("no bucket")?;
                bucket.trouble(Some((trouble, nth)));
            }
            Step::Clock(seconds) => {
                self.world.clock.as_ref().context("no clock")?.set(seconds)?;
            }
            Step::Squeeze => self.squeeze().await?,
            other => bail!("{other:?} is no step about the environment"),
        }
        Ok(())
    }

    async fn cut(&self, cut: Cut, lost: bool) -> anyhow::Result<()> {
        const NO_PLACE: &str = "it has no network place";
        match cut {
            Cut::Node(index) => {
                self.world.close_gateway(index);
                self.node(index)?.place().context(NO_PLACE)?.unplug(lost)
            }
            Cut::Leader => {
                let leader = self.leader().await?;
                self.world.servers[leader].place().context(NO_PLACE)?.unplug(lost)
            }
            Cut::FromNode(index) | Cut::ToNode(index) => {
                let node = self.node(index)?.place().context(NO_PLACE)?;
                for server in &self.world.servers {
                    let server = server.place().context(NO_PLACE)?;
                    match cut {
                        Cut::ToNode(_) => server.lose(node, lost)?,
                        Cut::FromNode(_) | Cut::Node(_) | Cut::Leader => node.lose(server, lost)?,
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn heal(&self) -> anyhow::Result<()> {
        let servers: Vec<_> = self.world.servers.iter().filter_map(|s| s.place()).collect();
        for (index, node) in self.world.nodes.iter().enumerate() {
            let Some(place) = node.place() else { continue };
            place.unplug(false)?;
            for server in &servers {
                // What was not lost need not be found.
                drop((place.lose(server, false), server.lose(place, false)));
            }
            self.world.open_gateway(index);
        }
        for server in servers {
            server.unplug(false)?;
        }
        if let Some(proxy) = &self.world.proxy {
            proxy.stall(false);
            proxy.delay(Duration::ZERO);
        }
        if let Some(bucket) = &self.world.bucket {
            bucket.trouble(None);
        }
        for group in &self.world.groups {
            // Only groups of disks know these; nought is no limit.
            for disk in &self.world.stream_disks {
                let none = format!("{} 0", disk.number()?);
                drop(group.set("blkio.throttle.write_bps_device", &none));
                drop(group.set("blkio.throttle.write_iops_device", &none));
            }
        }
        Ok(())
    }

    fn slow(&mut self, bytes: u64, writes: u64) -> anyhow::Result<()> {
        let group = Group::new("blkio")?;
        for disk in &self.world.stream_disks {
            let number = disk.number()?;
            group.set("blkio.throttle.write_bps_device", &format!("{number} {bytes}"))?;
            group.set("blkio.throttle.write_iops_device", &format!("{number} {writes}"))?;
        }
        for pid in self.world.servers.iter().filter_map(Server::pid) {
            group.take(pid)?;
        }
        self.world.groups.push(group);
        Ok(())
    }

    async fn squeeze(&mut self) -> anyhow::Result<()> {
        const BYTES: &str = "65536";
        let group = Group::new("memory")?;
        group.set("memory.limit_in_bytes", BYTES)?;
        let held = std::mem::take(&mut self.held);
        for pid in &held {
            group.take(*pid)?;
            signals::freeze(*pid, false);
        }
        while held.iter().any(|pid| signals::lives(*pid)) {
            tokio::time::sleep(LOOK).await;
        }
        ensure!(group.get("memory.failcnt")?.trim() != "0", "memory did not run out");
        self.world.groups.push(group);
        Ok(())
    }

    /// Cuts the power of disks and of the processes that write to them. The processes stop first: none of them goes on after its disk, to
    /// confirm what the disk no longer takes.
    pub(super) async fn power_cut(&mut self, on: On) -> anyhow::Result<()> {
        let nodes = if on == On::Streams { 0 } else { self.world.nodes.len() };
        for node in &self.world.nodes[..nodes] {
            node.freeze(true);
        }
        if on != On::Objects {
            self.world.servers.iter().for_each(|server| server.freeze(true));
        }
        for disk in self.disks(on) {
            disk.power_cut()?;
        }
        (0..nodes).for_each(|index| self.world.kill_node(index));
        if on != On::Objects {
            self.world.servers.iter_mut().for_each(Server::kill);
        }
        for disk in self.disks(on) {
            disk.back().await?;
        }
        if on != On::Objects {
            for server in &mut self.world.servers {
                server.start().await?;
            }
        }
        for index in 0..nodes {
            self.world.start_node(index, &[]).await?;
        }
        Ok(())
    }

    pub(super) async fn duplicate(&self) -> anyhow::Result<()> {
        let context = jetstream::new(self.world.watch.client().clone());
        for message in self.world.watch.take_queued() {
            let subject = message.subject.to_string();
            let mut headers = message.headers.unwrap_or_else(HeaderMap::new);
            headers.insert(AGAIN, "1");
            let mut copies = vec![(subject, message.payload.clone())];
            // Uploads and evaluations are queued too; a task alone has lanes.
            if let Ok(task) = rmp_serde::from_slice::<EncodeTask>(&message.payload) {
                let other = EncodeTask { lane: Lane::High, ..task };
                let body = rmp_serde::to_vec_named(&other)?;
                copies.push((subject::encode(other.lane, &other.order, other.task), body.into()));
            }
            for (again, body) in copies {
                let sent = context.publish_with_headers(again, headers.clone(), body);
                // The stream may refuse a second message on a subject: then there is no duplicate.
                drop(sent.await?.await);
            }
        }
        Ok(())
    }

    pub(super) fn disks(&self, on: On) -> impl Iterator<Item = &Disk> {
        let objects = self.world.store_disk.iter().filter(move |_| on != On::Streams);
        let streams = self.world.stream_disks.iter().filter(move |_| on != On::Objects);
        objects.chain(streams)
    }

    fn proxy(&self) -> anyhow::Result<&Proxy> {
        self.world.proxy.as_ref().context("no proxy")
    }

    /// A fault that did not happen shows nothing.
    pub(super) fn must_have_struck(&self) -> anyhow::Result<()> {
        let proxy = self.world.proxy.as_ref();
        ensure!(proxy.is_none_or(|proxy| proxy.lost() != Some(0)), "no answer was lost");
        let bucket = self.world.bucket.as_ref();
        ensure!(bucket.is_none_or(|bucket| bucket.struck() > 0), "no request met trouble");
        Ok(())
    }

    /// Numbers of servers.
    pub(super) async fn servers(&self, victim: Victim) -> anyhow::Result<Vec<usize>> {
        let all = 0..self.world.servers.len();
        let leader = self.leader().await;
        Ok(match victim {
            Victim::Servers => all.collect(),
            Victim::Leader => vec![leader?],
            Victim::Follower => {
                let leader = leader?;
                vec![all.into_iter().find(|index| *index != leader).context("no follower")?]
            }
            Victim::Majority => {
                let leader = leader?;
                let follower = all.into_iter().find(|index| *index != leader);
                vec![leader, follower.context("no follower")?]
            }
            Victim::Node(_) | Victim::Codec(_) => bail!("{victim:?} is no server"),
        })
    }

    /// The server that leads the ledger.
    async fn leader(&self) -> anyhow::Result<usize> {
        let context = jetstream::new(self.world.watch.client().clone());
        let info = context.get_stream(names::LEDGER).await?.cached_info().clone();
        let leader = info.cluster.and_then(|cluster| cluster.leader).context("no leader")?;
        let found = self.world.servers.iter().position(|server| server.name == leader);
        found.context("the leader is none of ours")
    }
}
