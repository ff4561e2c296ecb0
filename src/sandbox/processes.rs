//! Starts codec processes, and knows what they say about themselves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jetreel_actors::ports::{Codec, CodecSession, PortFuture, ProcessBudget, Readable, Store};
use jetreel_domain::failure::{CodecDeath, Failure, Severity};
use jetreel_domain::wire::{Budget, FromCodec, Job, JobWork, VERSION};
use tokio::sync::OnceCell;

use super::hello::Confinement;
use super::process::Process;
use super::readahead::Sources;
use super::session::Session;

/// File name of the codec binary.
const BINARY: &str = "jetreel-codec";

/// The `Codec` port: a process a job.
pub struct CodecProcesses {
    binary: PathBuf,
    store: Arc<dyn Store>,
    demanded: Confinement,
    /// Build and confinement, as the first process said.
    about: OnceCell<(String, String)>,
}

impl CodecProcesses {
    /// Processes of `codec_binary` that read from `store`, under any confinement.
    #[must_use]
    pub fn new(codec_binary: PathBuf, store: Arc<dyn Store>) -> Self {
        let (demanded, about) = (Confinement::None, OnceCell::new());
        Self { binary: codec_binary, store, demanded, about }
    }

    /// Gives no job to a process that is confined worse than this.
    #[must_use]
    pub fn demand(mut self, confinement: Confinement) -> Self {
        self.demanded = confinement;
        self
    }

    /// The codec binary beside the current executable.
    pub fn beside_this_executable() -> std::io::Result<PathBuf> {
        Ok(std::env::current_exe()?.with_file_name(BINARY))
    }

    /// The confinement in force on this node, in the words of the codec; asked once and kept.
    pub async fn confinement(&self) -> Result<String, Failure> {
        Ok(self.about().await?.1.clone())
    }

    async fn about(&self) -> Result<&(String, String), Failure> {
        // A codec that cannot even introduce itself is this node's trouble (a missing library, no memory), not the video's.
        let unusable = |failure: Failure| match failure.severity {
            Severity::DependencyFault => failure,
            Severity::TaskFault | Severity::Permanent => {
                let message = "the codec process does not work on this node";
                let detail = format!("{failure} {}", failure.detail);
                Failure::dependency("codec-unusable", message).with_detail(detail)
            }
        };
        self.about.get_or_try_init(async || self.ask().await.map_err(unusable)).await
    }

    async fn ask(&self) -> Result<(String, String), Failure> {
        let mut session = self.session(hello_job(), Vec::new(), HELLO_BUDGET)?;
        let FromCodec::Hello { build, confinement, .. } = session.next().await? else {
            return Err(CodecDeath::Protocol.into());
        };
        while !matches!(session.next().await?, FromCodec::Done(_)) {}
        Ok((build, confinement))
    }

    fn session(
        &self,
        mut job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> Result<Session, Failure> {
        job.objects = objects.iter().map(Readable::bytes).collect();
        let (process, socket) = Process::spawn(&self.binary, &budget).map_err(|error| {
            let detail = format!("{}: {error}", self.binary.display());
            Failure::dependency("codec-missing", "the codec process could not be started")
                .with_detail(detail)
        })?;
        let sources = Sources::new(self.store.clone(), objects);
        Session::new(process, socket, job, sources, budget, self.demanded)
    }
}

impl Codec for CodecProcesses {
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>> {
        Box::pin(async move {
            let session = self.session(job, objects, budget)?;
            Ok(Box::new(session) as Box<dyn CodecSession>)
        })
    }

    fn build(&self) -> PortFuture<'_, String> {
        Box::pin(async move { Ok(self.about().await?.0.clone()) })
    }
}

const HELLO_BUDGET: ProcessBudget = ProcessBudget {
    wall: Duration::from_secs(20),
    cpu: Duration::from_secs(10),
    silence: Duration::from_secs(20),
    output_bytes: 0,
    memory_bytes: 2 << 30,
};

fn hello_job() -> Job {
    let budget = Budget {
        pixels_max: 0,
        streams_max: 0,
        frames_max: 0,
        gap_seconds_max: 0.0,
        damage_max: 0,
        seconds_max: 0.0,
    };
    Job { version: VERSION, objects: Vec::new(), budget, work: JobWork::Hello }
}
