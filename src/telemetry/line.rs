//! A line of the log as JSON: the fields of the event, then what the work is about, from the spans around it.

use std::fmt;

use jetreel_domain::id::OrderId;
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde as _, SerdeMapVisitor};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::work::Work;

/// One JSON object per line.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut about = about(context);
        if let Some(video) = video_of(event)
            && !about.iter().any(|(name, _)| *name == "video")
        {
            about.push(("video", video.into()));
        }
        let line = line(&time, event, &about).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

fn line(
    time: &str,
    event: &Event<'_>,
    about: &[(&'static str, Value)],
) -> Result<String, serde_json::Error> {
    let (metadata, mut bytes) = (event.metadata(), Vec::new());
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", time)?;
    map.serialize_entry("level", &metadata.level().as_serde())?;
    let mut fields = SerdeMapVisitor::new(map);
    event.record(&mut fields);
    let mut map = fields.take_serializer()?;
    for (name, value) in about {
        // The event knows better.
        if metadata.fields().field(name).is_none() {
            map.serialize_entry(name, value)?;
        }
    }
    map.serialize_entry("target", metadata.target())?;
    map.end()?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the spans around an event are about. Inner spans know better.
fn about<S, N>(context: &FmtContext<'_, S, N>) -> Vec<(&'static str, Value)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut about: Vec<(&'static str, Value)> = Vec::new();
    let mut place = None;
    for span in context.event_scope().into_iter().flatten() {
        let extensions = span.extensions();
        let Some(work) = extensions.get::<Work>() else { continue };
        place = place.or(work.place);
        for (name, value) in &work.fields {
            if !about.iter().any(|(known, _)| known == name) {
                about.push((name, value.clone()));
            }
        }
    }
    if let Some(place) = place {
        about.push(("trace_id", format!("{:032x}", place.trace).into()));
        about.push(("span_id", format!("{:016x}", place.span).into()));
    }
    about
}

/// The video of the order that an event names.
fn video_of(event: &Event<'_>) -> Option<String> {
    event.metadata().fields().field("order")?;
    let mut order = OrderIn(None);
    event.record(&mut order);
    Some(order.0?.video.to_string())
}

struct OrderIn(Option<OrderId>);

impl Visit for OrderIn {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "order" {
            self.0 = format!("{value:?}").parse().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use jetreel_domain::delivery::trace::TraceParent;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{error_span, info, subscriber};
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{adopt, traced_in, work::Works};
    use super::*;

    const VIDEO: &str = "00000000000000000000000005";

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines that `work` logs.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let (sink, provider) = (Sink::default(), SdkTracerProvider::builder().build());
        let writer = sink.clone();
        let lines = fmt::layer().event_format(Json).with_writer(move || writer.clone());
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let all = tracing_subscriber::registry().with(traces).with(Works::default()).with(lines);
        subscriber::with_default(all, work);
        let bytes = sink.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_what_the_work_is_about() {
        let parent: TraceParent =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let mut span_id = String::new();
        let lines = logged(|| {
            let span = error_span!(
                "process",
                messaging.system = "nats",
                jetreel.video = VIDEO,
                jetreel.task = "main-0001",
                jetreel.attempt = tracing::field::Empty,
            );
            adopt(&span, parent);
            let _in = span.enter();
            span.record("jetreel.attempt", 2);
            span_id = format!("{:016x}", traced_in(&span).unwrap().span);
            let step = error_span!("step", jetreel.task = "main-0002");
            let _in = step.enter();
            info!(attempt = 3, took = 0.5, "a step");
        });
        let line = &lines[0];
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"a step".into()));
        assert_eq!((&line["took"], &line["video"]), (&0.5.into(), &VIDEO.into()));
        assert_eq!(line["task"], "main-0002", "the inner span knows better");
        assert_eq!(line["attempt"], 3, "the event knows better");
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        let id = line["span_id"].as_str().unwrap();
        assert!(id.len() == 16 && id != span_id, "it is the step's");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!((line.get("messaging.system"), line.get("system")), (None, None));
    }

    #[test]
    fn a_line_outside_of_spans_names_the_video_of_its_order() {
        let order = format!("{VIDEO}-3");
        let lines = logged(|| {
            info!(%order, "moved");
            info!(order = "third", "sorted");
        });
        assert_eq!((&lines[0]["order"], &lines[0]["video"]), (&order.into(), &VIDEO.into()));
        assert_eq!((lines[0].get("trace_id"), lines[1].get("video")), (None, None));
    }
}
