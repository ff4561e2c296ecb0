"""Queues and lag: what waits, how old it is, who reads it, and what the scaler makes of it."""

from grafana import CLUSTER, NODE, QUEUE, dashboard, graph, leader, or_zero, query, rate, row

LEADER = 'is_consumer_leader="true"'


DASHBOARD = dashboard(
    "queues",
    "Queues and lag",
    "What waits, for how long, and how many nodes it needs. Lag is measured by the leader of the role scaler, every 5 s.",
    row(
        "What waits",
        graph("Videos waiting by lane", "Open jobs without a finished tier.", "short",
              query(leader("jetreel_videos_waiting", "lane"), "{{lane}}"), width=12, stack=True),
        graph("Lag", "Messages that wait or are in hand (num_pending + num_ack_pending), by stage, lane and group.", "short",
              query(leader("jetreel_lag", "stage, lane, group", QUEUE), "{{stage}} {{lane}} {{group}}"), width=12, stack=True),
        graph("Oldest message", "Age of the oldest message that was not delivered yet; 0 without one.", "s",
              query(leader("jetreel_oldest_seconds", "stage, lane, group", QUEUE), "{{stage}} {{lane}} {{group}}"), width=12),
        graph("Backlog", "Encode seconds of all open work, released or not: time for one slot.", "s",
              query(leader("jetreel_backlog_seconds", "lane, group", QUEUE), "{{lane}} {{group}}"), width=12, stack=True),
        graph("Redelivered", "Messages in hand that were delivered before (num_redelivered).", "short",
              query(leader("jetreel_redelivered", "stage, lane, group", QUEUE), "{{stage}} {{lane}} {{group}}"), width=12),
        graph("Paused queues", "1 while an operator has paused the queue.", "short",
              query(leader("jetreel_consumer_paused", "stage, lane, group", QUEUE), "{{stage}} {{lane}} {{group}}"), width=12),
    ),
    row(
        "Who works on it",
        graph("Nodes by role", "Live nodes with this role.", "short", query(leader("jetreel_nodes", "role"), "{{role}}")),
        graph("Slots of the cluster", "Slots that encode, and slots that wait.", "short",
              query(leader("jetreel_slots", "state"), "{{state}}"), stack=True),
        graph("Pulls by answer", "Pulls from the queues of tasks, in a second. `nothing` should be rare under load.", "cps",
              query(rate("jetreel_task_pulls_total", "answer"), "{{answer}}")),
    ),
    row(
        "Scaler",
        graph("Nodes", "`needed` is the need of the moment, `wanted` what limits, hysteresis and cooldown make of it, `live` what is there.",
              "short", query(leader("jetreel_scaler_need_nodes"), "needed"), query(leader("jetreel_wanted_nodes", "job"), "wanted"),
              query(leader("jetreel_nodes", "job", f'{CLUSTER}, role="encode"'), "live"), width=12),
        graph("Slots", "Slots that have something to do, as the scaler sees it, and slots that are open.", "short",
              query(leader("jetreel_wanted_slots"), "wanted"), query(f"sum(jetreel_slots_open{{{CLUSTER}}})", "open"), width=12),
        graph("Drain time over the hours", "Time in which the present slots do all open work. The target is 30 minutes.", "s",
              query("jetreel:drain_seconds or on () vector(0)", "drain time")),
        graph("Calls of the hook", "Calls that ask for nodes, in a second, by result.", "cps",
              query(or_zero(rate("jetreel_scaler_hook_calls_total", "result")), "{{result}}")),
        graph("Local nodes", "Nodes that the scaler has started on its machine, by state.", "short",
              query(or_zero(f"sum by (state) (jetreel_scaler_local_nodes{{{NODE}}})"), "{{state}}")),
        graph("Leader", "1 on the node that reads the lag. There must be one.", "short",
              query(f"max by (instance) (jetreel_lag_leader{{{NODE}}})", "{{instance}}")),
        graph("Age of the reading", "Time since the leader has read the queues. It reads every 5 s.", "s",
              query(f"time() - {leader('jetreel_lag_read_timestamp_seconds')}", "age")),
    ),
    row(
        "NATS server (needs prometheus-nats-exporter -jsz=all)",
        graph("Pending by consumer", "num_pending of Jetreel's consumers, from their leaders. Without the exporter this is empty.", "short",
              query(f"sum by (stream_name, consumer_name) (jetstream_consumer_num_pending{{{LEADER}}})", "{{stream_name}} {{consumer_name}}")),
        graph("In hand by consumer", "num_ack_pending, from the leaders of the consumers.", "short",
              query(f"sum by (stream_name, consumer_name) (jetstream_consumer_num_ack_pending{{{LEADER}}})", "{{stream_name}} {{consumer_name}}")),
        graph("Waiting pulls by consumer", "Pull requests that wait for a message (num_waiting).", "short",
              query(f"sum by (stream_name, consumer_name) (jetstream_consumer_num_waiting{{{LEADER}}})", "{{stream_name}} {{consumer_name}}")),
        graph("Bytes by stream", "Stored bytes of a stream, from its leader.", "bytes",
              query('sum by (stream_name) (jetstream_stream_total_bytes{is_stream_leader="true"})', "{{stream_name}}")),
        graph("Storage used", "Share of max_file_store in use. Above 85 % raises an alert.", "percentunit",
              query("max by (server_name) (jetstream_server_total_message_bytes) / max by (server_name) (jetstream_server_max_storage)",
                    "{{server_name}}")),
        collapsed=True,
    ),
)
