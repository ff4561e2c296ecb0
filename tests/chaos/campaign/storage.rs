//! Disks and buckets that fail, fill up, slow down, or lose power.

use super::{BUCKET, CLUSTER, SCENARIO};
use crate::bucket::Trouble;
use crate::step::{On, Scenario, Step, Victim};
use crate::world::{PLAIN, Spec, StoreIn, StreamsIn};

/// The scenarios.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "power-broker",
        fault: "power cut of the broker's disk",
        spec: Spec { streams: StreamsIn::Disk, ..PLAIN },
        rounds: 4,
        steps: POWER_OF_STREAMS,
        ..SCENARIO
    },
    Scenario {
        name: "power-cluster",
        fault: "power cut of the disks of all three nats-servers",
        spec: Spec { streams: StreamsIn::Disk, ..CLUSTER },
        rounds: 2,
        steps: POWER_OF_STREAMS,
        ..SCENARIO
    },
    Scenario {
        name: "power-objects",
        fault: "power cut of the disk of objects, nodes with it",
        spec: Spec { store: StoreIn::Disk, ..PLAIN },
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::PowerCut(On::Objects),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "power-all",
        fault: "power cut of broker, objects and nodes at once",
        spec: Spec { store: StoreIn::Disk, streams: StreamsIn::Disk, ..PLAIN },
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Hold(0),
            Step::PowerCut(On::Both),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "full-objects",
        fault: "no space left for uploads and renditions",
        spec: Spec { store: StoreIn::SmallDisk, ..PLAIN },
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Fill(On::Objects),
            Step::Refused(0),
            Step::Last(5),
            Step::Free(On::Objects),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "full-broker",
        fault: "no space left for the broker, until it is started again with some",
        spec: Spec { streams: StreamsIn::SmallDisk, ..PLAIN },
        rounds: 2,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Fill(On::Streams),
            Step::Last(5),
            Step::Free(On::Streams),
            // A nats-server that met a write error accepts nothing more until it is started again.
            Step::Kill(Victim::Servers),
            Step::Start(Victim::Servers),
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "slow-broker",
        fault: "the broker's disk does 40 writes a second",
        spec: Spec { streams: StreamsIn::Disk, groups: &["blkio"], ..PLAIN },
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Slow(256 << 10, 40),
            Step::Last(30),
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-500",
        fault: "storage: every 4th request 500",
        spec: BUCKET,
        steps: &[
            Step::Trouble(Trouble::Status(500), 4),
            Step::Submit(16, 4),
            Step::Acknowledged(12),
            Step::Struck,
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-away",
        fault: "storage: every request 503 for 20 s",
        spec: BUCKET,
        steps: &[
            Step::Submit(16, 4),
            Step::Acknowledged(4),
            Step::Trouble(Trouble::Status(503), 1),
            Step::Last(20),
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-timeout",
        fault: "storage: every 20th request without an answer",
        spec: BUCKET,
        steps: &[
            Step::Trouble(Trouble::Timeout, 20),
            Step::Submit(8, 4),
            Step::Acknowledged(6),
            Step::Struck,
            Step::Heal,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-reset",
        fault: "storage: every 4th request done, then reset",
        spec: BUCKET,
        steps: &[
            Step::Trouble(Trouble::Reset, 4),
            Step::Submit(16, 4),
            Step::Acknowledged(12),
            Step::Struck,
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-partial",
        fault: "storage: every 4th request half done",
        spec: BUCKET,
        steps: &[
            Step::Trouble(Trouble::Partial, 4),
            Step::Submit(16, 4),
            Step::Acknowledged(12),
            Step::Struck,
            Step::Heal,
            Step::Resumed,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-409",
        fault: "storage: every 6th request 409",
        spec: BUCKET,
        steps: &[
            Step::Trouble(Trouble::Status(409), 6),
            Step::Submit(16, 4),
            Step::Acknowledged(12),
            Step::Struck,
            Step::Heal,
            Step::Settle,
        ],
        ..SCENARIO
    },
    Scenario {
        name: "s3-412",
        fault: "storage: every 6th request 412",
        spec: BUCKET,
        steps: &[
            Step::Trouble(Trouble::Status(412), 6),
            Step::Submit(16, 4),
            Step::Acknowledged(12),
            Step::Struck,
            Step::Heal,
            Step::Settle,
        ],
        may_fail: true,
        ..SCENARIO
    },
    Scenario {
        name: "store-faults",
        fault: "storage: writes, closes, reads, looks, lists and deletes fail, one in a hundred",
        spec: Spec {
            environment: &[(
                "JETREEL_STORE_FAULTS",
                "write=0.01,close=0.01,read=0.01,stat=0.01,list=0.01,delete=0.01",
            )],
            ..PLAIN
        },
        rounds: 3,
        steps: &[Step::Submit(16, 4), Step::Settle],
        ..SCENARIO
    },
];

const POWER_OF_STREAMS: &[Step] = &[
    Step::Submit(16, 4),
    Step::Hold(0),
    Step::PowerCut(On::Streams),
    Step::Continue(Victim::Codec(0)),
    Step::Resumed,
    Step::Settle,
];
