//! Declared streams, consumers and buckets that the server lacks. Pure.
//!
//! A stream or bucket that is created anew is empty. If the states tell what it held, the reconciler queues that again, and creating it
//! destroys nothing. A bucket whose content is nowhere else is left to an operator: an empty one would hide the loss.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_domain::delivery::stage::Stage;

use super::diff::Asset;
use super::wanted::{Topology, WantedStream};
use crate::bus::names;

/// Streams without which no upload is taken or no job completes, beside the queues of stages.
const NEEDED: [&str; 3] = [names::PARTS, names::LEDGER, names::PROGRESS];
/// Buckets without which no job completes.
const BUCKETS_NEEDED: [&str; 3] = [names::VIDEOS_BUCKET, names::CLAIMS_BUCKET, names::NODES_BUCKET];
/// Buckets whose content is nowhere else.
const ORIGINALS: [&str; 3] = [names::VIDEOS_BUCKET, "webhooks", "keys"];

/// Names of the streams on the server, each with the names of its consumers.
pub(super) type There = BTreeMap<String, BTreeSet<String>>;

/// Declared assets that the server lacks. Each stream comes before its consumers, in order of creation.
pub(super) fn missing(wanted: &Topology, there: &There) -> Vec<Asset> {
    wanted.streams().iter().flat_map(|stream| of_stream(stream, there.get(&stream.name))).collect()
}

fn of_stream(wanted: &WantedStream, there: Option<&BTreeSet<String>>) -> Vec<Asset> {
    let none = BTreeSet::new();
    let own = there.is_none().then(|| Asset::Stream(wanted.name.clone()));
    let there = there.unwrap_or(&none);
    let consumers = wanted.consumers.keys().filter(|name| !there.contains(*name));
    let consumer =
        |name: &String| Asset::Consumer { stream: wanted.name.clone(), name: name.clone() };
    own.into_iter().chain(consumers.map(consumer)).collect()
}

/// The missing assets as text. The stream of a bucket is named as a bucket, and a missing stream stands for its consumers too.
#[must_use]
pub fn told(missing: &[Asset]) -> String {
    let is_gone = |stream: &String| missing.contains(&Asset::Stream(stream.clone()));
    let told = missing.iter().filter_map(|asset| match asset {
        Asset::Stream(name) => Some(match bucket_of(name) {
            Some(bucket) => format!("bucket {bucket}"),
            None => asset.to_string(),
        }),
        Asset::Consumer { stream, .. } => (!is_gone(stream)).then(|| asset.to_string()),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Advice to the operator.
#[must_use]
pub fn advice(missing: &[Asset]) -> &'static str {
    if missing.iter().all(Asset::may_be_made) {
        "run `jetreel streams apply`"
    } else {
        "restore it from a backup, or run `jetreel streams apply` to begin with an empty one"
    }
}

fn bucket_of(stream: &str) -> Option<&str> {
    stream.strip_prefix(&names::bucket_stream(""))
}

impl Asset {
    fn stream(&self) -> &str {
        match self {
            Self::Stream(name) | Self::Consumer { stream: name, .. } => name,
        }
    }

    /// Whether jobs cannot complete without it.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        match bucket_of(self.stream()) {
            Some(bucket) => BUCKETS_NEEDED.contains(&bucket),
            None => {
                let mut queues = Stage::ALL.into_iter().map(|stage| stage.about().stream);
                NEEDED.contains(&self.stream()) || queues.any(|queue| queue == self.stream())
            }
        }
    }

    /// Whether creating it anew hides no loss that only an operator can judge.
    #[must_use]
    pub fn may_be_made(&self) -> bool {
        bucket_of(self.stream()).is_none_or(|bucket| !ORIGINALS.contains(&bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT;
    use super::*;

    fn wanted() -> Topology {
        Topology::parse(DEFAULT).unwrap()
    }

    fn there() -> There {
        let names = |stream: &WantedStream| stream.consumers.keys().cloned().collect();
        wanted().streams().iter().map(|stream| (stream.name.clone(), names(stream))).collect()
    }

    #[test]
    fn whatever_is_declared_is_missed_and_named() {
        let mut there = there();
        assert_eq!(missing(&wanted(), &there), []);
        there.get_mut("ENCODE").unwrap().remove("encode-low-package");
        there.remove("LEDGER");
        there.remove("KV_claims");
        let missing = missing(&wanted(), &there);
        let all = "consumer ENCODE/encode-low-package, stream LEDGER, bucket claims";
        assert_eq!(told(&missing), all);
        assert_eq!(missing.len(), 4, "the consumer of the stream that is missing is made, too");
        assert!(missing.iter().all(|asset| asset.is_needed() && asset.may_be_made()));
    }

    #[test]
    fn what_nothing_else_knows_is_left_to_a_person() {
        let judged = |name: &str| {
            let asset = Asset::Stream(name.to_owned());
            (asset.is_needed(), asset.may_be_made())
        };
        assert_eq!(judged("KV_videos"), (true, false));
        assert_eq!(judged("KV_keys"), (false, false));
        assert_eq!(judged("KV_nodes"), (true, true));
        assert_eq!(judged("DLQ"), (false, true));
        assert_eq!(judged("OF_AN_OPERATOR"), (false, true));
        let hook = Asset::Consumer { stream: "DLQ".into(), name: "hook".into() };
        assert!(!hook.is_needed() && hook.may_be_made());
    }
}
