"""Cost: CPU and storage of completed videos, at the prices of the settings."""

from grafana import CLUSTER, NODE, dashboard, graph, leader, or_zero, query, rate, row, stat

HOUR = "3600 *"
VCPU_HOUR = leader("jetreel_price", "currency", f'{CLUSTER}, of="vcpu-hour"')


DASHBOARD = dashboard(
    "cost",
    "Cost",
    "CPU and bytes of completed videos. Money needs the prices of the section [cost] in the settings; without them it is 0.",
    row(
        "CPU",
        graph("CPU by part", "vCPU-hours in an hour whose results are in completed videos, by tier or other part.", "short",
              query(or_zero(rate("jetreel_order_cpu_seconds_total", "part")), "{{part}}"), stack=True),
        graph("CPU that counts", "Share of the CPU time of codecs that is in completed videos. The rest is open work, and work done twice.",
              "percentunit",
              query(f"clamp_max(sum(increase(jetreel_order_cpu_seconds_total{{{NODE}}}[$__range])) / "
                    f"sum(increase(jetreel_codec_cpu_seconds_total{{{NODE}}}[$__range])), 1) >= 0 or on () vector(0)", "counts")),
        graph("Cost of CPU", "Money in an hour, in the currency of the settings.", "none",
              query(or_zero(f"{VCPU_HOUR} * on () group_left () {rate('jetreel_order_cpu_seconds_total')}"), "{{currency}}")),
    ),
    row(
        "Storage",
        graph("Bytes stored by part", "Bytes that completed videos have stored, in a second. Deleted ones are not taken off.", "Bps",
              query(or_zero(rate("jetreel_order_stored_bytes_total", "part")), "{{part}}"), stack=True),
        graph("Cost of a month of the new bytes", "Money for a month, of what is stored in an hour.", "none",
              query(or_zero(leader("jetreel_price", "currency", f'{CLUSTER}, of="stored-gb-month"')
                            + f" * on () group_left () {HOUR} {rate('jetreel_order_stored_bytes_total')} / 1e9"), "{{currency}}")),
        graph("Orphans in the store", "Objects that no video names. The second walk, a day later, deletes them.", "short",
              query(f"sum(jetreel_orphan_objects{{{CLUSTER}}})", "orphans")),
        graph("Orphans deleted", "Objects deleted from the store, in a second.", "cps", query(rate("jetreel_orphan_objects_deleted_total"), "objects")),
        graph("Bytes of orphans deleted", "Bytes deleted from the store, in a second.", "Bps",
              query(rate("jetreel_orphan_object_bytes_deleted_total"), "bytes")),
        graph("Unreadable folders", "Folders that the last walk through the store could not read.", "short",
              query(f"sum(jetreel_unreadable_folders{{{CLUSTER}}})", "folders")),
    ),
    row(
        "Prices",
        stat("Prices", "Of a vCPU-hour, a GB-month stored, a GB sent, as the nodes have them.", "none",
             query(or_zero(leader("jetreel_price", "of, currency")), "{{of}} {{currency}}"), width=12),
    ),
)
