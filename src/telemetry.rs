//! Log and traces. Lines go to standard error, as text on a terminal and as JSON elsewhere. Spans go to a collector, if there is one.
//!
//! Every span has ids, whether spans are exported or not, so that the log of each node names the trace of a video.

mod context;
mod export;
mod health;
mod line;
mod work;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::settings::{Log, LogFormat, Telemetry as Tracing};
use line::Json;
use work::Works;

pub use context::{adopt, link, traced, traced_in};

/// Longest time that the last spans of a process may take to reach the collector.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// Spans of this program have targets that begin with this. Libraries have spans of their own.
const OWN: &str = "jetreel";

/// Running telemetry.
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Who traces.
pub struct Tracer<'a> {
    pub settings: &'a Tracing,
    /// Name of the node.
    pub node: String,
    /// Where spans are sent from.
    pub runtime: &'a Handle,
}

/// Starts logging for the whole process, and tracing if there is a `tracer`.
///
/// # Errors
/// The filter cannot be parsed, the collector's address cannot be used, or logging was started before.
pub fn start(log: &Log, tracer: Option<Tracer<'_>>) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&log.filter)
        .with_context(|| format!("log.filter: {:?} is not a log filter", log.filter))?;
    let provider = tracer.as_ref().map(provider).transpose()?;
    let format = log.format;
    let started = match &provider {
        None => registry().with(lines(format).with_filter(filter)).try_init(),
        Some(provider) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(OWN))
                .with_context_activation(false)
                .with_tracked_inactivity(false)
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_level(false);
            let spans = registry().with(traces.with_filter(own(Level::INFO)));
            // Not as an `Option`, which would not hear of its subscriber.
            let spans = spans.with(Works::default().with_filter(own_spans()));
            spans.with(lines(format).with_filter(filter)).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    Ok(Telemetry { provider })
}

fn provider(tracer: &Tracer<'_>) -> anyhow::Result<SdkTracerProvider> {
    let ratio = Sampler::TraceIdRatioBased(tracer.settings.sample_ratio);
    let builder = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(export::resource(tracer));
    let processor = export::processor(tracer)?;
    Ok(match processor {
        Some(processor) => builder.with_span_processor(processor).build(),
        None => builder.build(),
    })
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    };
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    if json {
        layer.event_format(Json).boxed()
    } else {
        // The text names order and task itself where it matters. All fields of a span would hide it.
        layer.with_filter(filter_fn(|metadata| metadata.is_event())).boxed()
    }
}

/// Selects spans and events of this program.
fn own(level: Level) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(move |metadata| metadata.target().starts_with(OWN) && *metadata.level() <= level)
        .with_max_level_hint(LevelFilter::from_level(level))
}

fn own_spans() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(OWN))
        .with_max_level_hint(LevelFilter::ERROR)
}

impl Telemetry {
    /// Sends the last spans. Waits for the collector for a moment at most.
    pub fn end(self) {
        let Some(provider) = self.provider else { return };
        if let Err(error) = provider.shutdown_with_timeout(FLUSH_WAIT) {
            tracing::debug!(%error, "the last spans may not have reached the collector");
        }
    }
}
