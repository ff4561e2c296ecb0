//! Cases of the load.

use super::*;

fn queue(stage: Reader, tasks: Option<(Lane, Group)>, lag: u64) -> QueueLoad {
    QueueLoad {
        stage,
        lane: tasks.map(|(lane, _)| lane),
        group: tasks.map(|(_, group)| group),
        stream: "S".to_owned(),
        consumer: "c".to_owned(),
        pending: lag,
        ack_pending: 0,
        lag,
        redelivered: 0,
        oldest_seconds: None,
        paused_until: None,
    }
}

fn node(name: &str, slots: usize, busy: usize) -> NodeLoad {
    let presence = Presence { node: name.to_owned(), slots, busy, ..Presence::default() };
    NodeLoad::of(&presence, 3)
}

fn load(queues: Vec<QueueLoad>, nodes: Vec<NodeLoad>) -> Load {
    let queues = Queues { at: 1000, queues, orphans: BTreeMap::new() };
    let mut load = Load::of(queues, &Backlog::default(), nodes, Room::default());
    for work in load.backlog.iter_mut().filter(|work| work.lane != Lane::High) {
        (work.tasks, work.seconds) = (10, 100.0);
    }
    load
}

#[test]
fn slots_add_up_and_no_report_counts_without_end() {
    let load = load(Vec::new(), vec![node("b", 8, 20), node("a", usize::MAX, 0)]);
    assert_eq!((load.slots, load.slots_busy), (8 + 4096, 8));
    assert_eq!(load.nodes[0].name, "a");
    assert_eq!(load.drain_seconds, Some(0.0));
}

#[test]
fn without_a_slot_nothing_drains() {
    assert_eq!(load(Vec::new(), Vec::new()).drain_seconds, None);
}

#[test]
fn the_scaler_learns_of_tasks_and_not_of_what_is_paused() {
    let encode = Reader::Stage(Stage::Encode);
    let main = queue(encode, Some((Lane::Normal, Group::Main)), 7);
    let mut low = queue(encode, Some((Lane::Low, Group::Main)), 5);
    let ingest = queue(Reader::Stage(Stage::Ingest), None, 100);
    let all = vec![ingest.clone(), main.clone(), low.clone()];
    let aged = |mut load: Load| {
        load.oldest_order_seconds = [(Lane::Normal, 60), (Lane::Low, 900)].into();
        load
    };
    let demand = aged(load(all, vec![node("a", 4, 3), node("b", 2, 2)])).demand(12.0, 0.5);
    assert_eq!(demand.oldest_seconds, 900.0);
    assert_eq!((demand.lag_tasks, demand.unfinished_tasks), (12, 120));
    assert_eq!((demand.backlog_seconds, demand.arrivals_per_second), (1200.0, 0.5));
    assert_eq!((demand.busy_slots, demand.slots_per_node), (5, 4));
    let mut closed = aged(load(vec![ingest.clone(), main.clone(), low.clone()], Vec::new()));
    closed.closed = [TaskQueue::new(Lane::Low, Group::Main)].into();
    assert_eq!(
        (closed.demand(12.0, 0.0).lag_tasks, closed.demand(12.0, 0.0).oldest_seconds),
        (7, 60.0)
    );
    low.paused_until = Some(2000);
    let demand = aged(load(vec![ingest, main, low], Vec::new())).demand(12.0, 0.0);
    assert_eq!(demand.oldest_seconds, 60.0);
    assert_eq!((demand.lag_tasks, demand.unfinished_tasks), (7, 110));
    assert_eq!((demand.backlog_seconds, demand.now_seconds), (1100.0, 12.0));
}

#[test]
fn the_document_says_what_it_counts() {
    let queues = vec![queue(Reader::Ledger, None, 2)];
    let json = serde_json::to_value(load(queues, vec![node("a", 4, 3)])).unwrap();
    let line = &json["queues"][0];
    assert_eq!((line["stage"].as_str(), line["lag"].as_u64()), (Some("ledger"), Some(2)));
    assert!(line["lane"].is_null() && line["paused_until"].is_null());
    assert_eq!(json["videos_waiting"]["high"], 0);
    assert_eq!((json["slots"].as_u64(), json["slots_busy"].as_u64()), (Some(4), Some(3)));
    assert_eq!(json["backlog"].as_array().map(Vec::len), Some(18));
}
