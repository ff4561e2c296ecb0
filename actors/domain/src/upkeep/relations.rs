//! Settings that only work together: of the node, of the streams, and of the server.
//!
//! Each violation is a sentence that names both values and what to change. A violation would not show at once: a lease that is too
//! short ends work that is going well, a list of parts that is too long fails an upload at its last byte.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::order::parts::PARTS_MAX;
use crate::words::sentence::number;

/// How a lease on a delivery is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Between two renewals.
    pub heartbeat: Duration,
    /// Work stops this long after the last confirmed renewal, before the server gives the message to another.
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
    /// The least `ack_wait` of a consumer: a worker puts its work down one heartbeat before the server gives the message to another.
    #[must_use]
    pub const fn ack_wait_min(self) -> Duration {
        self.lost_after.saturating_add(self.heartbeat)
    }
}

/// A consumer that a stage pulls from, as declared or as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// `STREAM/consumer`.
    pub name: String,
    /// How long the server waits for an acknowledgement or a renewal.
    pub ack_wait: Duration,
}

/// Everything that is related.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// How leases are kept.
    pub lease: Lease,
    /// Consumers that stages pull from.
    pub consumers: Vec<Consumer>,
    /// Age at which the bucket `nodes` forgets; zero: never.
    pub nodes_max_age: Duration,
    /// Time between two words of a node.
    pub presence_interval: Duration,
    /// The reconciler's lease, which lies in the bucket `nodes`.
    pub leadership: Duration,
    /// Bytes of a part of an upload.
    pub part_bytes: u64,
    /// Bytes of an upload.
    pub upload_bytes_max: u64,
    /// Bytes of a message that the connected server takes; `None`: not connected.
    pub max_payload: Option<u64>,
}

/// What no message of Jetreel fits below: the state of a video with its facts and failures, a letter with what its attempts said.
const PAYLOAD_MIN: u64 = 8 << 10;
/// What every message of Jetreel fits into: the ledger entry of many pictures for the seek bar is the largest.
const PAYLOAD_ENOUGH: u64 = 256 << 10;

/// What cannot work, each a sentence.
#[must_use]
pub fn violations(facts: &Facts) -> Vec<String> {
    let mut found = leases(facts);
    found.extend(nodes(facts));
    found.extend(payload(facts));
    found.extend(parts(facts));
    found
}

/// What works, though not for every video, each a sentence.
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

/// One sentence for all consumers with the same lease: usually they have all the same.
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
            "The bucket nodes has max_age = {}, but the lease of the reconciler lasts {} and a node speaks every {}. Set its max_age \
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

/// The list of parts is an object, so that no message grows with an upload; what bounds it is the memory of who reads it.
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

/// A time as it is written in settings.
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
