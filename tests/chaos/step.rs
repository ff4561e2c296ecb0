//! The language of scenarios: steps as data, which the stage performs.

use super::bucket::Trouble;
use super::proxy::Loss;
use super::world::Spec;

/// A process, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// A node.
    Node(usize),
    /// The codec processes of a node.
    Codec(usize),
    /// The server that leads the ledger.
    Leader,
    /// A server that does not.
    Follower,
    /// The leader and a follower. The remaining server cannot decide anything.
    Majority,
    /// All servers.
    Servers,
}

/// Lost traffic between a node and the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The node's cable.
    Node(usize),
    /// From the node to the servers.
    FromNode(usize),
    /// From the servers to the node.
    ToNode(usize),
    /// The cable of the server that leads the ledger.
    Leader,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Of objects; the nodes are on the same machine.
    Objects,
    /// The disk of the streams; each server has its own machine.
    Streams,
    /// Both: everything is one machine.
    Both,
}

/// One step. A step ends when its action is done, unless documented otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// Begins to send so many uploads, so many at the same time. Goes on in the background.
    Submit(u32, usize),
    /// Waits until so many uploads of this round are acknowledged.
    Acknowledged(usize),
    /// Waits until a node is in the middle of a task, and stops its codec processes there.
    Hold(usize),
    /// Ends a process at once.
    Kill(Victim),
    /// Lets a process stand still.
    Stop(Victim),
    /// Lets it go on.
    Continue(Victim),
    /// Starts a stopped victim.
    Start(Victim),
    /// Tells a node to end, and waits until it has.
    End(usize),
    /// Drops traffic.
    Cut(Cut),
    /// Nothing is lost, stalled, delayed or in trouble any more.
    Heal,
    /// Fills a disk.
    Fill(On),
    /// Makes room on it again.
    Free(On),
    /// Cuts the power of a disk and of everything that uses it, and switches all of it on again.
    PowerCut(On),
    /// Slows the disks of streams down to so many bytes, and writes, a second.
    Slow(u64, u64),
    /// Loses the answers to the next so many publishes on subjects with a prefix.
    Lose(&'static str, Loss, u32),
    /// Waits until an answer was lost, or a request met trouble.
    Struck,
    /// Resets the connections of nodes to the broker.
    Reset,
    /// Delays traffic between nodes and broker by this many milliseconds.
    Delay(u64),
    /// Lets nothing pass between nodes and broker.
    Stall,
    /// Every so-manieth request to the bucket meets trouble.
    Trouble(Trouble, u32),
    /// Sets the nodes' clock off by so many seconds.
    Clock(i64),
    /// Lets memory run out for the codec processes that are held.
    Squeeze,
    /// Queues everything again that was queued since the last time.
    Duplicate,
    /// Lets the stream of dead letters take next to nothing.
    FillLetters,
    /// Sends so many messages of no form to the ingest.
    Rubbish(u32),
    /// Writes documents of no form: of a video, of a node, of the reconciler's lease.
    RubbishDocuments,
    /// Deletes the consumers of main tasks and of the publisher.
    DeleteConsumers,
    /// An upload must be refused now, by a node.
    Refused(usize),
    /// Lets the fault last for so many seconds.
    Last(u64),
    /// Waits until the interrupted tasks are finished, or where none is, any task: measured from the last fault or its end.
    Resumed,
    /// Waits until all uploads of this round are acknowledged, and all that were ever acknowledged have ended.
    Settle,
}

/// A scenario: steps, place and repetitions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// To choose it by.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) fault: &'static str,
    /// Where.
    pub(crate) spec: Spec,
    /// How often the steps are repeated.
    pub(crate) rounds: u32,
    /// What.
    pub(crate) steps: &'static [Step],
    /// A job may fail with its reason: the fault looks like the media's own.
    pub(crate) may_fail: bool,
    /// A task that was interrupted must be finished within 30 s.
    pub(crate) quick: bool,
    /// It is part of the short campaign.
    pub(crate) smoke: bool,
}
