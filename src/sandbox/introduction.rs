//! Build and confinement of the codec, from the first greeting of any codec process. The result of the newest greeting shows whether the
//! codec can be used.

use std::path::Path;
use std::sync::Arc;

use jetreel_actors::ports::{CodecSession, PortFuture};
use jetreel_domain::codec::wire::FromCodec;
use jetreel_domain::words::failure::{Failure, Severity};
use tokio::sync::watch;

/// Code of a process that a signal ended.
const SIGNAL: &str = "codec-signal";

/// Build and confinement from a greeting.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) build: String,
    pub(super) confinement: String,
    pub(super) weaknesses: Vec<String>,
}

impl About {
    /// The content of a greeting; `None` for other frames.
    pub(super) fn told_by(frame: &FromCodec) -> Option<Self> {
        let FromCodec::Hello { build, confinement, weaknesses, .. } = frame else { return None };
        let (build, confinement) = (build.clone(), confinement.clone());
        Some(Self { build, confinement, weaknesses: weaknesses.clone() })
    }
}

/// Caches the first greeting, and why the newest one failed.
#[derive(Debug, Clone)]
pub(super) struct Introduction {
    binary: Arc<Path>,
    first: watch::Sender<Option<About>>,
    trouble: watch::Sender<Option<Failure>>,
}

impl Introduction {
    /// For processes of `binary`.
    pub(super) fn new(binary: &Path) -> Self {
        let (first, trouble) = (watch::Sender::new(None), watch::Sender::new(None));
        Self { binary: binary.into(), first, trouble }
    }

    /// The greeting; `None` before the first one.
    pub(super) fn known(&self) -> Option<About> {
        self.first.borrow().clone()
    }

    /// Why the codec cannot be used; `None` if it can, as far as is known.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.trouble.borrow().clone()
    }

    /// Returns the reason as soon as the codec cannot be used.
    pub(super) async fn troubled(&self) -> Failure {
        let mut trouble = self.trouble.subscribe();
        // `self` owns the sender, so the channel is never closed.
        match trouble.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Records whether the codec can be used.
    pub(super) fn note(&self, trouble: Option<Failure>) {
        self.trouble.send_if_modified(|noted| {
            let news = *noted != trouble;
            *noted = trouble;
            news
        });
    }

    /// Records and returns the failure of a process that did not greet. It had no job, so no video is at fault: a library is missing, the
    /// version differs, or memory ran out. If a process greeted before, the program can be used, and a death by a signal charges an
    /// attempt, so that work that kills its process is not retried forever.
    pub(super) fn failed(&self, failure: Failure) -> Failure {
        if failure.code == SIGNAL && self.known().is_some() {
            return failure;
        }
        let failure = match failure.severity {
            Severity::DependencyFault => failure,
            Severity::TaskFault | Severity::Permanent => {
                let message = format!(
                    "The codec program {} cannot be used. Put the jetreel-codec of this version there, or set codec.path.",
                    self.binary.display()
                );
                let detail = format!("{}: {}", failure.code, failure.told());
                Failure::dependency("codec-unusable", message).with_detail(detail)
            }
        };
        self.note(Some(failure.clone()));
        failure
    }

    /// Waits for the first greeting.
    pub(super) async fn heard(&self) -> About {
        let mut known = self.first.subscribe();
        // `self` owns the sender, so the channel is never closed.
        match known.wait_for(Option::is_some).await.map(|about| about.clone()) {
            Ok(Some(about)) => about,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Caches a greeting if none is cached.
    pub(super) fn learn(&self, about: About) {
        self.first.send_if_modified(|known| {
            let news = known.is_none();
            if news {
                *known = Some(about);
            }
            news
        });
    }
}

/// A session that reports its greeting.
pub(super) struct Overheard<S> {
    session: S,
    introduction: Introduction,
    greeted: bool,
}

impl<S> Overheard<S> {
    /// A session that has not begun.
    pub(super) fn new(session: S, introduction: Introduction) -> Self {
        Self { session, introduction, greeted: false }
    }
}

impl<S: CodecSession> CodecSession for Overheard<S> {
    fn next(&mut self) -> PortFuture<'_, FromCodec> {
        Box::pin(async {
            let frame = match self.session.next().await {
                Err(failure) if !self.greeted => return Err(self.introduction.failed(failure)),
                come => come?,
            };
            if let Some(about) = About::told_by(&frame) {
                self.greeted = true;
                self.introduction.note(None);
                self.introduction.learn(about);
            }
            Ok(frame)
        })
    }

    fn cpu_seconds(&self) -> f64 {
        self.session.cpu_seconds()
    }
}
