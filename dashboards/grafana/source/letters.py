"""Dead letters: what failed for good, why, and what became of it."""

from grafana import dashboard, graph, leader, or_zero, query, rate, row


DASHBOARD = dashboard(
    "dead-letters",
    "Dead letters",
    "What failed for good and why. `jetreel dlq ls` lists the letters.",
    row(
        "The stream",
        graph("Letters", "Letters in the stream.", "short", query(leader("jetreel_dlq_depth", "job"), "letters")),
        graph("Room", "Share of the stream's limit in use. When it is full, nothing more is buried.", "percentunit",
              query(f"{leader('jetreel_dlq_bytes')} / {leader('jetreel_dlq_limit_bytes')}", "used")),
        graph("Replays", "Letters that were replayed, in a second, by stage.", "cps",
              query(or_zero(rate("jetreel_replays_total", "stage")), "{{stage}}")),
        graph("Buried by reason", "Messages that were buried, in a second.", "cps",
              query(or_zero(rate("jetreel_dead_letters_total", "reason")), "{{reason}}")),
        graph("Buried by stage", "Messages that were buried, in a second.", "cps",
              query(or_zero(rate("jetreel_dead_letters_total", "stage")), "{{stage}}")),
        graph("Buried by node", "Messages that were buried, in a second. One node alone: it is at fault, not the videos.", "cps",
              query(or_zero(rate("jetreel_dead_letters_total", "instance")), "{{instance}}")),
    ),
    row(
        "Before and beside",
        graph("Failed attempts by outcome", "Failed attempts in a second: tried again, or dead.", "cps",
              query(or_zero(rate("jetreel_attempts_failed_total", "stage, next")), "{{stage}} {{next}}")),
        graph("Failed burials", "Burials that failed, in a second: the stream cannot be written.", "cps",
              query(or_zero(rate("jetreel_unburied_total", "stage, reason")), "{{stage}} {{reason}}")),
        graph("Calls of the dead-letter hook", "Calls in a second, by result: `taken`, or why not.", "cps",
              query(or_zero(rate("jetreel_hook_calls_total", "result")), "{{result}}")),
        graph("Orphans", "Messages that the broker gave up, in a second, by what became of them.", "cps",
              query(or_zero(rate("jetreel_orphans_total", "stream, end")), "{{stream}} {{end}}")),
        graph("Orphans in queues", "Messages of a work queue that no consumer accounts for. The sweeper handles them within minutes.", "short",
              query(leader("jetreel_queue_orphans", "stage"), "{{stage}}")),
        graph("Undeliverable", "Messages that were removed because no node can receive them, in a second.", "cps",
              query(or_zero(rate("jetreel_undeliverable_total", "stream")), "{{stream}}")),
    ),
)
