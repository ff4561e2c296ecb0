//! What codec processes say of themselves: learned from the first that says hello, whatever its job.

use jetreel_actors::ports::{CodecSession, PortFuture};
use jetreel_domain::wire::FromCodec;
use tokio::sync::watch;

/// What a process said of itself.
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

/// Where what is known of the codec is kept.
#[derive(Debug, Clone)]
pub(super) struct Introduction(watch::Sender<Option<About>>);

impl Introduction {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// What is known by now.
    pub(super) fn known(&self) -> Option<About> {
        self.0.borrow().clone()
    }

    /// Returns once something is known.
    pub(super) async fn heard(&self) -> About {
        let mut known = self.0.subscribe();
        // Its sender is this.
        match known.wait_for(Option::is_some).await.map(|about| about.clone()) {
            Ok(Some(about)) => about,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Takes note; what is known already stays.
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

/// A session whose greeting is taken note of.
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
