//! Hints of what is announced of one video. Only hints: state is the truth, and a missed one costs a poll.

use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use jetreel_domain::failure::Failure;
use jetreel_domain::id::VideoId;
use jetreel_domain::subject;

use super::connection::Bus;
use super::severity::Fault;

/// Facts of one video, as they pass by.
pub struct News(Subscriber);

impl Bus {
    /// Listens to what is announced of `video` from now on.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn news_of(&self, video: &VideoId) -> Result<News, Failure> {
        let heard = self.client.subscribe(subject::progress_filter(video)).await;
        let gone = |error: async_nats::SubscribeError| Fault::Connection(error.to_string());
        heard.map(News).map_err(|error| gone(error).failure("subscribe to facts"))
    }
}

impl News {
    /// Returns once something was announced, or after `wait`.
    pub async fn wait(&mut self, wait: Duration) {
        let heard = async {
            // Of a connection that is gone comes nothing more.
            if self.0.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        if tokio::time::timeout(wait, heard).await.is_ok() {
            tracing::trace!("something was announced");
        }
    }
}
