//! What people do to a broker by hand, together with what dies by itself.

use super::{PAIR, SCENARIO};
use crate::step::{Scenario, Step, Victim};

/// The scenarios.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "full-letters",
        fault: "the stream of dead letters is full, and 40 messages are poison",
        steps: &[
            Step::FillLetters,
            Step::Rubbish(40),
            Step::Submit(16, 4),
            Step::Resumed,
            Step::Settle,
        ],
        rounds: 2,
        ..SCENARIO
    },
    Scenario {
        name: "rubbish-documents",
        fault: "documents of no form: of a video, of a node, of the reconciler's lease",
        spec: PAIR,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::RubbishDocuments,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "no-consumers",
        fault: "the consumers of main tasks and of the publisher are deleted",
        spec: PAIR,
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::DeleteConsumers,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "soak",
        fault: "all of these, and kill -9 of codec, node and nats-server",
        spec: PAIR,
        rounds: 2,
        steps: &[
            Step::FillLetters,
            Step::Rubbish(40),
            Step::Submit(16, 4),
            Step::RubbishDocuments,
            Step::Hold(0),
            Step::Kill(Victim::Codec(0)),
            Step::DeleteConsumers,
            Step::Hold(0),
            Step::Kill(Victim::Node(0)),
            Step::Resumed,
            Step::Start(Victim::Node(0)),
            Step::Hold(1),
            Step::Kill(Victim::Servers),
            Step::Start(Victim::Servers),
            Step::Continue(Victim::Codec(1)),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
];
