//! Cache of documents that never change, by their SHA-256.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Documents by hash. The one that was not used for longest goes first.
#[derive(Debug)]
pub(crate) struct ByHash<T> {
    kept: Mutex<Kept<T>>,
    /// Total weight that is kept. One document is kept whatever its weight.
    weight_max: usize,
    weight: fn(&T) -> usize,
}

#[derive(Debug)]
struct Kept<T> {
    by_hash: BTreeMap<String, (u64, Arc<T>)>,
    clock: u64,
}

impl<T> ByHash<T> {
    /// An empty cache.
    pub(crate) fn new(weight_max: usize, weight: fn(&T) -> usize) -> Self {
        Self { kept: Mutex::new(Kept { by_hash: BTreeMap::new(), clock: 0 }), weight_max, weight }
    }

    /// The document with that hash.
    pub(crate) fn find(&self, sha256: &str) -> Option<Arc<T>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        let (used, document) = kept.by_hash.get_mut(sha256)?;
        *used = clock;
        Some(Arc::clone(document))
    }

    /// Keeps a document.
    pub(crate) fn keep(&self, sha256: &str, document: &Arc<T>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        kept.by_hash.insert(sha256.to_owned(), (clock, Arc::clone(document)));
        let weight =
            |kept: &Kept<T>| kept.by_hash.values().map(|(_, it)| (self.weight)(it)).sum::<usize>();
        while kept.by_hash.len() > 1 && weight(&kept) > self.weight_max {
            let oldest = kept.by_hash.iter().min_by_key(|(_, (used, _))| *used);
            let Some(hash) = oldest.map(|(hash, _)| hash.clone()) else { return };
            kept.by_hash.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_up_to_a_weight() {
        let cache = ByHash::new(100, |weight: &usize| *weight);
        cache.keep("a", &Arc::new(10));
        cache.keep("b", &Arc::new(10));
        assert!(cache.find("a").is_some());
        cache.keep("c", &Arc::new(85));
        let there = ["a", "b", "c"].map(|hash| cache.find(hash).is_some());
        assert_eq!(there, [true, false, true], "the one that was not used for longest is gone");
        cache.keep("d", &Arc::new(101));
        let there = ["a", "c", "d"].map(|hash| cache.find(hash).is_some());
        assert_eq!(there, [false, false, true], "one is kept, whatever its weight");
    }
}
