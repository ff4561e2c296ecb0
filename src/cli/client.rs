//! HTTP client of a server, for `submit`, `status` and others.

use std::time::Duration;

use jetreel_domain::order::lane::Lane;
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cost::Cost;
use super::exit::{Exit, told};
use crate::settings::Settings;

/// Timeout of a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Timeout of a status request.
const STATUS_WAIT: Duration = Duration::from_secs(15);

/// Arguments that name a server.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// Address of the server [default: the setting http.listen]
    #[arg(long, env = "JETREEL_URL", value_name = "URL")]
    url: Option<String>,
}

/// A server.
pub(super) struct Remote {
    client: Client,
    base: Url,
}

/// A job, as far as the command line shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) status: String,
    /// Empty if an older server does not tell it.
    #[serde(default)]
    lane: String,
    /// Jobs of the lane before it in line; `None` if it does not stand in line.
    #[serde(default)]
    place: Option<u64>,
    #[serde(default)]
    waits_for: Option<String>,
    /// Id of the order that took over from this one.
    #[serde(default)]
    pub(super) successor: Option<String>,
    pub(super) progress: u8,
    pub(super) playable: bool,
    pub(super) player: String,
    pub(super) playback: Option<String>,
    pub(super) error: Option<JobError>,
    pub(super) tiers: Vec<Tier>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    waits: Vec<Waiting>,
}

/// What tasks of a job wait for.
#[derive(Debug, Clone, Deserialize)]
struct Waiting {
    message: String,
}

/// Failure of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct JobError {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) permanent: bool,
    #[serde(default)]
    pub(super) suggestion: String,
}

/// A tier of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Tier {
    pub(super) name: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) progress: u8,
    pub(super) ready: bool,
}

impl Job {
    /// Whether the job changes only by a request.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.status.as_str(), "COMPLETED" | "FAILED" | "CANCELLED")
    }

    /// The lane of the job and its place in line.
    pub(super) fn line(&self) -> String {
        let what = match self.waits_for.as_deref() {
            Some("first-seconds") => "its first seconds",
            Some(_) | None => "its bulk",
        };
        match self.place {
            None => self.lane.clone(),
            Some(0) => format!("{}, first in line for {what}", self.lane),
            Some(1) => format!("{}, in line for {what} behind 1 job", self.lane),
            Some(before) => format!("{}, in line for {what} behind {before} jobs", self.lane),
        }
    }

    /// Warnings for the user, and what the job waits for, one per line.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let waits = self.waits.iter().map(|waiting| &waiting.message);
        self.warnings.iter().chain(waits).map(|note| format!("note: {note}"))
    }

    /// Exit code of a command that waited for the job.
    pub(super) fn exit(&self) -> Exit {
        match (self.status.as_str(), &self.error) {
            ("FAILED", Some(error)) if error.permanent => Exit::Refused,
            ("FAILED" | "CANCELLED", _) => Exit::JobFailed,
            (_, _) => Exit::Done,
        }
    }
}

impl Server {
    /// Arguments that name the same server again. Empty if the settings or the environment name it.
    pub(super) fn again(&self) -> String {
        let of_environment = std::env::var("JETREEL_URL").ok();
        let named = self.url.as_ref().filter(|url| of_environment.as_ref() != Some(url));
        named.map_or_else(String::new, |url| format!(" --url {url}"))
    }

    /// The server from the arguments, or else from the settings.
    pub(super) fn remote(&self, settings: &Settings) -> anyhow::Result<Remote> {
        let url = self.url.clone().unwrap_or_else(|| settings.http.listen.to_string());
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        let base = Url::parse(&url).map_err(|error| {
            anyhow::anyhow!("the address {url:?} is not a URL ({error}); use http://host:port")
        })?;
        let client = Client::builder().connect_timeout(CONNECT_WAIT).build()?;
        Ok(Remote { client, base })
    }
}

impl Remote {
    /// Sends a file. Returns the job's id.
    pub(super) async fn send(
        &self,
        body: Body,
        bytes: u64,
        query: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Accepted {
            id: String,
        }
        let mut url = self.base.join("v1/videos")?;
        url.query_pairs_mut().extend_pairs(query);
        let request = self.client.post(url).header("content-length", bytes).body(body);
        let request = request.header("content-type", "application/octet-stream");
        let answer = request.send().await.map_err(|error| self.away(&error))?;
        let answer = self.checked(answer).await?;
        Ok(self.decoded::<Accepted>(answer).await?.id)
    }

    /// A job as the command line shows it, and its whole document.
    pub(super) async fn job(&self, id: &str) -> anyhow::Result<(Job, Value)> {
        self.job_by(self.client.get(self.job_url(&[id])?)).await
    }

    /// Cancels a job. Returns the job afterwards.
    pub(super) async fn cancel(&self, id: &str) -> anyhow::Result<(Job, Value)> {
        self.job_by(self.client.post(self.job_url(&[id, "cancel"])?)).await
    }

    /// Puts a job into a lane. Returns the job afterwards.
    pub(super) async fn prioritise(&self, id: &str, lane: Lane) -> anyhow::Result<(Job, Value)> {
        let wish = serde_json::json!({ "lane": lane });
        self.job_by(self.client.post(self.job_url(&[id, "priority"])?).json(&wish)).await
    }

    /// Deletes a video. Returns the server's answer.
    pub(super) async fn remove(&self, video: &str) -> anyhow::Result<Value> {
        let mut url = self.base.join("v1/videos/")?;
        let path = url.path_segments_mut();
        path.map_err(|()| anyhow::anyhow!("the URL has no path"))?.pop().push(video);
        let answer = self.client.delete(url).timeout(STATUS_WAIT).send().await;
        let answer = self.checked(answer.map_err(|error| self.away(&error))?).await?;
        Ok(answer.json().await?)
    }

    /// What a video has cost, as the command line shows it, and the whole document.
    pub(super) async fn cost(&self, id: &str) -> anyhow::Result<(Cost, Value)> {
        let mut url = self.base.join("v1/videos/")?;
        let path = url.path_segments_mut();
        path.map_err(|()| anyhow::anyhow!("the URL has no path"))?.pop().extend([id, "cost"]);
        self.document(self.client.get(url)).await
    }

    fn job_url(&self, words: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.base.join("v1/jobs/")?;
        let mut path =
            url.path_segments_mut().map_err(|()| anyhow::anyhow!("the URL has no path"))?;
        path.pop().extend(words);
        drop(path);
        Ok(url)
    }

    async fn job_by(&self, request: RequestBuilder) -> anyhow::Result<(Job, Value)> {
        self.document(request).await
    }

    /// A document, as far as the command line shows it, and the whole of it.
    async fn document<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> anyhow::Result<(T, Value)> {
        let answer = request.timeout(STATUS_WAIT).send().await;
        let answer = self.checked(answer.map_err(|error| self.away(&error))?).await?;
        let document: Value = self.decoded(answer).await?;
        let shown = serde_json::from_value(document.clone()).map_err(|_| self.foreign())?;
        Ok((shown, document))
    }

    /// An address of the server, for display.
    pub(super) fn address(&self, path: &str) -> String {
        self.base.join(path).map_or_else(|_| path.to_owned(), |url| url.to_string())
    }

    fn away(&self, error: &reqwest::Error) -> anyhow::Error {
        let host = &self.base;
        let advice = "is it running, and is --url right?";
        if error.is_connect() || error.is_timeout() {
            return told(Exit::Unreachable, format!("no server answers at {host}; {advice}"));
        }
        let why =
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        told(Exit::Unreachable, format!("the connection to {host} broke off ({why}); try again"))
    }

    async fn checked(&self, answer: Response) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Value = answer.json().await.unwrap_or_default();
        let Some(detail) = problem["detail"].as_str() else {
            let (host, status) = (&self.base, status.as_u16());
            let why = "no Jetreel server, or a proxy before one";
            let text = format!("what answered at {host} with {status} is {why}; check --url");
            return Err(told(Exit::Unreachable, text));
        };
        let exit = match status {
            StatusCode::NOT_FOUND => Exit::NotFound,
            status if status.is_server_error() => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Err(told(exit, format!("the server answered {}: {detail}", status.as_u16())))
    }

    async fn decoded<T: DeserializeOwned>(&self, answer: Response) -> anyhow::Result<T> {
        let body = answer.bytes().await.map_err(|error| self.away(&error))?;
        serde_json::from_slice(&body).map_err(|_| self.foreign())
    }

    fn foreign(&self) -> anyhow::Error {
        let text = format!("what answers at {} is no Jetreel server; check --url", self.base);
        told(Exit::Unreachable, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_named_is_named_again_in_advice() {
        let named = Server { url: Some("http://videos.example.com".to_owned()) };
        assert_eq!(named.again(), " --url http://videos.example.com");
        assert_eq!(Server { url: None }.again(), "");
    }
}
