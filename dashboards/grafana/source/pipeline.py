"""The pipeline: one row a stage, from the upload to the published video."""

from grafana import CLUSTER, NODE, dashboard, graph, leader, or_zero, quantile, query, rate, row, stat


def _attempts(stage):
    where = f'{NODE}, stage="{stage}"'
    return graph(
        f"Failed attempts: {stage}",
        "Failed attempts in a second, by reason. `again` goes back to its queue, `dead` becomes a dead letter.",
        "cps",
        query(or_zero(rate("jetreel_attempts_failed_total", "reason, next", where)), "{{reason}} {{next}}"),
    )


def _lag(stage, description):
    return graph(
        f"Lag: {stage}",
        description,
        "short",
        query(leader("jetreel_lag", "lane, group", f'{CLUSTER}, stage="{stage}"'), "{{lane}} {{group}}"),
        stack=True,
    )


DASHBOARD = dashboard(
    "pipeline",
    "Pipeline",
    "The way of a video, one row a stage.",
    row(
        "At a glance",
        stat("Videos waiting", "Open jobs without a finished tier. More than 200 raise an alert.", "short",
             query(f"sum({leader('jetreel_videos_waiting', 'lane')})", "videos"), red_above=200),
        stat("Drain time", "Time in which the present slots do all open work.", "s",
             query("jetreel:drain_seconds > 0 or on () vector(0)", "drain time"), red_above=1800),
        stat("Nodes that encode", "Live nodes with the role encode.", "short",
             query(leader("jetreel_nodes", where=f'{CLUSTER}, role="encode"'), "nodes")),
        stat("Nodes wanted", "Nodes that the scaler wants.", "short", query(leader("jetreel_wanted_nodes"), "nodes")),
        stat("Dead letters", "Letters that wait for an operator.", "short", query(leader("jetreel_dlq_depth"), "letters"), red_above=1),
        stat("Nodes that take no work", "Nodes with an open circuit breaker.", "short",
             query(f"sum(jetreel_breaker_open{{{CLUSTER}}})", "nodes"), red_above=1),
    ),
    row(
        "Upload",
        graph("Jobs by new status", "Jobs that reached a status, in a second. QUEUED: confirmed uploads.", "cps",
              query(rate("jetreel_orders_moved_total", "status"), "{{status}}")),
        graph("Bytes uploaded", "Bytes of accepted uploads in a second.", "Bps", query(rate("jetreel_upload_bytes_total"), "bytes")),
        graph("Confirmation time", "Time from the last byte of an upload to its confirmation. The objective is 2 s for 99 %.", "s",
              query(quantile(0.5, "jetreel_upload_confirmation_seconds"), "half"),
              query(quantile(0.99, "jetreel_upload_confirmation_seconds"), "99 %")),
    ),
    row(
        "Ingest",
        _lag("ingest", "Uploads that wait to be probed and planned, or are in hand."),
        graph("Tasks planned", "Tasks in new plans, in a second.", "cps", query(rate("jetreel_tasks_planned_total"), "tasks")),
        graph("Media refused", "Videos whose media was refused, in a second, by reason.", "cps",
              query(or_zero(rate("jetreel_refused_total", "reason")), "{{reason}}")),
        _attempts("ingest"),
    ),
    row(
        "Encode",
        _lag("encode", "Released tasks that wait or are in hand, by lane and group."),
        graph("Tasks released", "Tasks released to their queues, in a second.", "cps",
              query(rate("jetreel_tasks_released_total", "group"), "{{group}}"), stack=True),
        graph("Tasks started", "Attempts at tasks that were started, in a second.", "cps",
              query(rate("jetreel_tasks_started_total", "group"), "{{group}}"), stack=True),
        graph("Tasks finished", "Successful attempts in a second. The result of a `lost` one does not count: another node was first.", "cps",
              query(rate("jetreel_tasks_finished_total", "group, result"), "{{group}} {{result}}"), stack=True),
        graph("Time of a task, median", "Wall time from the claim to the ledger entry.", "s",
              query(quantile(0.5, "jetreel_task_duration_seconds", "group"), "{{group}}")),
        _attempts("encode"),
    ),
    row(
        "Publish",
        _lag("publish", "Orders that wait to be evaluated, or are in hand."),
        graph("Facts announced", "Facts published for subscribers, in a second: playable, tier, completed, failed …", "cps",
              query(rate("jetreel_facts_announced_total", "fact"), "{{fact}}")),
        _attempts("publish"),
    ),
    row(
        "Upkeep",
        graph("Repairs", "Repairs by the reconciler, in a second.", "cps",
              query(or_zero(rate("jetreel_repairs_total", "repair")), "{{repair}}")),
        graph("Faults that are tried again", "Trouble of a stage that charges no attempt, in a second.", "cps",
              query(or_zero(rate("jetreel_stage_faults_total", "stage, reason")), "{{stage}} {{reason}}")),
        graph("Compare-and-set conflicts", "Writes that met another writer, in a second, by bucket. They are repeated.", "cps",
              query(or_zero(rate("jetreel_swap_conflicts_total", "bucket")), "{{bucket}}")),
        graph("Active reconciler", "1 on the node that repairs. There must be one.", "short",
              query(f"max by (instance) (jetreel_reconciler_leads{{{NODE}}})", "{{instance}}")),
    ),
)
