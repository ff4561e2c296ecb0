//! Networks that lose, delay and reset.

use super::{CABLES, CLUSTER, PROXIED, SCENARIO};
use crate::proxy::Loss;
use crate::step::{Cut, Scenario, Step, Victim};
use crate::world::Spec;

/// The scenarios.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "cluster-cut",
        fault: "partition: the leader of three nats-servers alone",
        spec: Spec { places: true, ..CLUSTER },
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Cut(Cut::Leader),
            Step::Last(15),
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "node-cut",
        fault: "partition: a node alone",
        spec: CABLES,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Cut(Cut::Node(0)),
            Step::Continue(Victim::Codec(0)),
            Step::Resumed,
            Step::Heal,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "node-mute",
        fault: "partition one way: nothing from a node reaches the broker",
        spec: CABLES,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Cut(Cut::FromNode(0)),
            Step::Continue(Victim::Codec(0)),
            Step::Resumed,
            Step::Heal,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "node-deaf",
        fault: "partition one way: nothing from the broker reaches a node",
        spec: CABLES,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Cut(Cut::ToNode(0)),
            Step::Continue(Victim::Codec(0)),
            Step::Resumed,
            Step::Heal,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "lost-ack",
        fault: "lost answer to a publish, then reset",
        spec: PROXIED,
        rounds: 2,
        steps: &[
            Step::Lose("video.uploads.", Loss::Reset, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("$KV.videos.", Loss::Reset, 3),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("video.encode.", Loss::Reset, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("video.ledger.", Loss::Reset, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("video.transcodes.", Loss::Reset, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Settle,
        ],
        smoke: true,
        ..SCENARIO
    },
    Scenario {
        name: "silent-ack",
        fault: "lost answer to a publish, in silence",
        spec: PROXIED,
        steps: &[
            Step::Lose("video.uploads.", Loss::Silence, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("$KV.", Loss::Silence, 4),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("video.encode.", Loss::Silence, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("video.ledger.", Loss::Silence, 2),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Lose("$JS.ACK.", Loss::Silence, 4),
            Step::Submit(8, 4),
            Step::Struck,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "broker-link",
        fault: "link to the broker slow (50 ms), stalled (10 s), reset",
        spec: PROXIED,
        steps: &[
            Step::Delay(50),
            Step::Submit(12, 4),
            Step::Acknowledged(4),
            Step::Reset,
            Step::Acknowledged(8),
            Step::Stall,
            Step::Last(10),
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
];
