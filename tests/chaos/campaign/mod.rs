//! The scenarios, as data.

mod hands;
mod network;
mod processes;
mod storage;

use super::step::Scenario;
use super::world::{PLAIN, Spec, StoreIn};

/// Every scenario, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [processes::ALL, network::ALL, storage::ALL, hands::ALL].into_iter().flatten()
}

/// Two nodes, so that one can go on where the other cannot.
const PAIR: Spec = Spec { nodes: 2, slots: 1, ..PLAIN };
/// Three servers.
const CLUSTER: Spec = Spec { servers: 3, nodes: 2, slots: 1, ..PLAIN };
/// Two nodes and a server, each with its own cable.
const CABLES: Spec = Spec { places: true, ..PAIR };
/// A proxy before the broker.
const PROXIED: Spec = Spec { proxy: true, ..PLAIN };
/// Objects in a bucket.
const BUCKET: Spec = Spec { store: StoreIn::Bucket, ..PLAIN };

const SCENARIO: Scenario = Scenario {
    name: "",
    fault: "",
    spec: PLAIN,
    rounds: 1,
    steps: &[],
    may_fail: false,
    quick: false,
    smoke: false,
};
