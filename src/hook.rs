//! The dead-letter hook: an HTTP call to a pager, a ticket tracker, a chat.

use std::time::Duration;

use jetreel_actors::ports::{Hook, PortFuture};
use jetreel_domain::words::failure::Failure;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio_util::bytes::Bytes;

/// Header with the id of a call. It is the same in each repeat.
const KEY_HEADER: &str = "Idempotency-Key";
/// Timeout of a call. The lease of the letter is longer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Calls the hook by `POST`.
pub struct HttpHook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl HttpHook {
    /// Calls go to `url`, with `authorization` as the value of that header.
    ///
    /// # Errors
    /// The value is no valid header, or no HTTP client could be created.
    pub fn new(url: Url, authorization: Option<&str>) -> anyhow::Result<Self> {
        let authorization = authorization.map(HeaderValue::from_str).transpose()?;
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        // Redirects are not followed: only the configured URL gets the letter.
        let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { client, url, authorization })
    }

    async fn post(&self, key: &str, document: Bytes) -> Result<(), Failure> {
        let mut request = self.client.post(self.url.clone()).body(document);
        request = request.header(CONTENT_TYPE, "application/json").header(KEY_HEADER, key);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        // The address may contain a secret.
        let answer = request.send().await.map_err(|error| {
            let message = "The dead-letter hook does not answer.";
            Failure::dependency("hook-unreachable", message)
                .with_detail(causes(&error.without_url()))
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        let message = "The dead-letter hook refused the call.";
        Err(Failure::dependency("hook-refused", message).with_detail(answer.status()))
    }
}

/// An error with its causes, without the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        told.push_str(": ");
        told.push_str(&found.to_string());
        cause = found.source();
    }
    told
}

impl Hook for HttpHook {
    fn call<'a>(&'a self, key: &'a str, document: Bytes) -> PortFuture<'a, ()> {
        Box::pin(self.post(key, document))
    }
}
