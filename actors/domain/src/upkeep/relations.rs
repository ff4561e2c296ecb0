//! Relations between settings of the node, the streams and the server that must fit each other.
//!
//! Each violation is a sentence that names both values and what to change. Without this check a violation would show late: a lease that is
//! too short ends work that succeeds, a part list that is too long fails an upload at its last byte.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::order::parts::PARTS_MAX;
use crate::words::sentence::number;

/// Times of the lease on a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Time between two renewals.
    pub heartbeat: Duration,
    /// Work stops this long after the last confirmed renewal, before the server delivers the message to another worker.
    pub lost_after: Duration,
}

/// The lease of every stage.
pub const LEASE: Lease =
    Lease { heartbeat: Duration::from_secs(5), lost_after: Duration::from_secs(20) };

const _: () = assert!(
    LEASE.lost_after.as_millis() >= 3 * LEASE.heartbeat.as_millis(),
    "one lost renewal would end the work"
);

impl Lease {
    /// Smallest `ack_wait` of a consumer. A worker stops one heartbeat before the server delivers the message to another worker.
    #[must_use]
    pub const fn ack_wait_min(self) -> Duration {
        self.lost_after.saturating_add(self.heartbeat)
    }
}

/// A consumer that a stage pulls from, as declared or as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// `STREAM/consumer`.
    pub name: String,
    /// How long the server waits for an acknowledgement or a renewal.
    pub ack_wait: Duration,
}

/// Settings that must fit each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub lease: Lease,
    /// Consumers that stages pull from.
    pub consumers: Vec<Consumer>,
    /// Age at which the bucket `nodes` removes a key. Zero: never.
    pub nodes_max_age: Duration,
    /// Time between two heartbeats of a node.
    pub presence_interval: Duration,
    /// Time of the reconciler's lease, which is kept in the bucket `nodes`.
    pub leadership: Duration,
    /// Size of a part of an upload in bytes.
    pub part_bytes: u64,
    /// Largest upload in bytes.
    pub upload_bytes_max: u64,
    /// Largest message of the connected server in bytes; `None` if no server is connected.
    pub max_payload: Option<u64>,
}

/// No message of Jetreel fits below this size: the state of a video with facts and failures, and a letter with its attempts.
const PAYLOAD_MIN: u64 = 8 << 10;
/// Every message of Jetreel fits into this size. The largest is the ledger entry of many thumbnails.
const PAYLOAD_ENOUGH: u64 = 256 << 10;

/// Violations that cannot work, each a sentence.
#[must_use]
pub fn violations(facts: &Facts) -> Vec<String> {
    let mut found = leases(facts);
    found.extend(nodes(facts));
    found.extend(payload(facts));
    found.extend(parts(facts));
    found
}

/// Relations that do not work for every video, each a sentence.
#[must_use]
pub fn doubts(facts: &Facts) -> Vec<String> {
    let tight = |max: &u64| (PAYLOAD_MIN..PAYLOAD_ENOUGH).contains(max);
    let told = facts.max_payload.filter(tight).map(|max| {
        format!(
            "The broker takes messages of {} bytes (max_payload). Uploads of any size fit, but the results of a video of some hours, and \
             the letter of a task that failed with a long log, may not. Raise max_payload to {} or more in the settings of the broker.",
            number(max),
            number(PAYLOAD_ENOUGH)
        )
    });
    told.into_iter().collect()
}

/// One sentence for all consumers with the same `ack_wait`. Usually all have the same.
fn leases(facts: &Facts) -> Vec<String> {
    let least = facts.lease.ack_wait_min();
    let mut short: BTreeMap<Duration, Vec<&str>> = BTreeMap::new();
    for consumer in facts.consumers.iter().filter(|consumer| consumer.ack_wait < least) {
        short.entry(consumer.ack_wait).or_default().push(&consumer.name);
    }
    let Lease { heartbeat, lost_after } = facts.lease;
    let told = short.into_iter().map(|(ack_wait, names)| {
        let who = match names.as_slice() {
            [one] => format!("The consumer {one} has"),
            [first, others @ ..] => format!("The consumers {first} and {} more have", others.len()),
            [] => String::new(),
        };
        format!(
            "{who} ack_wait = {}, but a worker renews its lease every {} and stops {} after the last renewal. Set ack_wait to {} or \
             more in the streams file and run `jetreel streams apply`.",
            time(ack_wait),
            time(heartbeat),
            time(lost_after),
            time(least)
        )
    });
    told.collect()
}

fn nodes(facts: &Facts) -> Option<String> {
    let least = facts.leadership.max(2 * facts.presence_interval);
    let short = !facts.nodes_max_age.is_zero() && facts.nodes_max_age < least;
    short.then(|| {
        format!(
            "The bucket nodes has max_age = {}, but the lease of the reconciler lasts {} and a heartbeat of a node comes every {}. Set its max_age \
             to {} or more in the streams file and run `jetreel streams apply`.",
            time(facts.nodes_max_age),
            time(facts.leadership),
            time(facts.presence_interval),
            time(least)
        )
    })
}

fn payload(facts: &Facts) -> Option<String> {
    let max = facts.max_payload.filter(|max| *max < PAYLOAD_MIN)?;
    Some(format!(
        "The broker takes messages of {} bytes (max_payload), but messages of Jetreel have up to {} bytes. Raise max_payload in the \
         settings of the broker.",
        number(max),
        number(PAYLOAD_ENOUGH)
    ))
}

/// The part list is an object, so no message grows with an upload. The memory of its readers bounds it.
fn parts(facts: &Facts) -> Option<String> {
    let part_bytes = facts.part_bytes.max(1);
    let parts = facts.upload_bytes_max.div_ceil(part_bytes);
    (parts > PARTS_MAX).then(|| {
        format!(
            "An upload of limits.upload-bytes-max = {} has {} parts of http.part-bytes = {}, but a list of parts has {} at most. Raise \
             http.part-bytes, or lower limits.upload-bytes-max to {}.",
            number(facts.upload_bytes_max),
            number(parts),
            number(facts.part_bytes),
            number(PARTS_MAX),
            number(PARTS_MAX.saturating_mul(part_bytes))
        )
    })
}

/// A time in the notation of the settings.
fn time(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        return format!("{}s", time.as_secs());
    }
    format!("{}ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sentence;

    const MIB: u64 = 1 << 20;

    fn consumer(ack_wait: u64) -> Consumer {
        Consumer { name: "UPLOADS/ingest".into(), ack_wait: Duration::from_secs(ack_wait) }
    }

    fn sound() -> Facts {
        Facts {
            lease: LEASE,
            consumers: vec![consumer(25)],
            nodes_max_age: Duration::from_secs(3600),
            presence_interval: Duration::from_secs(30),
            leadership: Duration::from_secs(35),
            part_bytes: 16 * MIB,
            upload_bytes_max: 1 << 40,
            max_payload: Some(MIB),
        }
    }

    fn told(facts: &Facts) -> String {
        let mut found = violations(facts);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(sentence::check(&found[0]), Ok(()));
        found.remove(0)
    }

    #[test]
    fn what_is_shipped_works() {
        assert_eq!(violations(&sound()), Vec::<String>::new());
        assert_eq!(doubts(&sound()), Vec::<String>::new());
        let unconnected = Facts { max_payload: None, ..sound() };
        assert_eq!((violations(&unconnected), doubts(&unconnected)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_lease_that_is_shorter_than_a_heartbeat_is_told_with_both() {
        let text = told(&Facts { consumers: vec![consumer(2)], ..sound() });
        for word in ["UPLOADS/ingest", "ack_wait = 2s", "every 5s", "25s or more"] {
            assert!(text.contains(word), "{text}");
        }
        told(&Facts { consumers: vec![consumer(24)], ..sound() });
        let both = told(&Facts { consumers: vec![consumer(2), consumer(2)], ..sound() });
        assert!(both.contains("UPLOADS/ingest and 1 more have"), "{both}");
    }

    #[test]
    fn the_bucket_of_nodes_remembers_the_lease() {
        let text = told(&Facts { nodes_max_age: Duration::from_millis(1500), ..sound() });
        assert!(text.contains("max_age = 1500ms") && text.contains("60s or more"), "{text}");
        let forever = Facts { nodes_max_age: Duration::ZERO, ..sound() };
        assert_eq!(violations(&forever), Vec::<String>::new());
    }

    #[test]
    fn an_upload_is_bounded_by_its_list_of_parts_and_by_no_message() {
        for max_payload in [8192, 65_536, MIB] {
            let facts = Facts { max_payload: Some(max_payload), part_bytes: MIB, ..sound() };
            let largest = Facts { upload_bytes_max: PARTS_MAX * MIB, ..facts.clone() };
            assert_eq!(violations(&largest), Vec::<String>::new());
            let more = Facts { upload_bytes_max: PARTS_MAX * MIB + 1, max_payload: None, ..facts };
            let text = told(&more);
            for word in ["1,048,577 parts", "http.part-bytes = 1,048,576", "1,099,511,627,776."] {
                assert!(text.contains(word), "{text}");
            }
        }
        told(&Facts { part_bytes: 0, ..sound() });
    }

    #[test]
    fn a_message_that_is_too_small_for_some_is_told_and_one_for_all_is_refused() {
        let refused = told(&Facts { max_payload: Some(8191), ..sound() });
        assert!(refused.contains("8,191 bytes (max_payload)"), "{refused}");
        let tight = Facts { max_payload: Some(8192), ..sound() };
        assert_eq!(violations(&tight), Vec::<String>::new());
        let [text] = doubts(&tight).try_into().unwrap();
        assert_eq!(sentence::check(&text), Ok(()));
        assert!(text.contains("8,192 bytes (max_payload)") && text.contains("262,144"), "{text}");
    }
}
