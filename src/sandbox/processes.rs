//! Starts codec processes, and knows what they say about themselves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jetreel_actors::ports::{Codec, CodecSession, PortFuture, ProcessBudget, Readable, Store};
use jetreel_domain::failure::{CodecDeath, Failure, Severity};
use jetreel_domain::wire::{Attempt, Budget, FromCodec, Job, JobWork, Report, VERSION};
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
    about: OnceCell<About>,
}

/// What the first process said of itself.
struct About {
    build: String,
    confinement: String,
    weaknesses: Vec<String>,
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
        Ok(self.about().await?.confinement.clone())
    }

    /// What of the best confinement this node does not offer, each with the reason; asked once and kept.
    pub async fn weaknesses(&self) -> Result<Vec<String>, Failure> {
        Ok(self.about().await?.weaknesses.clone())
    }

    /// Lets a confined process try what it must not be able to do.
    pub async fn trespass(&self) -> Result<Vec<Attempt>, Failure> {
        let (_, report) = self.introduce(JobWork::Trespass).await?;
        match report {
            Report::Trespass(attempts) => Ok(attempts),
            Report::Hello
            | Report::Probe(_)
            | Report::Video
            | Report::Audio { .. }
            | Report::Images { .. }
            | Report::Package { .. }
            | Report::Batch(_) => Err(CodecDeath::Protocol.into()),
        }
    }

    async fn about(&self) -> Result<&About, Failure> {
        // A codec that cannot even introduce itself is this node's trouble (a missing library, no memory), not the video's.
        let unusable = |failure: Failure| match failure.severity {
            Severity::DependencyFault => failure,
            Severity::TaskFault | Severity::Permanent => {
                let message = "The codec does not work on this node.";
                let detail = format!("{failure} {}", failure.detail);
                Failure::dependency("codec-unusable", message).with_detail(detail)
            }
        };
        let first = async || self.introduce(JobWork::Hello).await.map_err(unusable);
        self.about.get_or_try_init(async || Ok(first().await?.0)).await
    }

    /// A job without media: whatever the confinement, it endangers nothing, and what was reached can be told.
    async fn introduce(&self, work: JobWork) -> Result<(About, Report), Failure> {
        let demanded = Confinement::None;
        let mut session = self.session(bare(work), Vec::new(), HELLO_BUDGET, demanded).await?;
        let FromCodec::Hello { build, confinement, weaknesses, .. } = session.next().await? else {
            return Err(CodecDeath::Protocol.into());
        };
        loop {
            if let FromCodec::Done(report) = session.next().await? {
                return Ok((About { build, confinement, weaknesses }, report));
            }
        }
    }

    async fn session(
        &self,
        mut job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
        demanded: Confinement,
    ) -> Result<Session, Failure> {
        job.objects = objects.iter().map(Readable::bytes).collect();
        let spawned = Process::spawn(&self.binary, &budget).await;
        let (process, socket) = spawned.map_err(|error| {
            let detail = format!("{}: {error}", self.binary.display());
            Failure::dependency("codec-missing", "The codec could not be started.")
                .with_detail(detail)
        })?;
        let sources = Sources::new(self.store.clone(), objects);
        Session::new(process, socket, job, sources, budget, demanded)
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
            let session = self.session(job, objects, budget, self.demanded).await?;
            Ok(Box::new(session) as Box<dyn CodecSession>)
        })
    }

    fn build(&self) -> PortFuture<'_, String> {
        Box::pin(async move { Ok(self.about().await?.build.clone()) })
    }
}

const HELLO_BUDGET: ProcessBudget = ProcessBudget {
    wall: Duration::from_secs(20),
    cpu: Duration::from_secs(10),
    silence: Duration::from_secs(20),
    output_bytes: 1 << 20,
    memory_bytes: 2 << 30,
};

/// A job that needs no source.
fn bare(work: JobWork) -> Job {
    let budget = Budget {
        pixels_max: 0,
        streams_max: 0,
        frames_max: 0,
        gap_seconds_max: 0.0,
        damage_max: 0,
        seconds_max: 0.0,
    };
    Job { version: VERSION, objects: Vec::new(), budget, work }
}
