//! A scaler whose demand the test tells, with its real hooks, node processes and broker; and recordings for the no-op codec.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;

use jetreel::metrics::Metrics;
use jetreel::node::Services;
use jetreel::settings::{Settings, Sources};
use jetreel_actors::config::{Config, Context};
use jetreel_actors::scale::{self, Args, Scaling};
use jetreel_domain::scale::demand::Demand;
use jetreel_domain::scale::policy::Policy;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;

use super::eventually::eventually;
use super::site::Site;
use crate::clips::jetreel;

/// Rules that act within seconds.
pub(crate) fn policy(nodes_max: u32) -> Policy {
    Policy {
        nodes_min: 1,
        nodes_max,
        target_drain_seconds: 10.0,
        hysteresis: 0.1,
        stable_seconds: 2.0,
        cooldown_seconds: 1.0,
        above: Vec::new(),
        below: Vec::new(),
    }
}

/// A load of so many equal tasks of an encode second each, on nodes with a slot.
pub(crate) fn demand(now_seconds: f64, tasks: u64) -> Demand {
    Demand {
        now_seconds,
        lag_tasks: tasks,
        unfinished_tasks: tasks,
        backlog_seconds: tasks as f64,
        arrivals_per_second: 0.0,
        oldest_seconds: 0.0,
        speed: 1.0,
        busy_slots: 0,
        slots_per_node: 1,
    }
}

/// Supervises the parts of the scaler, and fails with them.
struct Root;

impl Actor for Root {
    type Msg = ();
    type State = usize;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<usize, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        running: &mut usize,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) => *running += 1,
            SupervisionEvent::ActorTerminated(..) => {
                *running -= 1;
                if *running == 0 {
                    myself.stop(None);
                }
            }
            SupervisionEvent::ActorFailed(_, error) => return Err(error),
            SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

/// A running scaler.
pub(crate) struct Running {
    demand: watch::Sender<Option<Demand>>,
    context: Context,
    metrics: Arc<Metrics>,
    tree: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Starts a scaler at a site. `with` completes its arguments.
    pub(crate) async fn start(site: &Site, policy: Policy, with: impl FnOnce(&mut Args)) -> Self {
        let environment = site.settings().to_vec();
        let codec = jetreel().with_file_name("jetreel-codec").display().to_string();
        let overrides = vec![("codec.path".to_owned(), codec)];
        let sources = Sources { file: None, environment, overrides, no_usual_places: true };
        let settings = Settings::load(&sources).unwrap();
        let services = Services::connect(&settings, site.nats().url()).await.unwrap();
        let demand = watch::Sender::new(None);
        let mut args = Args {
            decides: true,
            policy,
            demand: demand.clone(),
            wishes: services.bus.clone(),
            hook: None,
            locals: None,
            room: None,
        };
        with(&mut args);
        let config =
            Config { node: "scaler".to_owned(), ..jetreel::node::config(&settings).unwrap() };
        let context = Context::new(config, services.ports.clone());
        let (root, tree) = Actor::spawn(None, Root, ()).await.unwrap();
        let scaling = Scaling::new(args);
        for part in scale::parts(&scaling, &context.config) {
            let cell = root.get_cell();
            scale::start(part, &scaling, context.clone(), cell).await.unwrap().unwrap();
        }
        Self { demand, context, metrics: services.metrics, tree }
    }

    /// Tells the load, as the leader does; `None`: this node does not lead.
    pub(crate) fn tell(&self, demand: Option<Demand>) {
        self.demand.send_replace(demand);
    }

    /// Where the load is told.
    pub(crate) fn demand(&self) -> watch::Sender<Option<Demand>> {
        self.demand.clone()
    }

    /// Waits until the metrics have this line.
    pub(crate) async fn reports(&self, line: &str) {
        let holds = || self.metrics.render().lines().any(|found| found == line);
        eventually(&format!("{line}\n{}", self.own_metrics()), holds).await;
    }

    /// Waits until the metrics do not have this name.
    pub(crate) async fn reports_no(&self, name: &str) {
        eventually(&format!("no {name}"), || !self.metrics.render().contains(name)).await;
    }

    fn own_metrics(&self) -> String {
        let text = self.metrics.render();
        let own = |line: &&str| line.contains("scaler") || line.contains("wanted");
        text.lines().filter(own).collect::<Vec<_>>().join("\n")
    }

    /// Drains, and waits for the end.
    pub(crate) async fn drain(self) {
        self.context.drain.cancel();
        self.tree.await.unwrap();
    }
}

/// Ids of the node processes whose command line names this folder.
pub(crate) fn nodes_of(folder: &Path) -> Vec<i32> {
    let folder = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names = |id: &i32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    };
    ids.filter(names).collect()
}
