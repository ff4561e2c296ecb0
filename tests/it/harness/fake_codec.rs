//! Codec processes that follow a script instead of decoding.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jetreel::sandbox::CodecProcesses;
use jetreel::store::{OpenDalStore, StoreOptions};
use jetreel_actors::ports::{Codec, CodecSession, ProcessBudget, Readable, Store};
use jetreel_domain::codec::wire::{
    Budget, FromCodec, Job, JobWork, PackageJob, PackageTrack, Segment, VERSION,
};
use jetreel_domain::order::parts::{PartList, hash};
use jetreel_domain::words::failure::Failure;
use serde_bytes::ByteBuf;

/// A directory with a store and a codec binary named after its script.
pub(crate) struct Stage {
    directory: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
}

/// Result of a job that was run to its end.
pub(crate) struct Outcome {
    /// Process id of the codec.
    pub(crate) pid: u32,
    /// Frames before the end.
    pub(crate) frames: Vec<FromCodec>,
    /// The end.
    pub(crate) end: Result<FromCodec, Failure>,
    pub(crate) cpu_seconds: f64,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("store");
        let store = OpenDalStore::open(&StoreOptions::fs(root.to_str().unwrap())).unwrap();
        std::os::unix::fs::symlink(fixture("fake_codec"), directory.path().join("rest")).unwrap();
        Self { directory, store: Arc::new(store) }
    }

    /// Processes that follow `script`.
    pub(crate) fn codec(&self, script: &str) -> CodecProcesses {
        let binary = self.directory.path().join(script);
        std::os::unix::fs::symlink(fixture("fake_codec"), &binary).unwrap();
        CodecProcesses::new(binary, self.store.clone())
    }

    /// Ids of the processes that follow `script` now.
    pub(crate) fn processes(&self, script: &str) -> Vec<u32> {
        let binary = self.directory.path().join(script);
        let runs = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).next() == Some(binary.as_os_str().as_encoded_bytes())
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(runs).collect()
    }

    /// Stores an object cut into parts.
    pub(crate) async fn object(&self, pieces: &[Bytes]) -> Readable {
        let mut list = PartList::default();
        for (index, piece) in pieces.iter().enumerate() {
            let key = format!("raw/video/{index:05}");
            let object = self.store.write(&key, piece.clone()).await.unwrap();
            list.push(&object.key, object.bytes, hash(&object.sha256));
        }
        Readable { parts: Arc::new(list) }
    }
}

/// Generous in everything.
pub(crate) const BUDGET: ProcessBudget = ProcessBudget {
    wall: Duration::from_secs(60),
    cpu: Duration::from_secs(60),
    silence: Duration::from_secs(30),
    output_bytes: 1 << 30,
    memory_bytes: 2 << 30,
};

/// Starts a job on `objects`.
pub(crate) async fn start(
    codec: &CodecProcesses,
    objects: Vec<Readable>,
    budget: ProcessBudget,
) -> Box<dyn CodecSession> {
    codec.start(job(), objects, budget).await.unwrap()
}

/// Runs a job to its end.
pub(crate) async fn run(
    codec: &CodecProcesses,
    objects: Vec<Readable>,
    budget: ProcessBudget,
) -> Outcome {
    let mut session = start(codec, objects, budget).await;
    let (mut pid, mut frames) = (0, Vec::new());
    let end = loop {
        match session.next().await {
            Ok(done @ FromCodec::Done(_)) => break Ok(done),
            Ok(FromCodec::Hello { build, .. }) => pid = pid_in(&build),
            Ok(frame) => frames.push(frame),
            Err(failure) => break Err(failure),
        }
    };
    Outcome { pid, frames, end, cpu_seconds: session.cpu_seconds() }
}

/// The process id that a fake names as its build.
pub(crate) fn pid_in(build: &str) -> u32 {
    build.trim_start_matches("fake ").parse().unwrap()
}

/// Whether there is a process, be it a zombie.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A job that permits a file `result` of any length, and progress messages.
fn job() -> Job {
    let budget = Budget {
        pixels_max: 0,
        streams_max: 0,
        frames_max: 0,
        gap_seconds_max: 0.0,
        damage_max: 0,
        seconds_max: 0.0,
    };
    let all =
        Segment { offset: 0, bytes: 0, header_bytes: 0, start: 0, duration: 1, frames: u32::MAX };
    let video =
        PackageTrack { init: ByteBuf::new(), language: String::new(), segments: vec![(0, all)] };
    let package = PackageJob { name: "result".to_owned(), video, audio: None, verify: true };
    Job { version: VERSION, objects: Vec::new(), budget, work: JobWork::Package(package) }
}

/// The binary of a fixture. Built here if only the tests were built.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().and_then(Path::parent).unwrap().join("examples");
    let place = folder.join(name);
    if !place.exists() {
        let arguments = ["build", "--quiet", "--workspace", "--example", name];
        let built = Command::new(env!("CARGO")).args(arguments).status().unwrap();
        assert!(built.success(), "failed to build {name}");
    }
    place
}
