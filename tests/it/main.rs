//! The one integration binary: the whole product against a real nats-server, and the rules of the source tree.

mod harness;
#[expect(
    dead_code,
    reason = "the codec that they are told by tells them, here they are only named"
)]
#[path = "../../actors/domain/src/lies.rs"]
mod lies;
mod attempts;
mod away;
mod big;
mod bus;
mod cancel;
mod clips;
mod command;
mod confine;
mod cost;
mod crash;
mod crowd;
mod dashboards;
mod deadletters;
mod denied;
mod dev;
mod dispatch;
mod drain;
mod eligible;
mod faults;
mod foreign;
mod guard;
mod hostile;
mod lag;
mod line;
mod lists;
mod long_lists;
mod orphans;
mod priority;
mod probes;
mod reconcile;
mod refuse;
mod reopen;
mod requests;
mod rm;
mod s3;
mod sandbox;
mod scaler;
mod seams;
mod shapes;
mod sharing;
mod store;
mod supervision;
mod sync;
mod takeover;
mod tidy;
mod trace;
mod told;
mod two_nodes;
mod upkeep;
mod upload_to_publish;
mod warnings;
