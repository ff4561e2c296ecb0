//! Micro services on the broker. The `nats` command line finds, calls and counts their endpoints (`nats micro`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::service::endpoint::Endpoint;
use async_nats::service::{Service, ServiceExt as _, error};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use jetreel_domain::words::failure::Failure;
use tokio::task::{AbortHandle, JoinHandle};

use super::connection::Bus;

/// Time that a stop waits for all requests in hand together.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// A refused request, as the client sees it in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status: 400 for a bad request, 404 for a missing letter, 503 for a temporary failure.
    pub code: usize,
    /// A sentence for the client.
    pub status: String,
}

/// An answer that is being computed.
pub type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, Refusal>> + Send>>;

/// An endpoint.
pub struct Question {
    /// Name of the endpoint in lists.
    pub name: &'static str,
    /// Subject of the endpoint.
    pub subject: String,
    pub about: &'static str,
    pub answer: Arc<dyn Fn(Bytes) -> Answer + Send + Sync>,
}

/// A running service.
pub struct RunningService {
    service: Service,
    endpoints: Vec<JoinHandle<()>>,
}

impl Bus {
    /// Starts a service. Of all nodes that run it, one answers each request.
    ///
    /// # Errors
    /// The broker refuses the subscriptions.
    pub async fn serve(
        &self,
        name: &str,
        about: &str,
        questions: Vec<Question>,
    ) -> Result<RunningService, Failure> {
        let builder = self.client.service_builder().description(about);
        let started = builder.start(name, env!("CARGO_PKG_VERSION")).await;
        let service = started.map_err(|error| refused(&error))?;
        let mut endpoints = Vec::new();
        for question in questions {
            let about = [("description".to_owned(), question.about.to_owned())];
            let about = about.into_iter().collect();
            let endpoint = service.endpoint_builder().name(question.name).metadata(about);
            let endpoint = endpoint.add(&question.subject).await;
            let endpoint = endpoint.map_err(|error| refused(&error))?;
            endpoints.push(tokio::spawn(answer(endpoint, question)));
        }
        Ok(RunningService { service, endpoints })
    }
}

impl RunningService {
    /// Accepts no more requests, and waits up to five seconds for the answers in hand.
    pub async fn stop(self) {
        if let Err(error) = self.service.stop().await {
            tracing::debug!(error, "the service was stopped already");
        }
        let unanswered = end(self.endpoints, STOP_WAIT).await;
        if unanswered > 0 {
            tracing::warn!(unanswered, "requests were not answered before the stop");
        }
    }
}

/// Waits for all endpoints and aborts those that take longer than `wait`. Returns how many were aborted.
async fn end(endpoints: Vec<JoinHandle<()>>, wait: Duration) -> usize {
    let handles: Vec<AbortHandle> = endpoints.iter().map(JoinHandle::abort_handle).collect();
    if tokio::time::timeout(wait, join_all(endpoints)).await.is_ok() {
        return 0;
    }
    let late = handles.iter().filter(|handle| !handle.is_finished());
    late.inspect(|handle| handle.abort()).count()
}

async fn answer(mut endpoint: Endpoint, question: Question) {
    while let Some(request) = endpoint.next().await {
        let answer = (question.answer)(request.message.payload.clone()).await;
        let answer = answer
            .map(Bytes::from)
            .map_err(|refusal| error::Error { status: refusal.status, code: refusal.code });
        if let Err(error) = request.respond(answer).await {
            tracing::warn!(endpoint = question.name, %error, "an answer was not sent");
        }
    }
}

fn refused(error: &async_nats::Error) -> Failure {
    Failure::dependency("broker-refused", "The broker takes no service.").with_detail(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_that_hang_hold_up_a_stop_no_longer_than_one() {
        const WAIT: Duration = Duration::from_secs(1);
        let hanging = || tokio::spawn(std::future::pending());
        let endpoints = (0..30).map(|_| hanging()).chain([tokio::spawn(async {})]).collect();
        let ended = tokio::time::timeout(10 * WAIT, end(endpoints, WAIT)).await;
        assert_eq!(ended, Ok(30));
    }
}
