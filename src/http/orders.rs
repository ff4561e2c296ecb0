//! Cache of orders: the plan, and for open orders the ledger, read on from the last read.
//!
//! Invariant: a plan is used only if its bytes have the hash that the state names. [`ORDERS_MAX`] bounds the memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jetreel_actors::ports::Ports;
use jetreel_domain::delivery::intake;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::order::state::PlanRef;
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::{Failure, Touched};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::catalog::Finished;

/// Most cached orders. The one that was requested longest ago is dropped first.
const ORDERS_MAX: usize = 64;
/// Shortest time between two reads of a ledger. Many viewers of one video cost the broker as much as one.
const LEDGER_AGE_MAX: Duration = Duration::from_millis(400);
/// How long a list waits for a plan that is not cached.
const PLAN_WAIT: Duration = Duration::from_secs(4);

/// Plans, ledgers and manifests by order.
#[derive(Default)]
pub(super) struct Orders {
    slots: Mutex<BTreeMap<OrderId, Slot>>,
}

struct Slot {
    known: Arc<tokio::sync::Mutex<Known>>,
    used: Instant,
}

#[derive(Default)]
struct Known {
    plan: Option<(String, Arc<Plan>)>,
    manifest: Option<(String, Arc<Manifest>)>,
    view: View,
    after: u64,
    read: Option<Instant>,
}

impl Orders {
    fn slot(&self, order: &OrderId) -> Arc<tokio::sync::Mutex<Known>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(slot) = slots.get_mut(order) {
            slot.used = now;
            return slot.known.clone();
        }
        if slots.len() >= ORDERS_MAX
            && let Some(oldest) =
                slots.iter().min_by_key(|(_, slot)| slot.used).map(|(order, _)| order.clone())
        {
            slots.remove(&oldest);
        }
        let known = Arc::<tokio::sync::Mutex<Known>>::default();
        slots.insert(order.clone(), Slot { known: known.clone(), used: now });
        known
    }

    /// The plan of an order.
    pub(super) async fn plan(
        &self,
        ports: &Ports,
        order: &OrderId,
        plan: &PlanRef,
    ) -> Result<Arc<Plan>, Failure> {
        let slot = self.slot(order);
        slot.lock().await.plan(ports, order, &plan.object).await
    }

    /// Calls `at` with the plan and the ledger of an order.
    pub(super) async fn look<T>(
        &self,
        ports: &Ports,
        order: &OrderId,
        plan: &PlanRef,
        at: impl FnOnce(&Plan, &View) -> T,
    ) -> Result<T, Failure> {
        let slot = self.slot(order);
        let mut known = slot.lock().await;
        let plan = known.plan(ports, order, &plan.object).await?;
        known.read_on(ports, order).await?;
        Ok(at(&plan, &known.view))
    }

    /// Like [`Self::look`], with a deadline: gives up on a plan that cannot be read in time.
    pub(super) async fn look_soon<T>(
        &self,
        ports: &Ports,
        order: &OrderId,
        plan: &PlanRef,
        at: impl FnOnce(&Plan, &View) -> T,
    ) -> Result<T, Failure> {
        let late = |_| late(&plan.object);
        let slot = self.slot(order);
        let mut known = timeout(PLAN_WAIT, slot.lock()).await.map_err(late)?;
        let reading = timeout(PLAN_WAIT, known.plan(ports, order, &plan.object));
        let plan = reading.await.map_err(late)??;
        known.read_on(ports, order).await?;
        Ok(at(&plan, &known.view))
    }

    /// The manifest of a completed order.
    pub(super) async fn manifest(
        &self,
        ports: &Ports,
        finished: &Finished,
    ) -> Result<Arc<Manifest>, Failure> {
        let slot = self.slot(&finished.order);
        let mut known = slot.lock().await;
        // The ledger of a completed order is not needed again.
        known.view = View::default();
        known.after = 0;
        known.manifest(ports, &finished.order, &finished.published.manifest).await
    }
}

impl Known {
    async fn plan(
        &mut self,
        ports: &Ports,
        order: &OrderId,
        object: &Object,
    ) -> Result<Arc<Plan>, Failure> {
        if let Some((sha256, plan)) = &self.plan
            && *sha256 == object.sha256
        {
            return Ok(plan.clone());
        }
        let bytes = verified(ports, object).await?;
        let plan: Plan = serde_json::from_slice(&bytes).map_err(|error| broken(object, &error))?;
        intake::plan(&object.key, order, &plan).map_err(|found| found.of_document())?;
        let plan = Arc::new(plan);
        self.plan = Some((object.sha256.clone(), plan.clone()));
        Ok(plan)
    }

    async fn manifest(
        &mut self,
        ports: &Ports,
        order: &OrderId,
        object: &Object,
    ) -> Result<Arc<Manifest>, Failure> {
        if let Some((sha256, manifest)) = &self.manifest
            && *sha256 == object.sha256
        {
            return Ok(manifest.clone());
        }
        let bytes = verified(ports, object).await?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| broken(object, &error))?;
        intake::manifest(&object.key, order, &manifest).map_err(|found| found.of_document())?;
        let manifest = Arc::new(manifest);
        self.manifest = Some((object.sha256.clone(), manifest.clone()));
        Ok(manifest)
    }

    async fn read_on(&mut self, ports: &Ports, order: &OrderId) -> Result<(), Failure> {
        if self.read.is_some_and(|read| read.elapsed() < LEDGER_AGE_MAX) {
            return Ok(());
        }
        let (entries, last) = ports.broker.entries(order, self.after).await?;
        for entry in entries {
            self.view.insert(entry);
        }
        self.after = self.after.max(last);
        self.read = Some(Instant::now());
        Ok(())
    }
}

async fn verified(ports: &Ports, object: &Object) -> Result<bytes::Bytes, Failure> {
    let bytes = ports.store.read_all(&object.key).await?;
    let hash = Sha256::digest(&bytes);
    let hex = hex::encode(hash);
    if hex == object.sha256 { Ok(bytes) } else { Err(broken(object, &"its hash is another")) }
}

fn late(object: &Object) -> Failure {
    let touched = Touched::Read { key: object.key.clone(), from: 0 };
    Failure::dependency("storage-failed", "The storage did not answer in time.").of(touched)
}

fn broken(object: &Object, why: &dyn std::fmt::Display) -> Failure {
    Failure::task("object-broken", "A stored object differs from the one that was written.")
        .with_detail(format!("{}: {why}", object.key))
}
