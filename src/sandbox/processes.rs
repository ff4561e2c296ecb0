//! Starts codec processes, and caches build and confinement from their greetings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::forks::Forks;
use super::hello::{Confinement, Refusal};
use super::introduction::{About, Introduction, Overheard};
use super::readahead::Sources;
use super::session::Session;
use jetreel_actors::ports::{Codec, CodecSession, PortFuture, ProcessBudget, Readable, Store};
use jetreel_domain::codec::death::CodecDeath;
use jetreel_domain::codec::wire::{Attempt, Budget, FromCodec, Job, JobWork, Report, VERSION};
use jetreel_domain::words::failure::Failure;

/// File name of the codec binary.
const BINARY: &str = "jetreel-codec";

/// The `Codec` port: one process per job.
pub struct CodecProcesses {
    binary: PathBuf,
    store: Arc<dyn Store>,
    demanded: Confinement,
    /// How long [`Self::about`] waits for the greeting of a process with a job before it starts one without.
    patience: Duration,
    about: Introduction,
    /// Held while a process is started only for its greeting.
    asking: tokio::sync::Mutex<()>,
    forks: Forks,
}

impl CodecProcesses {
    /// Processes of `codec_binary` that read from `store`, under any confinement.
    #[must_use]
    pub fn new(codec_binary: PathBuf, store: Arc<dyn Store>) -> Self {
        let forks = Forks::new(codec_binary.clone());
        let about = Introduction::new(&codec_binary);
        Self {
            binary: codec_binary,
            store,
            demanded: Confinement::None,
            patience: Duration::ZERO,
            about,
            asking: tokio::sync::Mutex::default(),
            forks,
        }
    }

    /// Waits up to `patience` for the greeting of a process that is started anyway, before one is started only for that.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts to load the codec's libraries before there is a job.
    pub fn prepare(&self) {
        self.forks.prepare();
    }

    /// Refuses processes whose confinement is weaker than this.
    #[must_use]
    pub fn demand(mut self, confinement: Confinement) -> Self {
        self.demanded = confinement;
        self
    }

    /// Path of the codec binary beside the current executable.
    pub fn beside_this_executable() -> std::io::Result<PathBuf> {
        Ok(std::env::current_exe()?.with_file_name(BINARY))
    }

    /// Confinement of the codec on this node, as the codec reports it. Read once and cached.
    pub async fn confinement(&self) -> Result<String, Failure> {
        Ok(self.about().await?.confinement)
    }

    /// Parts of the best confinement that this node lacks, each with the reason. Read once and cached.
    pub async fn weaknesses(&self) -> Result<Vec<String>, Failure> {
        Ok(self.about().await?.weaknesses)
    }

    /// Why this node can do no jobs; `None` if it can, as far as is known. The codec does not start, does not greet, or its confinement is
    /// too weak.
    #[must_use]
    pub fn trouble(&self) -> Option<Failure> {
        self.about.trouble()
    }

    /// Returns the reason as soon as this node can do no jobs.
    pub async fn troubled(&self) -> Failure {
        self.about.troubled().await
    }

    /// Starts a confined process that tries what its confinement must prevent.
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

    async fn about(&self) -> Result<About, Failure> {
        if let Ok(about) = tokio::time::timeout(self.patience, self.about.heard()).await {
            return Ok(about);
        }
        let _asking = self.asking.lock().await;
        if let Some(about) = self.about.known() {
            return Ok(about);
        }
        let failed = |failure| self.about.failed(failure);
        let (about, _) = self.introduce(JobWork::Hello).await.map_err(failed)?;
        self.about.note(self.weakness(&about));
        self.about.learn(about.clone());
        Ok(about)
    }

    /// The failure of a process whose confinement is too weak.
    fn weakness(&self, about: &About) -> Option<Failure> {
        let found: Confinement = about.confinement.parse().unwrap_or_default();
        (found < self.demanded).then(|| Refusal::Confinement(found).failure())
    }

    /// Runs a job without media. It is safe under any confinement.
    async fn introduce(&self, work: JobWork) -> Result<(About, Report), Failure> {
        let demanded = Confinement::None;
        let mut session = self.session(bare(work), Vec::new(), HELLO_BUDGET, demanded).await?;
        let Some(about) = About::told_by(&session.next().await?) else {
            return Err(CodecDeath::Protocol.into());
        };
        loop {
            if let FromCodec::Done(report) = session.next().await? {
                return Ok((about, report));
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
        let missing = |error: std::io::Error| {
            let message = format!(
                "The codec program {} cannot be started. Put jetreel-codec there, or set codec.path.",
                self.binary.display()
            );
            self.about.failed(Failure::dependency("codec-missing", message).with_detail(error))
        };
        let (process, socket) = self.forks.take().await.map_err(missing)?;
        process.limit(&budget).map_err(missing)?;
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
            Ok(Box::new(Overheard::new(session, self.about.clone())) as Box<dyn CodecSession>)
        })
    }

    fn build(&self) -> PortFuture<'_, String> {
        Box::pin(async move { Ok(self.about().await?.build) })
    }
}

const HELLO_BUDGET: ProcessBudget = ProcessBudget {
    wall: Duration::from_secs(20),
    cpu: Duration::from_secs(10),
    silence: Duration::from_secs(20),
    output_bytes: 1 << 20,
    memory_bytes: 2 << 30,
};

/// A job without a source.
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
