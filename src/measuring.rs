//! Where the load of the cluster is read from: the broker.

use std::sync::Arc;

use jetreel_actors::load::Sources;

use crate::bus::Bus;

/// The ports of a measurement on this broker.
#[must_use]
pub fn sources(bus: &Arc<Bus>) -> Sources {
    Sources { broker: bus.clone(), survey: bus.clone(), nodes: bus.clone(), gauges: bus.clone() }
}
