//! Pauses and resumes consumers. A paused consumer delivers nothing; what was delivered before can be settled.

use std::time::{Duration, UNIX_EPOCH};

use humantime_serde::re::humantime;
use jetreel_domain::scale::queue::Queue;
use jetreel_domain::words::failure::Failure;
use serde::{Deserialize, Serialize};

use super::connection::Bus;
use super::gauges::consumer;
use super::request::{WRITE_BUDGET, persist};
use super::severity::Fault;

/// Body of the request. Without an end it resumes.
#[derive(Serialize)]
struct Pause {
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_until: Option<String>,
}

#[derive(Deserialize)]
struct Paused {
    #[serde(default)]
    paused: bool,
}

impl Bus {
    /// Pauses the consumer of a queue until a time in seconds since the Unix epoch, by the server's clock; `None` resumes it. Returns
    /// whether it is paused now.
    ///
    /// # Errors
    /// The consumer does not exist, or the server cannot be reached.
    pub async fn pause(&self, queue: &Queue, until: Option<i64>) -> Result<bool, Failure> {
        let done = self.set_pause(queue, until).await;
        done.map_err(|fault| fault.failure("pause or resume a queue"))
    }

    async fn set_pause(&self, queue: &Queue, until: Option<i64>) -> Result<bool, Fault> {
        let (stream, consumer) = consumer(queue);
        let until = until.map(|until| UNIX_EPOCH + Duration::from_secs(until.unsigned_abs()));
        let body = Pause { pause_until: until.map(|at| humantime::format_rfc3339(at).to_string()) };
        let path = format!("CONSUMER.PAUSE.{stream}.{consumer}");
        let paused: Paused = persist(WRITE_BUDGET, || self.api(path.clone(), &body)).await?;
        Ok(paused.paused)
    }
}
