//! Facts for subscribers: CloudEvents in binary mode, with a body that needs no further read.

use std::time::{Duration, UNIX_EPOCH};

use async_nats::HeaderMap;
use humantime_serde::re::humantime;
use jetreel_actors::ports::WriteOnce;
use jetreel_domain::delivery::announcement::Announcement;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Known, Video};

use super::connection::Bus;
use super::names;
use super::queue;
use super::request::Outgoing;
use super::sending::sent;
use super::severity::Fault;
use super::write::is_of;

/// All nodes use the same source, so a fact is the same event whichever node announces it.
const SOURCE: &str = "/jetreel";

impl Bus {
    pub(super) async fn publish_fact(
        &self,
        order: &OrderId,
        known: &Known,
        video: &Video,
    ) -> Result<WriteOnce, Fault> {
        let mut headers = headers(order, known);
        headers.insert(names::WRITER_HEADER, uuid::Uuid::new_v4().to_string());
        let body = queue::encode(&Announcement::of(order, known, video))?.into();
        let subject = subject::progress(order, &known.fact);
        let mut message = Outgoing { subject, headers, body };
        let span = message.begin(names::PROGRESS, video.traced());
        let write = message.clone();
        sent(span, self.write_once(names::PROGRESS, message, |there| is_of(there, &write))).await
    }
}

fn headers(order: &OrderId, known: &Known) -> HeaderMap {
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(known.at).unwrap_or_default());
    let fact = &known.fact;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", format!("{order}/{fact}")),
        ("ce-source", SOURCE.to_owned()),
        ("ce-type", subject::event_type(fact)),
        ("ce-subject", order.video.to_string()),
        ("ce-time", humantime::format_rfc3339_seconds(at).to_string()),
        ("ce-datacontenttype", "application/msgpack".to_owned()),
    ] {
        headers.insert(name, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use jetreel_domain::id::VideoId;
    use jetreel_domain::order::lane::Lane;
    use jetreel_domain::order::state::Fact;

    use super::*;

    #[test]
    fn the_event_id_is_the_same_whoever_announces() {
        let order = OrderId::new(VideoId::from_bits(5), 1);
        let mut video = Video::receiving(order.video.clone(), String::new(), Lane::Normal, 0);
        video.learn(1, Fact::Tier("240p".into()), 20);
        let headers = headers(&order, &video.orders[0].facts[0]);
        let value = |name: &str| headers.get(name).unwrap().as_str().to_owned();
        assert_eq!(value("ce-id"), format!("{order}/tier-240p"));
        assert_eq!(value("ce-type"), "video.transcodes.tier-240p");
        assert_eq!(value("ce-time"), "1970-01-01T00:00:20Z");
    }
}
