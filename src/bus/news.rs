//! Announced facts of one video, used as hints. The state is the truth, and a missed hint only delays a follower until its next poll.

use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::VideoId;
use jetreel_domain::words::failure::Failure;

use super::connection::Bus;
use super::severity::Fault;

/// A subscription to the facts of one video.
pub struct News(Subscriber);

impl Bus {
    /// Subscribes to the facts of `video`.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn news_of(&self, video: &VideoId) -> Result<News, Failure> {
        let heard = self.client.subscribe(subject::progress_filter(video)).await;
        let gone = |error: async_nats::SubscribeError| Fault::Connection(error.to_string());
        heard.map(News).map_err(|error| gone(error).failure("subscribe to facts"))
    }
}

impl News {
    /// Returns with the next fact, or after `wait`.
    pub async fn wait(&mut self, wait: Duration) {
        let heard = async {
            // A closed connection delivers nothing.
            if self.0.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        if tokio::time::timeout(wait, heard).await.is_ok() {
            tracing::trace!("a fact was announced");
        }
    }
}
