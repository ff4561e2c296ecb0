//! One frame of `jetreel top`, as text.

use comfy_table::{Table, presets};
use jetreel_domain::scale::load::{Load, QueueLoad};

use crate::cli::{queues, spell};
use crate::http::rfc3339;

/// Characters of the bar of busy slots.
const BAR: u64 = 30;

/// Numbers that concern all queues, queues that are not empty, and nodes.
pub(super) fn text(load: &Load) -> String {
    let has_work = |queue: &QueueLoad| {
        let backlog = load.backlog_of(&queue.queue()).is_some_and(|seconds| seconds > 0.0);
        queue.lag > 0 || backlog || queue.paused_until.is_some()
    };
    let empty = load.queues.iter().filter(|queue| !has_work(queue)).count();
    let head = format!("{}  {}", rfc3339(load.at), bar(load.slots_busy, load.slots));
    let queues = queues::table(load, has_work);
    let summary = queues::summary(load);
    format!("{head}\n\n{summary}\n\n{queues}\n({empty} queues are empty)\n\n{}", nodes(load))
}

/// Busy slots as a bar: `[######----]`.
fn bar(busy: u64, slots: u64) -> String {
    let filled = (busy.min(slots) * BAR).div_ceil(slots.max(1));
    let (filled, free) = (filled as usize, (BAR - filled) as usize);
    format!("[{}{}]", "#".repeat(filled), "-".repeat(free))
}

fn nodes(load: &Load) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["node", "slots", "busy", "heard", "roles"]);
    for node in &load.nodes {
        table.add_row([
            node.name.clone(),
            node.slots.to_string(),
            node.busy.to_string(),
            format!("{} ago", spell::duration(node.heard_seconds as f64)),
            node.roles.join(" "),
        ]);
    }
    queues::lines(&table)
}

#[cfg(test)]
mod tests {
    use jetreel_domain::delivery::room::Room;
    use jetreel_domain::delivery::stage::Stage;
    use jetreel_domain::scale::backlog::Backlog;
    use jetreel_domain::scale::load::{NodeLoad, Queues};
    use jetreel_domain::scale::queue::Reader;

    use super::*;

    #[test]
    fn a_bar_is_full_exactly_when_every_slot_is_busy() {
        assert_eq!(bar(0, 8), format!("[{}]", "-".repeat(30)));
        assert_eq!(bar(8, 8), format!("[{}]", "#".repeat(30)));
        assert_eq!(bar(0, 0).len(), 32);
        assert!(bar(1, 1000).starts_with("[#-"));
    }

    #[test]
    fn a_frame_shows_what_has_work_and_counts_the_rest() {
        let queue = |stage, lag| QueueLoad {
            stage: Reader::Stage(stage),
            lane: None,
            group: None,
            stream: String::new(),
            consumer: String::new(),
            pending: lag,
            ack_pending: 0,
            lag,
            redelivered: 0,
            oldest_seconds: Some(75.0),
            paused_until: None,
        };
        let queues = vec![queue(Stage::Ingest, 7), queue(Stage::Publish, 0)];
        let queues = Queues { at: 0, queues, orphans: [("encode", 2)].into() };
        let node = NodeLoad {
            name: "one".to_owned(),
            roles: vec!["encode".to_owned()],
            slots: 4,
            busy: 3,
            heard_seconds: 12,
        };
        let room = Room { letters: 1, bytes: 1 << 20, limit: None };
        let load = Load::of(queues, &Backlog::default(), vec![node], room);
        let frame = text(&load);
        for part in [
            "1970-01-01T00:00:00Z",
            "3 of 4 busy on 1 node",
            "nothing to encode",
            "1 min 15 s",
            "(1 queues are empty)",
            "12.0 s ago",
            "dead letters   1 (1 MiB)",
            "orphans        2",
        ] {
            assert!(frame.contains(part), "{part} is not in\n{frame}");
        }
        assert!(frame.contains("ingest") && !frame.contains("publish"), "{frame}");
    }
}
