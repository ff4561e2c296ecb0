//! A collector of traces: the OpenTelemetry collector where it is on the path, else a receiver of OTLP over HTTP in this process.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use prost::Message as _;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::eventually::{eventually, eventually_so};
use super::tools::there_is;

/// Name of the program.
const OTELCOL: &str = "otelcol";

/// A span as a backend sees it. Ids are in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// As OTLP numbers it: 2 server, 4 producer, 5 consumer.
    pub(crate) kind: i64,
    pub(crate) failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Attributes of the process that it comes from.
    pub(crate) resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The node that it comes from.
    pub(crate) fn node(&self) -> &str {
        &self.resource["service.instance.id"]
    }
}

/// A running collector; ended with the test.
pub(crate) struct Collector {
    address: SocketAddr,
    how: How,
}

enum How {
    Here { spans: Arc<Mutex<Vec<Span>>>, serving: JoinHandle<()> },
    Otelcol { child: Child, folder: tempfile::TempDir },
}

impl Collector {
    /// A receiver in this process.
    pub(crate) async fn here() -> Self {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let router = axum::Router::new()
            .route("/v1/traces", post(receive))
            .with_state::<()>(Arc::clone(&spans));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { address, how: How::Here { spans, serving } }
    }

    /// The OpenTelemetry collector. `None` where it is missing.
    pub(crate) async fn otelcol() -> Option<Self> {
        if !there_is(OTELCOL) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let file = folder.path().join("spans.json");
        let config = format!(
            "receivers:\n  otlp:\n    protocols:\n      http:\n        endpoint: \"{address}\"\n\
             exporters:\n  file:\n    path: {file:?}\n    flush_interval: 100ms\n\
             service:\n  telemetry:\n    metrics:\n      level: none\n  pipelines:\n    traces:\n      \
             receivers: [otlp]\n      exporters: [file]\n"
        );
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(OTELCOL);
        command
            .arg("--config")
            .arg(format!("file:{}", path.display()))
            .env("PATH", crate::clips::path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let collector = Self { address, how: How::Otelcol { child, folder } };
        let answers = async || TcpStream::connect(address).await.is_ok();
        eventually_so("otelcol listens", answers).await;
        Some(collector)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        match &self.how {
            How::Here { spans, .. } => spans.lock().unwrap().clone(),
            How::Otelcol { folder, .. } => in_file(folder.path().join("spans.json")),
        }
    }

    /// The spans, once they are whole trees: every parent is there, except the spans of `clients`, and `wanted` holds.
    pub(crate) async fn whole(
        &self,
        clients: &[&str],
        wanted: impl Fn(&[Span]) -> bool,
    ) -> Vec<Span> {
        let mut spans = Vec::new();
        eventually("all spans arrive", || {
            spans = self.spans();
            let known = |id: &str| spans.iter().any(|span| span.id == id);
            let joined = |span: &Span| {
                span.parent.is_empty() || known(&span.parent) || clients.contains(&&*span.parent)
            };
            wanted(&spans) && spans.iter().all(joined)
        })
        .await;
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        match &mut self.how {
            How::Here { serving, .. } => serving.abort(),
            How::Otelcol { child, .. } => {
                drop(child.kill());
                drop(child.wait());
            }
        }
    }
}

async fn receive(
    State(spans): State<Arc<Mutex<Vec<Span>>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut all = spans.lock().unwrap();
    for of_process in request.resource_spans {
        let resource = attributes(&of_process.resource.unwrap().attributes);
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Span {
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                name: span.name,
                kind: span.kind.into(),
                failed: span.status.is_some_and(|status| status.code == 2),
                attributes: attributes(&span.attributes),
                resource: resource.clone(),
            });
        }
    }
    StatusCode::OK
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match value.value.as_ref().unwrap() {
        Any::StringValue(text) => text.clone(),
        Any::BoolValue(value) => value.to_string(),
        Any::IntValue(value) => value.to_string(),
        Any::DoubleValue(value) => value.to_string(),
        other @ (Any::ArrayValue(_)
        | Any::KvlistValue(_)
        | Any::BytesValue(_)
        | Any::StringValueStrindex(_)) => panic!("{other:?}"),
    };
    all.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap()))).collect()
}

/// The spans in the file that the collector writes: OTLP as JSON, a request per line.
fn in_file(file: PathBuf) -> Vec<Span> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let requests = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    requests.flat_map(|request| in_json(&request)).collect()
}

fn in_json(request: &Value) -> Vec<Span> {
    let mut found = Vec::new();
    for of_process in items(&request["resourceSpans"]) {
        let resource = json_attributes(&of_process["resource"]);
        for span in items(&of_process["scopeSpans"]).iter().flat_map(|scope| items(&scope["spans"]))
        {
            let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
            found.push(Span {
                trace: text("traceId"),
                id: text("spanId"),
                parent: text("parentSpanId"),
                name: text("name"),
                kind: span["kind"].as_i64().unwrap(),
                failed: span["status"]["code"] == 2,
                attributes: json_attributes(span),
                resource: resource.clone(),
            });
        }
    }
    found
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn json_attributes(of: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        let (_, value) = value.as_object().unwrap().iter().next().unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let pairs = items(&of["attributes"]).iter();
    pairs.map(|pair| (pair["key"].as_str().unwrap().to_owned(), text(&pair["value"]))).collect()
}
