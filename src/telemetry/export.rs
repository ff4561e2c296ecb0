//! Export of spans by OTLP over HTTP. It never disturbs the work: what the collector does not take in time is lost, and the log says so.
//!
//! Memory is bounded by the queue of the batch processor (2,048 spans, `OTEL_BSP_MAX_QUEUE_SIZE`); spans beyond it are dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jetreel_domain::words::redact::redact;
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanExporter};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

use super::Tracer;
use super::health::{Health, Word};

/// Path of traces below the base URL of a collector.
const PATH: &str = "/v1/traces";
/// Timeout of one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read. Collectors answer with a few.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const SERVICE_NAME: &str = "service.name";
const OWN_NAME: &str = "jetreel";
/// How the SDK names a service that has no name.
const NAMELESS: &str = "unknown_service";

/// Where spans come from.
pub(super) fn resource(tracer: &Tracer<'_>) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", tracer.node.clone()),
    ];
    let found = Resource::builder().build();
    let found = found.get(&Key::from_static_str(SERVICE_NAME)).map(|name| name.to_string());
    let named = found.is_some_and(|name| !name.starts_with(NAMELESS));
    let default = (!named).then_some(OWN_NAME);
    let name = tracer.settings.service_name.as_deref().or(default);
    let builder = Resource::builder().with_attributes(own);
    match name {
        Some(name) => builder.with_service_name(name.to_owned()).build(),
        None => builder.build(),
    }
}

/// Sends spans to the collector of the settings or of the environment. `None` if neither names one.
pub(super) fn processor(tracer: &Tracer<'_>) -> anyhow::Result<Option<BatchSpanProcessor>> {
    let endpoint = tracer.settings.otlp_endpoint.as_ref();
    let in_environment = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if endpoint.is_none() && !in_environment {
        return Ok(None);
    }
    // Redirects are not followed: only the configured collector gets the spans.
    let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
    let client = Client { client, runtime: tracer.runtime.clone() };
    let builder = opentelemetry_otlp::SpanExporter::builder().with_http();
    let mut builder = builder.with_http_client(client).with_timeout(TIMEOUT);
    if let Some(url) = endpoint {
        builder = builder.with_endpoint(format!("{}{PATH}", url.as_str().trim_end_matches('/')));
    }
    let exporter =
        builder.build().context("spans cannot be exported: see telemetry.otlp-endpoint")?;
    let exporter = Exporter { exporter, health: Mutex::default() };
    Ok(Some(BatchSpanProcessor::builder(exporter).build()))
}

/// Logs how exports go.
#[derive(Debug)]
struct Exporter {
    exporter: opentelemetry_otlp::SpanExporter,
    health: Mutex<Health>,
}

impl Exporter {
    fn note(&self, spans: usize, done: &OTelSdkResult) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(()) => tell(&health.succeeded(), ""),
            Err(error) => tell(&health.failed(spans, Instant::now()), &error.to_string()),
        }
    }
}

fn tell(word: &Word, error: &str) {
    match word {
        Word::Nothing => {}
        Word::Fails { lost } => {
            let error = redact(error);
            tracing::warn!(lost, error, "the collector takes no spans: they are lost");
        }
        Word::Recovered { lost } => tracing::info!(lost, "the collector takes spans again"),
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let done = self.exporter.export(batch).await;
        self.note(spans, &done);
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The HTTP client of the exporter. The batch processor has a thread of its own, so the requests run on the runtime of the node.
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { send(&client, request).await });
        Box::pin(async move { sent.await? })
    }
}

async fn send(
    client: &reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    // The address may contain a secret.
    let without_url = |error: reqwest::Error| error.without_url();
    let request = reqwest::Request::try_from(request).map_err(without_url)?;
    let mut answer = client.execute(request).await.map_err(without_url)?;
    let (mut built, mut body) = (Response::builder().status(answer.status()), Vec::new());
    if let Some(headers) = built.headers_mut() {
        headers.clone_from(answer.headers());
    }
    while let Some(piece) = answer.chunk().await.map_err(without_url)?
        && body.len() + piece.len() <= ANSWER_BYTES_MAX
    {
        body.extend_from_slice(&piece);
    }
    Ok(built.body(body.into())?)
}
