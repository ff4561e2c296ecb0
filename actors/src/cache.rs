//! Cache of documents that never change, by their SHA-256.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Documents by hash. The one that was not used for longest goes first.
#[derive(Debug)]
pub(crate) struct ByHash<T> {
    inner: Mutex<Inner<T>>,
    /// Total weight that is kept. One document is kept whatever its weight.
    weight_max: usize,
}

#[derive(Debug)]
struct Inner<T> {
    by_hash: BTreeMap<String, Kept<T>>,
    weight: usize,
    clock: u64,
}

#[derive(Debug)]
struct Kept<T> {
    document: Arc<T>,
    weight: usize,
    used: u64,
}

impl<T> ByHash<T> {
    /// An empty cache.
    pub(crate) fn new(weight_max: usize) -> Self {
        let inner = Inner { by_hash: BTreeMap::new(), weight: 0, clock: 0 };
        Self { inner: Mutex::new(inner), weight_max }
    }

    /// The document with that hash.
    pub(crate) fn find(&self, sha256: &str) -> Option<Arc<T>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let clock = inner.clock;
        let kept = inner.by_hash.get_mut(sha256)?;
        kept.used = clock;
        Some(Arc::clone(&kept.document))
    }

    /// Keeps a document of that weight.
    pub(crate) fn keep(&self, sha256: &str, document: &Arc<T>, weight: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let kept = Kept { document: Arc::clone(document), weight, used: inner.clock };
        let before = inner.by_hash.insert(sha256.to_owned(), kept);
        inner.weight += weight;
        inner.weight -= before.map_or(0, |before| before.weight);
        while inner.by_hash.len() > 1 && inner.weight > self.weight_max {
            let oldest = inner.by_hash.iter().min_by_key(|(_, kept)| kept.used);
            let Some(hash) = oldest.map(|(hash, _)| hash.clone()) else { return };
            let gone = inner.by_hash.remove(&hash);
            inner.weight -= gone.map_or(0, |gone| gone.weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_up_to_a_weight() {
        let cache = ByHash::new(100);
        let keep = |hash: &str, weight| cache.keep(hash, &Arc::new(()), weight);
        keep("a", 10);
        keep("b", 10);
        keep("b", 10);
        assert!(cache.find("a").is_some());
        keep("c", 85);
        let there = ["a", "b", "c"].map(|hash| cache.find(hash).is_some());
        assert_eq!(there, [true, false, true], "the one that was not used for longest is gone");
        keep("d", 101);
        let there = ["a", "c", "d"].map(|hash| cache.find(hash).is_some());
        assert_eq!(there, [false, false, true], "one is kept, whatever its weight");
    }
}
