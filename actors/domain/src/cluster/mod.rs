//! A cluster in simulated time: nodes with slots, queues, and publishers that see the states of orders a moment late. What is decided is
//! decided by the functions that the stages use; only times are made up.

mod clock;
mod evaluate;
mod model;
mod report;
mod work;

mod tests;
