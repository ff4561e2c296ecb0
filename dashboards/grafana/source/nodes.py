"""Nodes and codecs: what each node does, how fast it is, and what keeps it from working."""

from grafana import NODE, dashboard, graph, or_zero, quantile, query, rate, row


def _each(metric):
    return f"max by (instance) ({metric}{{{NODE}}})"


DASHBOARD = dashboard(
    "nodes",
    "Nodes and codecs",
    "Each node: its slots, its codec processes, and what keeps it from working.",
    row(
        "Work",
        graph("Busy slots by node", "Slots that are encoding.", "short",
              query(f"sum by (instance) (jetreel_slots_busy{{{NODE}}})", "{{instance}}"), stack=True),
        graph("Busy slots by group", "Slots that are encoding, by group of their tasks.", "short",
              query(f"sum by (group) (jetreel_slots_busy{{{NODE}}})", "{{group}}"), stack=True),
        graph("Open slots by node", "Slots that may take tasks.", "short", query(_each("jetreel_slots_open"), "{{instance}}"), stack=True),
        graph("CPU of codecs by node", "Cores that the codec processes of finished tasks have used.", "short",
              query(rate("jetreel_codec_cpu_seconds_total", "instance"), "{{instance}}"), stack=True),
        graph("CPU of codecs by group", "Cores that the codec processes of finished tasks have used.", "short",
              query(rate("jetreel_codec_cpu_seconds_total", "group"), "{{group}}"), stack=True),
        graph("Realtime factor, median", "Media seconds that a task makes in a second, by tier.", "short",
              query(quantile(0.5, "jetreel_realtime_factor", "tier"), "{{tier}}")),
        graph("Time of a task, 95 %", "Wall time from the claim to the ledger entry, by group.", "s",
              query(quantile(0.95, "jetreel_task_duration_seconds", "group"), "{{group}}")),
        graph("Time of a task, mean", "Wall time from the claim to the ledger entry, by node. A slow node stands out.", "s",
              query(f"{rate('jetreel_task_duration_seconds_sum', 'instance')} / {rate('jetreel_task_duration_seconds_count', 'instance')}",
                    "{{instance}}")),
    ),
    row(
        "What keeps them from working",
        graph("Breaker open", "1 while the node takes no work because broker, store or codec fail.", "short",
              query(_each("jetreel_breaker_open"), "{{instance}}")),
        graph("Breaker opened", "Openings in a second, by reason.", "cps",
              query(or_zero(rate("jetreel_breaker_opened_total", "instance, reason")), "{{instance}} {{reason}}")),
        graph("Leases not renewed", "Failed renewals of the leases of tasks, in a second.", "cps",
              query(or_zero(rate("jetreel_renew_failures_total", "instance, group")), "{{instance}} {{group}}")),
        graph("Claims lost", "Attempts that another worker took over, in a second, by stage.", "cps",
              query(or_zero(rate("jetreel_claims_lost_total", "instance, stage")), "{{instance}} {{stage}}")),
        graph("Confinement of codecs", "1 for the confinement that the codec processes of a node have: FULL is the strongest.", "short",
              query(f"max by (instance, tier) (jetreel_codec_confinement{{{NODE}}})", "{{instance}} {{tier}}")),
        graph("Broker syncs every write", "1 where it does. Without nats.monitor it is not known, and 0 is shown.", "short",
              query(or_zero(_each("jetreel_js_sync_always")), "{{instance}}")),
    ),
    row(
        "Process of the node",
        graph("CPU of the node", "Cores that the node itself uses, without its codecs.", "short",
              query(rate("process_cpu_seconds_total", "instance"), "{{instance}}")),
        graph("Memory", "Resident memory of the node itself.", "bytes", query(_each("process_resident_memory_bytes"), "{{instance}}")),
        graph("Address space", "Virtual memory of the node itself.", "bytes", query(_each("process_virtual_memory_bytes"), "{{instance}}")),
        graph("Open files", "Share of the limit of open files.", "percentunit",
              query(f"{_each('process_open_fds')} / {_each('process_max_fds')}", "{{instance}}")),
        graph("Threads", "Threads of the node itself.", "short", query(_each("process_threads"), "{{instance}}")),
        graph("Time since its start", "A saw blade is a node that restarts.", "s",
              query(f"time() - {_each('process_start_time_seconds')}", "{{instance}}")),
    ),
)
