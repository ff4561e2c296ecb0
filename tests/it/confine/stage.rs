//! A store, and the real codec on machines of every kind.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jetreel::sandbox::CodecProcesses;
use jetreel::settings::{Settings, Sources};
use jetreel::store::{OpenDalStore, StoreOptions};
use jetreel_actors::ports::{Codec as _, ProcessBudget, Readable, Store};
use jetreel_domain::codec::budget;
use jetreel_domain::codec::wire::{FromCodec, Job, JobWork, Report, VERSION};
use jetreel_domain::plan::media::ProbeFacts;
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
        CodecProcesses::new(self.folder.path().join("jetreel-codec"), self.store.clone())
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

    /// Does a job to its end.
    pub(super) async fn run(
        &self,
        codec: &CodecProcesses,
        work: JobWork,
        source: Readable,
        limits: ProcessBudget,
    ) -> Result<Report, Failure> {
        let budget = self.settings.limits.budget();
        let job = Job { version: VERSION, objects: Vec::new(), budget, work };
        let mut session = codec.start(job, vec![source], limits).await?;
        loop {
            if let FromCodec::Done(report) = session.next().await? {
                return Ok(report);
            }
        }
    }
}
