//! Binding of a store to a broker. Each carries a mark that names the pair. A node checks both marks before it takes work, and writes them
//! if neither exists.
//!
//! Invariant: a [`Bound`] exists only after both marks were read and agree. Objects are deleted only with a [`Bound`].

use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::binding::{self, BrokerMark, KEY, Mismatch, Step, StoreMark, VERSION};
use jetreel_domain::words::failure::Failure;
use tokio_util::bytes::Bytes;

use crate::ports::{PortFuture, Store, Swap, Versioned, WriteOnce};

/// Rounds of reading and marking. Each of the two marks can meet one rival node.
const ROUNDS_MAX: usize = 8;

/// Code of a failure about a mark that cannot be decoded.
const UNREADABLE: &str = "unreadable-document";

/// How many of the newest videos identify a broker without a mark.
const VIDEOS_MAX: usize = 200;

/// Folders of the objects of videos.
const MEDIA_FOLDERS: [&str; 2] = ["raw/", "out/"];

/// The broker's half of the binding. All reads are from the leader.
pub trait Binding: Send + Sync {
    /// The mark that names the broker's store. The inner error stands for a mark that cannot be decoded.
    fn store_mark(&self) -> PortFuture<'_, Option<Versioned<Result<BrokerMark, Failure>>>>;
    /// Compare-and-set of the mark; `revision` 0 creates it.
    fn swap_store_mark<'a>(&'a self, mark: &'a BrokerMark, revision: u64) -> PortFuture<'a, Swap>;
    /// States of the newest videos, newest first, at most `limit`. States that cannot be decoded are left out. `None` if there are no
    /// videos.
    fn newest(&self, limit: usize) -> PortFuture<'_, Option<Vec<Video>>>;
    /// When the broker's state was created. A broker with other state has another time of creation.
    fn birth(&self) -> PortFuture<'_, String>;
}

/// Proof that this process has read both marks and that they agree.
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

    /// Reads the marks again: a disk can be exchanged while a node runs.
    ///
    /// # Errors
    /// The marks do not agree any more, or broker or store cannot be reached.
    pub async fn holds(&self, broker: &dyn Binding, store: &dyn Store) -> Result<(), Failure> {
        match look(broker, store).await? {
            Ok(Step::Bound(id)) if id == self.store => Ok(()),
            Ok(Step::Bound(store)) => {
                Err(Mismatch::Different { wanted: self.store.clone(), store }.into())
            }
            // An operator may have removed the mark on purpose. A running node never writes it again.
            Ok(Step::MarkStore | Step::MarkBroker(_)) => {
                Err(Mismatch::Unmarked { wanted: self.store.clone() }.into())
            }
            Err(mismatch) => Err(mismatch.into()),
        }
    }
}

/// Reads both marks. Writes nothing.
///
/// # Errors
/// Broker or store cannot be reached, or a mark has no known form.
pub async fn look(
    broker: &dyn Binding,
    store: &dyn Store,
) -> Result<Result<Step, Mismatch>, Failure> {
    // The store is read first because it is marked first.
    let on_store = store_mark(store).await?;
    let named = broker.store_mark().await?.map(|found| found.value).transpose()?;
    Ok(binding::judge(on_store.as_ref(), named.as_ref(), &broker.birth().await?))
}

/// Reads both marks. If there are none, checks whether they may be written. Writes nothing.
///
/// # Errors
/// Broker or store cannot be reached, or a mark has no known form.
pub async fn foresee(
    broker: &dyn Binding,
    store: &dyn Store,
) -> Result<Result<Step, Mismatch>, Failure> {
    match look(broker, store).await? {
        Ok(Step::MarkStore) => Ok(fits(broker, store).await?.map(|()| Step::MarkStore)),
        found => Ok(found),
    }
}

/// Binds store and broker, or confirms that they are bound. A store without a mark gets `id`.
///
/// # Errors
/// The two are not bound to each other, or one of them cannot be reached.
pub async fn verify(broker: &dyn Binding, store: &dyn Store, id: String) -> Result<Bound, Failure> {
    for _ in 0..ROUNDS_MAX {
        match foresee(broker, store).await? {
            Ok(Step::Bound(store)) => return Ok(Bound { store }),
            Ok(Step::MarkStore) => mark_store(broker, store, &id).await?,
            // Another node may have written the marks in the meantime and worked since.
            Err(_) if look(broker, store).await?.is_ok_and(|step| step != Step::MarkStore) => {}
            Err(mismatch) => return Err(mismatch.into()),
            Ok(Step::MarkBroker(store)) => {
                // On a conflict another node wrote a mark first, for this store or for another one. The next round reads it.
                broker.swap_store_mark(&BrokerMark { v: VERSION, store }, 0).await?;
            }
        }
    }
    Err(contended())
}

/// Whether a store and a broker without marks may be bound. If the broker has videos, the store must hold at least one of their objects. If
/// the broker has none, the store must hold no media.
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

/// Binds the broker to this store, whatever store its mark named before. Returns the id of the store; a store without a mark gets `id`.
/// Marks that cannot be decoded are replaced.
///
/// # Errors
/// Broker or store cannot be reached.
pub async fn adopt(broker: &dyn Binding, store: &dyn Store, id: String) -> Result<Bound, Failure> {
    for _ in 0..ROUNDS_MAX {
        let on_store = match store_mark(store).await {
            Ok(Some(on_store)) => on_store,
            Ok(None) => {
                mark_store(broker, store, &id).await?;
                continue;
            }
            // The mark was cut off or written by hand: the id in it is lost.
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
        "Other nodes are changing the binding of store and broker. Try again.",
    )
}

/// Marks the store. If another node marked it first, that node's mark stays.
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
    // The size is asked first, because it is the only request for which a missing object is not a failure.
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
