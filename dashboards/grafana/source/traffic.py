"""Uploads and playback: what clients of the gateway notice."""

from grafana import CLUSTER, NODE, dashboard, graph, or_zero, quantile, query, rate, row, stat

PLAYBACK = f'{NODE}, route=~"/v/.*"'


def _late(window):
    return query(f"jetreel:upload_confirmation_late:ratio_rate{window} >= 0 or on () vector(0)", window)


DASHBOARD = dashboard(
    "traffic",
    "Uploads and playback",
    "The HTTP interface: uploads, their confirmation, playback, connections.",
    row(
        "Objective: 99 % of uploads are confirmed within 2 s",
        stat("Late in the last six hours", "Share of uploads that were confirmed after 2 s, or answered with 5xx.", "percentunit",
             _late("6h"), red_above=0.01, width=6),
        graph("Late confirmations", "The same over windows. Above 14.4 % in 1 h and 5 m, or 6 % in 6 h and 30 m, raises an alert.", "percentunit",
              _late("5m"), _late("30m"), _late("1h"), width=18),
    ),
    row(
        "Uploads",
        graph("Uploads confirmed", "Confirmed uploads in a second.", "cps", query(rate("jetreel_upload_confirmation_seconds_count"), "uploads")),
        graph("Confirmation time, mean", "Time from the last byte of an upload to its confirmation, by node.", "s",
              query(f"{rate('jetreel_upload_confirmation_seconds_sum', 'instance')} / "
                    f"{rate('jetreel_upload_confirmation_seconds_count', 'instance')}", "{{instance}}")),
        graph("Bytes by node", "Bytes of accepted uploads in a second.", "Bps", query(rate("jetreel_upload_bytes_total", "instance"), "{{instance}}")),
    ),
    row(
        "Requests",
        graph("Requests by route", "Answered requests in a second.", "reqps", query(rate("jetreel_http_requests_total", "route"), "{{route}}")),
        graph("Requests by method and status", "Answered requests in a second.", "reqps",
              query(rate("jetreel_http_requests_total", "method, status"), "{{method}} {{status}}")),
        graph("Errors of the server", "Share of requests that were answered with 5xx.", "percentunit",
              query(f"({or_zero(rate('jetreel_http_requests_total', where=NODE + ', status=~' + chr(34) + '5..' + chr(34)))})"
                    f" / {rate('jetreel_http_requests_total')}", "5xx")),
        graph("Time to the head of the answer, 95 %", "By route.", "s",
              query(quantile(0.95, "jetreel_http_request_duration_seconds", "route"), "{{route}}")),
    ),
    row(
        "Playback",
        graph("Playback requests", "Requests for playlists, segments and files, in a second.", "reqps",
              query(or_zero(rate("jetreel_http_requests_total", "status", PLAYBACK)), "{{status}}")),
        graph("Time to first byte of playback", "Time from the request to the head of the answer.", "s",
              query(f"{quantile(0.5, 'jetreel_http_request_duration_seconds', where=PLAYBACK)} >= 0 or on () vector(0)", "half"),
              query(f"{quantile(0.99, 'jetreel_http_request_duration_seconds', where=PLAYBACK)} >= 0 or on () vector(0)", "99 %")),
    ),
    row(
        "Connections",
        graph("Open connections", "Connections by node.", "short", query(f"max by (instance) (jetreel_http_connections{{{NODE}}})", "{{instance}}")),
        graph("Closed connections", "Connections that ended, in a second, by why.", "cps",
              query(or_zero(rate("jetreel_http_connections_closed_total", "reason")), "{{reason}}")),
        graph("Gateways that answer", "Targets of Prometheus that answer.", "short", query(f"sum(up{{{CLUSTER}}})", "nodes")),
    ),
)
