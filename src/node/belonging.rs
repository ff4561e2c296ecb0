//! Checks at start that the store of a node is bound to the broker and is the store of the other nodes.

use std::path::PathBuf;
use std::sync::Arc;

use jetreel_actors::binding::{self, Bound};
use jetreel_actors::gate::Gate;
use jetreel_actors::sign::{self, Arrival, Arrived};
use jetreel_domain::id::VideoId;
use jetreel_domain::words::failure::Failure;

use super::{Services, Warnings, store_folder};
use crate::http::{STORE_NOT_SHARED, Warning};
use crate::settings::Settings;

/// Binds store and broker to each other, and checks that the other nodes have the same store.
///
/// # Errors
/// If the store is another one, or broker or store do not answer. The detail names the location of the store.
pub(super) async fn must_be(
    settings: &Settings,
    services: &Services,
) -> Result<(Bound, Arrived), Failure> {
    let (bus, store) = (services.bus.as_ref(), services.ports.store.as_ref());
    let bound = binding::verify(bus, store, new_store_id()).await.map_err(|f| at(settings, f))?;
    tracing::info!(store = bound.store(), "the store is the broker's");
    let arrived = arrive(settings, services).await.map_err(|f| at(settings, f))?;
    Ok((bound, arrived))
}

/// Checks the signs of the other nodes: a copy of a store has the id of the original.
async fn arrive(settings: &Settings, services: &Services) -> Result<Arrived, Failure> {
    let environment = &services.ports.environment;
    let arrival = Arrival {
        id: environment.uuid(),
        node: settings.node.name_here(),
        roles: settings.node.roles.words().map(ToOwned::to_owned).collect(),
        since: environment.now(),
    };
    sign::arrive(services.bus.as_ref(), services.ports.store.as_ref(), arrival).await
}

/// A new id for a store.
#[must_use]
pub fn new_store_id() -> String {
    VideoId::from_bits(uuid::Uuid::now_v7().as_u128()).to_string()
}

/// Adds the location of the store to a mismatch. A relative path depends on where the node was started.
fn at(settings: &Settings, failure: Failure) -> Failure {
    let place = match store_folder(settings) {
        Some(folder) => std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
        None => PathBuf::from(format!("{}/{}", settings.store.bucket, settings.store.root)),
    };
    if !["store-mismatch", STORE_NOT_SHARED].contains(&failure.code.as_str()) {
        return failure;
    }
    failure.with_detail(format_args!("the store of this node is {}", place.display()))
}

/// The readiness warning of a node whose store lacks the signs of the other nodes.
pub(super) fn warnings(gate: &Arc<Gate>) -> Warnings {
    let gate = Arc::clone(gate);
    Arc::new(move || {
        let told = |why: Failure| Warning {
            code: STORE_NOT_SHARED,
            detail: why.message.into(),
            refuses: true,
        };
        gate.barred().map(told).into_iter().collect()
    })
}
