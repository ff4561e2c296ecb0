//! How many nodes a load needs, by the formula of the scaler ([`super::scaler`]) without its hysteresis; and the case of the textbook.

use serde::Serialize;

/// Seconds of an hour.
const HOUR: f64 = 3600.0;
/// Rounding errors of a number of nodes that is whole.
const ROUNDING: f64 = 1e-9;

/// A load and the nodes that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Question {
    /// Encode seconds of an upload.
    pub upload_encode_seconds: f64,
    /// Uploads that arrive at once.
    pub burst_uploads: f64,
    /// Time in which they should be done.
    pub drain_seconds: f64,
    /// Uploads that arrive in an hour, all the time.
    pub uploads_per_hour: f64,
    /// Share of the slots that the steady stream may fill. The rest is for its variation: at 1 the queue would grow without end.
    pub utilisation: f64,
    /// Encode seconds that a slot does in a second.
    pub speed: f64,
    pub node_vcpus: u32,
    pub node_slots: u32,
}

/// The answer, with its steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answer {
    /// Encode hours of the burst.
    pub burst_encode_hours: f64,
    /// Slots that do the burst in its time.
    pub burst_slots: f64,
    /// Encode hours that arrive in an hour.
    pub steady_encode_hours: f64,
    /// Slots that the stream may fill to its share.
    pub steady_slots: f64,
    /// Nodes of these slots, rounded up once.
    pub nodes: u32,
    /// Time in which these nodes do the burst while the stream goes on.
    pub burst_seconds: f64,
    /// vCPU-hours of the burst's share of the nodes, for the time of the drain.
    pub burst_vcpu_hours: f64,
    /// vCPU-hours of the stream's share of the nodes, for an hour.
    pub steady_vcpu_hours: f64,
}

/// Answers a question.
#[must_use]
pub fn answer(question: &Question) -> Answer {
    let Question { upload_encode_seconds, speed, .. } = *question;
    let burst_encode_hours = question.burst_uploads * upload_encode_seconds / HOUR;
    let burst_slots = burst_encode_hours * HOUR / (question.drain_seconds * speed);
    let steady_encode_hours = question.uploads_per_hour * upload_encode_seconds / HOUR;
    let steady_slots = steady_encode_hours / (speed * question.utilisation);
    let (vcpus, per_node) = (f64::from(question.node_vcpus), f64::from(question.node_slots));
    let whole = |slots: f64| (slots / per_node - ROUNDING).ceil().max(0.0);
    let nodes = whole(burst_slots + steady_slots);
    let of_burst = nodes - whole(steady_slots);
    // The stream takes no more than its encode seconds; what is left works on the burst.
    let left = nodes * per_node * speed - steady_encode_hours;
    let burst_seconds =
        if burst_encode_hours > 0.0 { burst_encode_hours * HOUR / left } else { 0.0 };
    Answer {
        burst_encode_hours,
        burst_slots,
        steady_encode_hours,
        steady_slots,
        nodes: nodes as u32,
        burst_seconds,
        burst_vcpu_hours: of_burst * vcpus * question.drain_seconds / HOUR,
        steady_vcpu_hours: whole(steady_slots) * vcpus,
    }
}

/// A reading of the textbook's case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    pub name: &'static str,
    /// vCPUs of which the reading counts one CPU.
    pub vcpus_per_slot: u32,
    pub nodes: u32,
    /// Time in which these nodes do the work.
    pub drain_seconds: f64,
    /// vCPU-hours that are paid: all nodes, for that time or the target, whichever is longer.
    pub vcpu_hours: f64,
}

/// The textbook's case: 500 uploads of 2.5 CPU-hours, done in 30 minutes by nodes of 8 vCPUs.
pub const TEXTBOOK: Question = Question {
    upload_encode_seconds: 2.5 * HOUR,
    burst_uploads: 500.0,
    drain_seconds: 1800.0,
    uploads_per_hour: 0.0,
    utilisation: 1.0,
    speed: 1.0,
    node_vcpus: 8,
    node_slots: 8,
};

/// Nodes that the textbook's text says.
const TEXTBOOK_NODES: u32 = 42;

/// What the textbook's case comes to in each of its readings. They do not agree.
#[must_use]
pub fn textbook() -> Vec<Reading> {
    let computed = |name, vcpus_per_slot: u32| {
        let node_slots = TEXTBOOK.node_vcpus / vcpus_per_slot;
        reading(name, vcpus_per_slot, answer(&Question { node_slots, ..TEXTBOOK }).nodes)
    };
    vec![
        computed("a CPU-hour is an hour of one vCPU", 1),
        computed("the formula: a slot of two vCPUs counts as one CPU", 2),
        reading("the text's number of nodes, a vCPU as one CPU", 1, TEXTBOOK_NODES),
        reading("the text's number of nodes, two vCPUs as one CPU", 2, TEXTBOOK_NODES),
    ]
}

fn reading(name: &'static str, vcpus_per_slot: u32, nodes: u32) -> Reading {
    let work = TEXTBOOK.burst_uploads * TEXTBOOK.upload_encode_seconds;
    let slots = f64::from(nodes * (TEXTBOOK.node_vcpus / vcpus_per_slot));
    let drain_seconds = work / slots;
    let paid = drain_seconds.max(TEXTBOOK.drain_seconds) / HOUR;
    let vcpu_hours = f64::from(nodes * TEXTBOOK.node_vcpus) * paid;
    Reading { name, vcpus_per_slot, nodes, drain_seconds, vcpu_hours }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::demand::Demand;
    use crate::scale::policy::Policy;
    use crate::scale::scaler::{Memory, decide};

    #[test]
    fn the_textbooks_case_is_2500_cores_and_313_nodes() {
        let answer = answer(&TEXTBOOK);
        assert_eq!((answer.burst_encode_hours, answer.burst_slots), (1250.0, 2500.0));
        assert_eq!((answer.nodes, answer.burst_vcpu_hours), (313, 1252.0));
        assert!((1797.0..=1800.0).contains(&answer.burst_seconds), "{answer:?}");
    }

    #[test]
    fn the_readings_of_the_textbook_do_not_agree_and_each_has_its_price() {
        let readings = textbook();
        let nodes: Vec<u32> = readings.iter().map(|reading| reading.nodes).collect();
        assert_eq!(nodes, [313, 625, 42, 42]);
        let hours: Vec<f64> = readings.iter().map(|reading| reading.vcpu_hours).collect();
        assert_eq!(
            hours.iter().map(|h| h.round()).collect::<Vec<_>>(),
            [1252.0, 2500.0, 1250.0, 2500.0]
        );
        let drains: Vec<f64> = readings.iter().map(|r| (r.drain_seconds / 60.0).round()).collect();
        assert_eq!(drains, [30.0, 30.0, 223.0, 446.0]);
    }

    #[test]
    fn a_stream_is_met_below_its_share_and_adds_to_a_burst() {
        let stream =
            Question { burst_uploads: 0.0, uploads_per_hour: 80.0, utilisation: 0.8, ..TEXTBOOK };
        let alone = answer(&stream);
        assert_eq!((alone.steady_encode_hours, alone.steady_slots.round()), (200.0, 250.0));
        assert_eq!((alone.nodes, alone.burst_vcpu_hours, alone.burst_seconds), (32, 0.0, 0.0));
        assert_eq!(alone.steady_vcpu_hours, 256.0);
        let both = answer(&Question { burst_uploads: 500.0, ..stream });
        assert_eq!(both.nodes, 344);
        assert!(both.burst_seconds < 1800.0);
    }

    #[test]
    fn the_scaler_wants_as_many_nodes() {
        for (uploads, hourly, speed, slots) in [(500.0, 0.0, 1.0, 8), (20.0, 40.0, 0.6, 3)] {
            let question = Question {
                burst_uploads: uploads,
                uploads_per_hour: hourly,
                speed,
                node_slots: slots,
                ..TEXTBOOK
            };
            let policy = Policy {
                nodes_min: 0,
                nodes_max: 1000,
                target_drain_seconds: question.drain_seconds,
                hysteresis: 0.1,
                stable_seconds: 300.0,
                cooldown_seconds: 300.0,
                above: Vec::new(),
                below: Vec::new(),
            };
            let demand = Demand {
                now_seconds: 0.0,
                lag_tasks: 0,
                unfinished_tasks: 1_000_000,
                backlog_seconds: uploads * question.upload_encode_seconds,
                arrivals_per_second: hourly * question.upload_encode_seconds / HOUR,
                oldest_seconds: 0.0,
                speed,
                busy_slots: 0,
                slots_per_node: slots,
            };
            let (wanted, _) = decide(&policy, &demand, Memory::new(0.0, 0));
            assert_eq!(wanted.nodes, answer(&question).nodes);
        }
    }
}
