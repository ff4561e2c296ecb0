//! A store, and the real codec on machines of every kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jetreel::sandbox::CodecProcesses;
use jetreel::settings::{Settings, Sources};
use jetreel::store::{OpenDalStore, StoreOptions};
use jetreel_actors::ports::{Codec as _, CodecSession, ProcessBudget, Readable, Store};
use jetreel_domain::codec::wire::{FromCodec, Job, JobWork, Report, VERSION};
use jetreel_domain::codec::{budget, job};
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::plan::media::ProbeFacts;
use jetreel_domain::plan::{Plan, planner};
use jetreel_domain::words::failure::Failure;

use crate::clips::jetreel;
use crate::harness::fake_codec::fixture;

/// A source that no codec will ask for.
pub(super) fn nothing() -> Readable {
    Readable::default()
}

/// A folder with a store and launchers of the codec.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: Settings,
}

impl Stage {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = OpenDalStore::open(&StoreOptions::fs(root.to_str().unwrap())).unwrap();
        let codec = jetreel().with_file_name("jetreel-codec");
        assert!(codec.is_file(), "build it first: cargo build -p jetreel-codec");
        std::os::unix::fs::symlink(codec, folder.path().join("jetreel-codec")).unwrap();
        let defaults = Sources { no_usual_places: true, ..Sources::default() };
        let settings = Settings::load(&defaults).unwrap();
        Self { folder, store: Arc::new(store), settings }
    }

    /// The real codec on a machine that lacks what the name says; without any other demand.
    pub(super) fn codec(&self, machine: &str) -> CodecProcesses {
        let launcher = self.folder.path().join(machine);
        if !launcher.exists() {
            std::os::unix::fs::symlink(fixture("poor_machine"), &launcher).unwrap();
        }
        CodecProcesses::new(launcher, self.store.clone())
    }

    /// The codec itself, as a node starts it.
    pub(super) fn direct(&self) -> CodecProcesses {
        CodecProcesses::new(self.program(), self.store.clone())
    }

    /// Path of the codec that belongs to this stage alone.
    pub(super) fn program(&self) -> PathBuf {
        self.folder.path().join("jetreel-codec")
    }

    /// Processes of [`Self::direct`] with that name, zombies excluded.
    pub(super) fn processes(&self, name: &str) -> Vec<u32> {
        let program = self.program();
        let is_one = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let found = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            line.split(|byte| *byte == 0).next() == Some(program.as_os_str().as_encoded_bytes())
                && found.trim_end() == name
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(is_one)
            .collect()
    }

    /// Starts a job.
    pub(super) async fn start(
        &self,
        codec: &CodecProcesses,
        work: JobWork,
        source: Readable,
        limits: ProcessBudget,
    ) -> Result<Box<dyn CodecSession>, Failure> {
        let budget = self.settings.limits.budget();
        let job = Job { version: VERSION, objects: Vec::new(), budget, work };
        codec.start(job, vec![source], limits).await
    }

    /// Enough for any job without pictures.
    pub(super) fn budget(&self) -> ProcessBudget {
        budget::probe(&self.settings.limits, 1 << 20).into()
    }

    /// Puts a file into the store.
    pub(super) async fn store_file(&self, file: &Path) -> Readable {
        let bytes = Bytes::from(std::fs::read(file).unwrap());
        Readable::object(&self.store.write("raw/video/00000", bytes).await.unwrap())
    }

    /// Facts of a source.
    pub(super) async fn probe(
        &self,
        codec: &CodecProcesses,
        source: Readable,
    ) -> Result<ProbeFacts, Failure> {
        let limits = budget::probe(&self.settings.limits, source.bytes()).into();
        let report = self.run(codec, JobWork::Probe, source, limits).await?;
        let Report::Probe(facts) = report else { panic!("{report:?}") };
        Ok(*facts)
    }

    /// The first task of a film, with its budget.
    pub(super) async fn first_task(
        &self,
        codec: &CodecProcesses,
        film: Readable,
    ) -> (JobWork, ProcessBudget) {
        let facts = self.probe(codec, film).await.unwrap();
        let order = OrderId::new(VideoId::from_bits(1), 1);
        let (policy, limits) = (self.settings.plan_policy(), &self.settings.limits);
        let plan: Plan = planner::plan(order, facts, &policy, limits, "build", false).unwrap();
        let planned = plan.task(TaskId::new(Group::Main, 0)).unwrap();
        let work = JobWork::Video(job::video_job(&plan, &planned.work, Vec::new()).unwrap());
        (work, budget::process(&plan, planned, limits).into())
    }

    /// Does a job to its end.
    pub(super) async fn run(
        &self,
        codec: &CodecProcesses,
        work: JobWork,
        source: Readable,
        limits: ProcessBudget,
    ) -> Result<Report, Failure> {
        let mut session = self.start(codec, work, source, limits).await?;
        loop {
            if let FromCodec::Done(report) = session.next().await? {
                return Ok(report);
            }
        }
    }
}
