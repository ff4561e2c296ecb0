//! The one integration binary: the whole product against a real nats-server, and the rules of the source tree.

mod harness;
mod bus;
mod clips;
mod hostile;
mod sandbox;
mod store;
mod tidy;
