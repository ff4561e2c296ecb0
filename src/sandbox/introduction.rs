//! Build and confinement of the codec, learned from the first greeting of a codec process with any job.

use jetreel_actors::ports::{CodecSession, PortFuture};
use jetreel_domain::wire::FromCodec;
use tokio::sync::watch;

/// Build and confinement, as a process greeted with them.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) build: String,
    pub(super) confinement: String,
    pub(super) weaknesses: Vec<String>,
}

impl About {
    /// What a greeting says; `None` of other frames.
    pub(super) fn told_by(frame: &FromCodec) -> Option<Self> {
        let FromCodec::Hello { build, confinement, weaknesses, .. } = frame else { return None };
        let (build, confinement) = (build.clone(), confinement.clone());
        Some(Self { build, confinement, weaknesses: weaknesses.clone() })
    }
}

/// Holds the first greeting.
#[derive(Debug, Clone)]
pub(super) struct Introduction(watch::Sender<Option<About>>);

impl Introduction {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// The greeting, if one came.
    pub(super) fn known(&self) -> Option<About> {
        self.0.borrow().clone()
    }

    /// Waits for the first greeting.
    pub(super) async fn heard(&self) -> About {
        let mut known = self.0.subscribe();
        // Its sender is this.
        match known.wait_for(Option::is_some).await.map(|about| about.clone()) {
            Ok(Some(about)) => about,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Keeps a greeting, unless one is kept already.
    pub(super) fn learn(&self, about: About) {
        self.0.send_if_modified(|known| {
            let news = known.is_none();
            if news {
                *known = Some(about);
            }
            news
        });
    }
}

/// A session whose greeting is kept.
pub(super) struct Overheard<S> {
    pub(super) session: S,
    pub(super) introduction: Introduction,
}

impl<S: CodecSession> CodecSession for Overheard<S> {
    fn next(&mut self) -> PortFuture<'_, FromCodec> {
        Box::pin(async {
            let frame = self.session.next().await?;
            if let Some(about) = About::told_by(&frame) {
                self.introduction.learn(about);
            }
            Ok(frame)
        })
    }

    fn cpu_seconds(&self) -> f64 {
        self.session.cpu_seconds()
    }
}
