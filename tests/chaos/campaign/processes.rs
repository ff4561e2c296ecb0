//! Processes that die, stop, or are told too much.

use super::{CLUSTER, PAIR, SCENARIO};
use crate::step::{Scenario, Step, Victim};
use crate::world::{PLAIN, Spec};

/// The scenarios.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "codec-kill",
        fault: "kill -9 of a codec process",
        rounds: 4,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Kill(Victim::Codec(0)),
            Step::Resumed,
            Step::Settle,
        ],
        smoke: true,
        ..SCENARIO
    },
    Scenario {
        name: "codec-memory",
        fault: "memory of a codec process runs out (control group)",
        spec: Spec { groups: &["memory"], ..PLAIN },
        rounds: 2,
        steps: &[Step::Submit(16, 4), Step::Hold(0), Step::Squeeze, Step::Resumed, Step::Settle],
        ..SCENARIO
    },
    Scenario {
        name: "node-kill",
        fault: "kill -9 of a node",
        spec: PAIR,
        rounds: 3,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Kill(Victim::Node(0)),
            Step::Resumed,
            Step::Start(Victim::Node(0)),
            Step::Settle,
        ],
        quick: true,
        smoke: true,
        ..SCENARIO
    },
    Scenario {
        name: "node-end",
        fault: "SIGTERM of a node at work",
        spec: PAIR,
        rounds: 3,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::End(0),
            Step::Resumed,
            Step::Start(Victim::Node(0)),
            Step::Settle,
        ],
        quick: true,
        ..SCENARIO
    },
    Scenario {
        name: "node-zombie",
        fault: "SIGSTOP of a node past its lease, then SIGCONT",
        spec: PAIR,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Stop(Victim::Node(0)),
            Step::Resumed,
            Step::Continue(Victim::Node(0)),
            Step::Settle,
        ],
        quick: true,
        ..SCENARIO
    },
    Scenario {
        name: "broker-kill",
        fault: "kill -9 of the only nats-server",
        rounds: 4,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Kill(Victim::Servers),
            Step::Start(Victim::Servers),
            Step::Continue(Victim::Codec(0)),
            Step::Resumed,
            Step::Settle,
        ],
        smoke: true,
        ..SCENARIO
    },
    Scenario {
        name: "broker-away",
        fault: "the only nats-server is away for 20 s",
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::Kill(Victim::Servers),
            Step::Last(20),
            Step::Start(Victim::Servers),
            Step::Continue(Victim::Codec(0)),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "cluster-leader",
        fault: "kill -9 of the leader of three nats-servers",
        spec: CLUSTER,
        rounds: 2,
        steps: CLUSTER_LOSES_LEADER,
        ..SCENARIO
    },
    Scenario {
        name: "cluster-follower",
        fault: "kill -9 of a follower of three nats-servers",
        spec: CLUSTER,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Kill(Victim::Follower),
            Step::Resumed,
            Step::Start(Victim::Servers),
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "cluster-majority",
        fault: "kill -9 of two of three nats-servers",
        spec: CLUSTER,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Kill(Victim::Majority),
            Step::Last(10),
            Step::Start(Victim::Servers),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "duplicates",
        fault: "every queue message twice, and in another lane",
        spec: PAIR,
        rounds: 3,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Duplicate,
            Step::Acknowledged(12),
            Step::Duplicate,
            Step::Settle,
            Step::Duplicate,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "clock",
        fault: "the nodes' clock jumps an hour on, and back",
        spec: Spec { clock: true, ..PLAIN },
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Clock(3600),
            Step::Acknowledged(8),
            Step::Clock(-3600),
            Step::Acknowledged(12),
            Step::Clock(0),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
];

const CLUSTER_LOSES_LEADER: &[Step] = &[
    Step::Submit(16, 4),
    Step::Acknowledged(4),
    Step::Kill(Victim::Leader),
    Step::Resumed,
    Step::Start(Victim::Servers),
    Step::Settle,
];
