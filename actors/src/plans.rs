//! Cache of plans. A plan never changes, so its SHA-256 identifies it.

use std::sync::Arc;

use jetreel_domain::delivery::intake;
use jetreel_domain::id::OrderId;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;
use tokio_util::bytes::Bytes;

use crate::cache::ByHash;
use crate::intact::is_intact;
use crate::ports::Store;

/// Bytes of all plans in memory, as stored. This holds the plans of thousands of short videos, or of a hundred films.
const PLAN_BYTES_KEPT: usize = 64 << 20;

/// A cache of plans by SHA-256.
#[derive(Debug)]
pub struct Plans(ByHash<Plan>);

impl Default for Plans {
    fn default() -> Self {
        Self(ByHash::new(PLAN_BYTES_KEPT))
    }
}

impl Plans {
    /// The plan of `order`, stored at `key` with the hash `sha256`.
    ///
    /// # Errors
    /// The store failed, or the object differs from the plan that was made.
    pub async fn get(
        &self,
        store: &dyn Store,
        order: &OrderId,
        key: &str,
        sha256: &str,
    ) -> Result<Arc<Plan>, Failure> {
        // A lookup by hash alone would also find the plan of another order.
        let own = |plan: &Plan| {
            intake::plan(key, order, plan).map_err(|contradiction| contradiction.of_document())
        };
        if let Some(plan) = self.0.find(sha256) {
            return own(&plan).map(|()| plan);
        }
        let bytes = store.read_all(key).await?;
        if !is_intact(&bytes, sha256) {
            let message = "The stored plan differs from the one that was made.";
            return Err(Failure::task("plan-changed", message).with_detail(key));
        }
        let plan = Arc::new(decode(&bytes)?);
        own(&plan)?;
        self.0.keep(sha256, &plan, bytes.len());
        Ok(plan)
    }
}

/// A plan as stored: JSON, because operators read it.
///
/// # Errors
/// The plan cannot be written as JSON, which is a fault of the program.
pub fn encode(plan: &Plan) -> Result<Bytes, Failure> {
    serde_json::to_vec(plan).map(Bytes::from).map_err(|error| {
        Failure::task("plan-encode", "The plan cannot be written.").with_detail(error)
    })
}

fn decode(bytes: &[u8]) -> Result<Plan, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::task("plan-unreadable", "The stored plan cannot be read.").with_detail(error)
    })
}
