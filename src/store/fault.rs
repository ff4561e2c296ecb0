//! A store with injected faults, only in builds with the feature `chaos`. OpenDAL's own `ChaosLayer` has no failing writes, closes, stats,
//! lists and deletes.
//!
//! The environment variable [`VARIABLE`] selects the faults: `write=0.05` is a share of all calls, `close=#3` the third call, `stat=0`
//! none. Half of the failed closes and deletes take place all the same, as if only their answer were lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use opendal::raw::*;
use opendal::*;

/// Environment variable with the faults. Unset: none.
const VARIABLE: &str = "JETREEL_STORE_FAULTS";

/// Kinds of calls that can fail.
const KINDS: [&str; 6] = ["read", "write", "close", "stat", "list", "delete"];

/// The OpenDAL layer that injects faults.
#[derive(Debug, Clone)]
pub(super) struct FaultLayer {
    faults: Arc<Faults>,
}

impl FaultLayer {
    /// The layer that the environment selects.
    pub(super) fn of_environment() -> Self {
        Self { faults: of_environment() }
    }
}

/// The injected error of a call that does not go through OpenDAL, if this call must fail.
pub(super) fn strike(kind: &str) -> std::io::Result<()> {
    of_environment().strike(kind).map_err(std::io::Error::other)
}

fn of_environment() -> Arc<Faults> {
    static FAULTS: OnceLock<Arc<Faults>> = OnceLock::new();
    let read = || Arc::new(Faults::parse(&std::env::var(VARIABLE).unwrap_or_default()));
    Arc::clone(FAULTS.get_or_init(read))
}

impl Layer for FaultLayer {
    fn apply_service(&self, inner: Servicer) -> Servicer {
        Arc::new(FaultService { inner, faults: Arc::clone(&self.faults) })
    }
}

/// When a kind of call fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Often {
    /// For this share of all calls.
    Share(f64),
    /// For the call with this number, from 1.
    Call(u64),
}

#[derive(Debug, Default)]
struct Faults {
    often: BTreeMap<String, (Often, AtomicU64)>,
    /// State of the random sequence. The same calls meet the same faults in every run.
    random: AtomicU64,
}

impl Faults {
    fn parse(text: &str) -> Self {
        let mut faults = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let parsed = part.split_once('=').and_then(|(kind, often)| {
                let often = match often.strip_prefix('#') {
                    Some(call) => Often::Call(call.parse().ok()?),
                    None => Often::Share(often.parse().ok()?),
                };
                KINDS.contains(&kind).then_some((kind.to_owned(), often))
            });
            match parsed {
                Some((kind, often)) => {
                    faults.often.insert(kind, (often, AtomicU64::new(0)));
                }
                None => tracing::error!(part, "{VARIABLE} is malformed"),
            }
        }
        faults
    }

    /// The injected error of this call, if it must fail.
    fn strike(&self, kind: &str) -> Result<()> {
        let Some((often, calls)) = self.often.get(kind) else { return Ok(()) };
        let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
        let strikes = match often {
            Often::Share(share) => self.chance() < *share,
            Often::Call(number) => call == *number,
        };
        if strikes {
            return Err(Error::new(ErrorKind::Unexpected, "a fault that was asked for")
                .with_context("kind", kind.to_owned())
                .set_temporary());
        }
        Ok(())
    }

    /// The next number of the sequence (SplitMix64), in `0.0..1.0`.
    fn chance(&self) -> f64 {
        let mut bits = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Makes a call and then fails it, or fails it without making it.
    async fn around<T>(
        &self,
        kind: &str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let struck = self.strike(kind);
        if struck.is_err() && self.chance() < 0.5 {
            return struck.and(call.await);
        }
        struck?;
        call.await
    }
}

#[derive(Debug)]
struct FaultService {
    inner: Servicer,
    faults: Arc<Faults>,
}

impl FaultService {
    fn wrap<T>(&self, inner: T) -> Faulty<T> {
        Faulty { inner, faults: Arc::clone(&self.faults) }
    }
}

impl Service for FaultService {
    type Reader = oio::Reader;
    type Writer = Faulty<oio::Writer>;
    type Lister = Faulty<oio::Lister>;
    type Deleter = Faulty<oio::Deleter>;
    type Copier = oio::Copier;
    type Composer = oio::Composer;

    fn info(&self) -> ServiceInfo {
        self.inner.info()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn create_dir(
        &self,
        context: &OperationContext,
        path: &str,
        args: OpCreateDir,
    ) -> Result<RpCreateDir> {
        self.inner.create_dir(context, path, args).await
    }

    async fn stat(&self, context: &OperationContext, path: &str, args: OpStat) -> Result<RpStat> {
        self.faults.strike("stat")?;
        self.inner.stat(context, path, args).await
    }

    fn read(&self, context: &OperationContext, path: &str, args: OpRead) -> Result<Self::Reader> {
        self.faults.strike("read")?;
        self.inner.read(context, path, args)
    }

    fn write(&self, context: &OperationContext, path: &str, args: OpWrite) -> Result<Self::Writer> {
        Ok(self.wrap(self.inner.write(context, path, args)?))
    }

    fn delete(&self, context: &OperationContext) -> Result<Self::Deleter> {
        Ok(self.wrap(self.inner.delete(context)?))
    }

    fn list(&self, context: &OperationContext, path: &str, args: OpList) -> Result<Self::Lister> {
        Ok(self.wrap(self.inner.list(context, path, args)?))
    }

    fn copy(
        &self,
        context: &OperationContext,
        from: &str,
        to: &str,
        args: OpCopy,
    ) -> Result<Self::Copier> {
        self.inner.copy(context, from, to, args)
    }

    async fn rename(
        &self,
        context: &OperationContext,
        from: &str,
        to: &str,
        args: OpRename,
    ) -> Result<RpRename> {
        self.inner.rename(context, from, to, args).await
    }

    async fn presign(
        &self,
        context: &OperationContext,
        path: &str,
        args: OpPresign,
    ) -> Result<RpPresign> {
        self.inner.presign(context, path, args).await
    }
}

struct Faulty<T> {
    inner: T,
    faults: Arc<Faults>,
}

impl oio::Write for Faulty<oio::Writer> {
    async fn write(&mut self, bytes: Buffer) -> Result<()> {
        self.faults.strike("write")?;
        self.inner.write(bytes).await
    }

    async fn copy_from(&mut self, path: &str, args: OpRead, range: BytesRange) -> Result<()> {
        self.inner.copy_from(path, args, range).await
    }

    async fn close(&mut self) -> Result<Metadata> {
        self.faults.around("close", self.inner.close()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

impl oio::List for Faulty<oio::Lister> {
    async fn next(&mut self) -> Result<Option<oio::Entry>> {
        self.faults.strike("list")?;
        self.inner.next().await
    }
}

impl oio::Delete for Faulty<oio::Deleter> {
    async fn delete(&mut self, path: &str, args: OpDelete) -> Result<()> {
        self.inner.delete(path, args).await
    }

    async fn close(&mut self) -> Result<()> {
        self.faults.around("delete", self.inner.close()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_asked_for() {
        let faults = Faults::parse("write=0.25,close=#2,nonsense,stat=0");
        let failed = |kind: &str| (0..4000).filter(|_| faults.strike(kind).is_err()).count();
        assert!((900..1100).contains(&failed("write")));
        assert_eq!((failed("close"), failed("stat"), failed("read")), (1, 0, 0));
    }
}
