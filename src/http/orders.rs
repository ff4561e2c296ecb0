//! Cache of orders: the plan, and for open orders the ledger, read on from the last read.
//!
//! Invariant: a plan is used only if its bytes have the hash that the state names. [`ORDERS_MAX`] bounds the memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jetreel_actors::intact::is_intact;
use jetreel_actors::ports::Ports;
use jetreel_domain::delivery::intake;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::{Object, Output, View};
use jetreel_domain::order::state::PlanRef;
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::{Failure, Touched};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout_at;

use super::asking::{PATIENCE, broker_timeout};
use super::catalog::Finished;

/// Most cached orders. The one that was requested longest ago is dropped first.
const ORDERS_MAX: usize = 64;
/// Shortest time between two reads of a ledger. Many viewers of one video cost the broker as much as one.
const LEDGER_AGE_MAX: Duration = Duration::from_millis(400);

/// Plans, ledgers and manifests by order.
#[derive(Default)]
pub(super) struct Orders {
    slots: std::sync::Mutex<BTreeMap<OrderId, Used>>,
}

struct Used {
    slot: Arc<Slot>,
    at: Instant,
}

#[derive(Default)]
struct Slot {
    known: Arc<Mutex<Known>>,
    /// What is being read is the plan, from the store.
    reads_plan: AtomicBool,
}

impl Slot {
    /// The lock, unless another reading holds it for too long; `object` is what is wanted from the store.
    async fn locked(
        &self,
        until: Instant,
        object: &Object,
    ) -> Result<OwnedMutexGuard<Known>, Failure> {
        let known = timeout_at(until.into(), self.known.clone().lock_owned());
        known.await.map_err(|_| self.late(object))
    }

    /// The failure of a call that waited too long.
    fn late(&self, plan: &Object) -> Failure {
        if !self.reads_plan.load(Ordering::Relaxed) {
            return broker_timeout();
        }
        let touched = Touched::Read { key: plan.key.clone(), from: 0 };
        Failure::dependency("storage-failed", "The storage did not answer in time.").of(touched)
    }
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
    fn slot(&self, order: &OrderId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(used) = slots.get_mut(order) {
            used.at = now;
            return used.slot.clone();
        }
        if slots.len() >= ORDERS_MAX
            && let Some(oldest) =
                slots.iter().min_by_key(|(_, used)| used.at).map(|(order, _)| order.clone())
        {
            slots.remove(&oldest);
        }
        let slot = Arc::<Slot>::default();
        slots.insert(order.clone(), Used { slot: slot.clone(), at: now });
        slot
    }

    /// The plan of an order.
    pub(super) async fn plan(
        &self,
        ports: &Ports,
        order: &OrderId,
        plan: &PlanRef,
    ) -> Result<Arc<Plan>, Failure> {
        let slot = self.slot(order);
        let mut known = slot.locked(Instant::now() + PATIENCE, &plan.object).await?;
        known.plan(ports, order, &plan.object).await
    }

    /// Calls `at` with the plan and the ledger of an order.
    pub(super) async fn look<T>(
        &self,
        ports: &Ports,
        order: &OrderId,
        plan: &PlanRef,
        at: impl FnOnce(&Plan, &View) -> T,
    ) -> Result<T, Failure> {
        self.look_until(Instant::now() + PATIENCE, ports, order, plan, at).await
    }

    /// Calls `at` with the plan and the ledger of an order, where they are known until then.
    pub(super) async fn look_until<T>(
        &self,
        until: Instant,
        ports: &Ports,
        order: &OrderId,
        plan: &PlanRef,
        at: impl FnOnce(&Plan, &View) -> T,
    ) -> Result<T, Failure> {
        let slot = self.slot(order);
        let object = &plan.object;
        let known = slot.locked(until, object).await?;
        if let Some(plan) = known.plan_at_hand(object).filter(|_| known.is_read()) {
            return Ok(at(&plan, &known.view));
        }
        let reading = read(known, slot.clone(), ports.clone(), order.clone(), object.clone());
        match timeout_at(until.into(), tokio::spawn(reading)).await {
            Ok(Ok(read)) => read.map(|(plan, known)| at(&plan, &known.view)),
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(slot.late(object)),
            },
            Err(_) => Err(slot.late(object)),
        }
    }

    /// Size of an object of an order, where it is known without asking anybody.
    pub(super) fn size(&self, order: &OrderId, key: &str) -> Option<u64> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let used = slots.get_mut(order)?;
        used.at = Instant::now();
        let slot = used.slot.clone();
        drop(slots);
        slot.known.try_lock().ok()?.size(key)
    }

    /// The manifest of a completed order.
    pub(super) async fn manifest(
        &self,
        ports: &Ports,
        finished: &Finished,
    ) -> Result<Arc<Manifest>, Failure> {
        let slot = self.slot(&finished.order);
        let object = &finished.published.manifest;
        let mut known = slot.locked(Instant::now() + PATIENCE, object).await?;
        // Nobody asks for the ledger of a completed order again.
        known.view = View::default();
        known.after = 0;
        known.manifest(ports, &finished.order, object).await
    }
}

/// Reads what is not known yet; gives the lock back with it.
async fn read(
    mut known: OwnedMutexGuard<Known>,
    slot: Arc<Slot>,
    ports: Ports,
    order: OrderId,
    plan: Object,
) -> Result<(Arc<Plan>, OwnedMutexGuard<Known>), Failure> {
    slot.reads_plan.store(true, Ordering::Relaxed);
    let plan = known.plan(&ports, &order, &plan).await;
    slot.reads_plan.store(false, Ordering::Relaxed);
    let plan = plan?;
    known.read_on(&ports, &order).await?;
    Ok((plan, known))
}

impl Known {
    fn plan_at_hand(&self, object: &Object) -> Option<Arc<Plan>> {
        let (sha256, plan) = self.plan.as_ref()?;
        (*sha256 == object.sha256).then(|| plan.clone())
    }

    fn size(&self, key: &str) -> Option<u64> {
        let listed = self.manifest.iter().flat_map(|(_, manifest)| manifest.objects());
        let entered = self.view.entries().flat_map(|entry| &entry.outputs);
        let mut objects = listed.chain(entered.flat_map(Output::objects));
        objects.find(|object| object.key == key).map(|object| object.bytes)
    }

    /// Whether the ledger was read a moment ago.
    fn is_read(&self) -> bool {
        self.read.is_some_and(|read| read.elapsed() < LEDGER_AGE_MAX)
    }

    async fn plan(
        &mut self,
        ports: &Ports,
        order: &OrderId,
        object: &Object,
    ) -> Result<Arc<Plan>, Failure> {
        if let Some(plan) = self.plan_at_hand(object) {
            return Ok(plan);
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
        if self.is_read() {
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
    let intact = is_intact(&bytes, &object.sha256);
    if intact { Ok(bytes) } else { Err(broken(object, &"its hash is another")) }
}

fn broken(object: &Object, why: &dyn std::fmt::Display) -> Failure {
    Failure::task("object-broken", "A stored object differs from the one that was written.")
        .with_detail(format!("{}: {why}", object.key))
}
