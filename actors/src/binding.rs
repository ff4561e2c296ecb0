//! Store and broker belong together, and both say so: looked at before a node takes work, made where neither says anything yet.
//!
//! Invariant: a [`Bound`] exists only where both marks were read and agree. Nothing deletes objects without one.

use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::binding::{self, BrokerMark, KEY, Mismatch, Step, StoreMark, VERSION};
use jetreel_domain::words::failure::Failure;
use tokio_util::bytes::Bytes;

use crate::ports::{PortFuture, Store, Swap, Versioned, WriteOnce};

/// Rounds of looking and marking: each of two marks, with a rival for each.
const ROUNDS_MAX: usize = 8;

/// Code of a mark that cannot be understood.
const UNREADABLE: &str = "unreadable-document";

/// Videos by which a broker without a mark is known.
const VIDEOS_MAX: usize = 200;

/// What belongs to videos.
const MEDIA_FOLDERS: [&str; 2] = ["raw/", "out/"];

/// The broker's side of it; all of it from the leader.
pub trait Binding: Send + Sync {
    /// Which store belongs to the broker; an error in place of a mark that cannot be understood.
    fn store_mark(&self) -> PortFuture<'_, Option<Versioned<Result<BrokerMark, Failure>>>>;
    /// Compare-and-set of that; `revision` 0 creates it.
    fn swap_store_mark<'a>(&'a self, mark: &'a BrokerMark, revision: u64) -> PortFuture<'a, Swap>;
    /// States of the newest videos, newest first, at most `limit`; those that cannot be understood are left out. `None`: there are no
    /// videos.
    fn newest(&self, limit: usize) -> PortFuture<'_, Option<Vec<Video>>>;
    /// When the broker's state was born: another one was born at another time.
    fn birth(&self) -> PortFuture<'_, String>;
}

/// That a store and a broker belong together, as this process has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    store: String,
}

impl Bound {
    /// Id of the store.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Looks once more: a disk can be exchanged under a node that runs.
    ///
    /// # Errors
    /// When they do not belong together any more, or one of them cannot be asked.
    pub async fn holds(&self, broker: &dyn Binding, store: &dyn Store) -> Result<(), Failure> {
        match look(broker, store).await? {
            Ok(Step::Bound(id)) if id == self.store => Ok(()),
            Ok(Step::Bound(store)) => {
                Err(Mismatch::Different { wanted: self.store.clone(), store }.into())
            }
            // Whoever removed a mark has its reasons; nothing is made anew under a node that runs.
            Ok(Step::MarkStore | Step::MarkBroker(_)) => {
                Err(Mismatch::Unmarked { wanted: self.store.clone() }.into())
            }
            Err(mismatch) => Err(mismatch.into()),
        }
    }
}

/// Reads both marks, and writes none.
///
/// # Errors
/// When broker or store cannot be asked, or a mark has no known form.
pub async fn look(
    broker: &dyn Binding,
    store: &dyn Store,
) -> Result<Result<Step, Mismatch>, Failure> {
    // The store first: it is marked first.
    let on_store = store_mark(store).await?;
    let named = broker.store_mark().await?.map(|found| found.value).transpose()?;
    Ok(binding::judge(on_store.as_ref(), named.as_ref(), &broker.birth().await?))
}

/// Reads both marks, and where there are none, whether they may get them; writes nothing.
///
/// # Errors
/// When broker or store cannot be asked, or a mark has no known form.
pub async fn foresee(
    broker: &dyn Binding,
    store: &dyn Store,
) -> Result<Result<Step, Mismatch>, Failure> {
    match look(broker, store).await? {
        Ok(Step::MarkStore) => Ok(fits(broker, store).await?.map(|()| Step::MarkStore)),
        found => Ok(found),
    }
}

/// Sees to it that both say that they belong together. `id` is that of the store where it has none.
///
/// # Errors
/// When they do not belong together, or one of them cannot be asked.
pub async fn verify(broker: &dyn Binding, store: &dyn Store, id: String) -> Result<Bound, Failure> {
    for _ in 0..ROUNDS_MAX {
        match foresee(broker, store).await? {
            Ok(Step::Bound(store)) => return Ok(Bound { store }),
            Ok(Step::MarkStore) => mark_store(broker, store, &id).await?,
            // Another node may have marked them meanwhile, and worked.
            Err(_) if look(broker, store).await?.is_ok_and(|step| step != Step::MarkStore) => {}
            Err(mismatch) => return Err(mismatch.into()),
            Ok(Step::MarkBroker(store)) => {
                // A conflict: another node was faster, with this store or another.
                broker.swap_store_mark(&BrokerMark { v: VERSION, store }, 0).await?;
            }
        }
    }
    Err(contended())
}

/// Whether a store and a broker that have no marks yet may belong together: as far as the broker has videos, the store holds something of
/// them; where it has none, the store holds none either.
async fn fits(broker: &dyn Binding, store: &dyn Store) -> Result<Result<(), Mismatch>, Failure> {
    let Some(videos) = broker.newest(VIDEOS_MAX).await? else {
        for folder in MEDIA_FOLDERS {
            if let Some(met) = store.walk(folder).await?.page(1).await?.pop() {
                return Ok(Err(Mismatch::Occupied { found: met.key }));
            }
        }
        return Ok(Ok(()));
    };
    let named = binding::named(&videos);
    for key in &named {
        if store.size(key).await?.is_some() {
            return Ok(Ok(()));
        }
    }
    let Some(missing) = named.first() else { return Ok(Ok(())) };
    Ok(Err(Mismatch::Elsewhere { missing: (*missing).to_owned() }))
}

/// Lets the broker belong to this store from now on, whatever it named before. Gives the id of the store, which gets `id` where it has
/// none. Marks that cannot be understood are made anew.
///
/// # Errors
/// When one of them cannot be asked.
pub async fn adopt(broker: &dyn Binding, store: &dyn Store, id: String) -> Result<Bound, Failure> {
    for _ in 0..ROUNDS_MAX {
        let on_store = match store_mark(store).await {
            Ok(Some(on_store)) => on_store,
            Ok(None) => {
                mark_store(broker, store, &id).await?;
                continue;
            }
            // Cut off, or written by hand: whose store it was cannot be said any more.
            Err(failure) if failure.code == UNREADABLE => {
                store.delete(KEY).await?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let found = broker.store_mark().await?;
        let revision = found.as_ref().map_or(0, |found| found.revision);
        let named = found.and_then(|found| found.value.ok());
        if named.is_some_and(|named| named.store == on_store.id) {
            return Ok(Bound { store: on_store.id });
        }
        let mark = BrokerMark { v: VERSION, store: on_store.id };
        broker.swap_store_mark(&mark, revision).await?;
    }
    Err(contended())
}

fn contended() -> Failure {
    Failure::dependency(
        "state-contended",
        "Other nodes change what store belongs to the broker. Try again.",
    )
}

/// Whoever is first marks the store; where another was, its mark is the one.
async fn mark_store(broker: &dyn Binding, store: &dyn Store, id: &str) -> Result<(), Failure> {
    let mark = StoreMark { v: VERSION, id: id.to_owned(), broker: broker.birth().await? };
    let bytes = serde_json::to_vec_pretty(&mark).map_err(|error| unreadable(&error))?;
    let written = store.create(KEY, Bytes::from(bytes)).await?;
    if written == WriteOnce::Taken {
        tracing::debug!("another node has marked the store");
    }
    Ok(())
}

async fn store_mark(store: &dyn Store) -> Result<Option<StoreMark>, Failure> {
    // By its size first: only there a missing object is no failure.
    if store.size(KEY).await?.is_none() {
        return Ok(None);
    }
    let bytes = store.read_all(KEY).await?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    let message = format!(
        "The mark of the store, {KEY}, has no known form. Restore it from a copy, or stop the nodes and let `jetreel store adopt` make a \
         new one."
    );
    Failure::task(UNREADABLE, message).with_detail(error)
}
