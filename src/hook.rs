//! The operator's hooks: an HTTP call about a dead letter, to a pager, a ticket tracker or a chat; an HTTP call or a command about the
//! wanted number of nodes.

mod scale;

pub use scale::{CommandHook, UrlHook};

use std::time::Duration;

use jetreel_actors::ports::{Hook, PortFuture};
use jetreel_domain::words::failure::Failure;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio_util::bytes::Bytes;

/// Header with the id of a call. It is the same in each repeat.
const KEY_HEADER: &str = "Idempotency-Key";
/// Timeout of a call about a letter, whose lease is longer.
pub const LETTER_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a call failed.
enum Unposted {
    /// There was no answer, with the causes.
    Unreachable(String),
    Refused(StatusCode),
}

/// Calls a URL by `POST`.
pub struct HttpHook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl HttpHook {
    /// Calls go to `url`, with `authorization` as the value of that header, and may take `timeout`.
    ///
    /// # Errors
    /// The value is no valid header, or no HTTP client could be created.
    pub fn new(url: Url, authorization: Option<&str>, timeout: Duration) -> anyhow::Result<Self> {
        let authorization = authorization.map(HeaderValue::from_str).transpose()?;
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        // Redirects are not followed: only the configured URL gets the document.
        let client = Client::builder().timeout(timeout).redirect(Policy::none()).build()?;
        Ok(Self { client, url, authorization })
    }

    async fn post(&self, key: &str, document: Bytes) -> Result<(), Unposted> {
        let mut request = self.client.post(self.url.clone()).body(document);
        request = request.header(CONTENT_TYPE, "application/json").header(KEY_HEADER, key);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        // The address may contain a secret.
        let answer = request.send().await;
        let answer = answer.map_err(|error| Unposted::Unreachable(causes(&error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Unposted::Refused(status)),
        }
    }

    async fn tell_letter(&self, key: &str, document: Bytes) -> Result<(), Failure> {
        self.post(key, document).await.map_err(|unposted| match unposted {
            Unposted::Unreachable(causes) => {
                let message = "The dead-letter hook does not answer.";
                Failure::dependency("hook-unreachable", message).with_detail(causes)
            }
            Unposted::Refused(status) => {
                let message = "The dead-letter hook refused the call.";
                Failure::dependency("hook-refused", message).with_detail(status)
            }
        })
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
        Box::pin(self.tell_letter(key, document))
    }
}
