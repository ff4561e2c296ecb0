"""Draws panels of a dashboard as SVG, from the range API of a Prometheus: pictures for the documentation, without Grafana.

    python3 dashboards/draw.py --prometheus http://127.0.0.1:9090 --minutes 60 --out docs/queues.svg dashboards/grafana/queues.json

All panels are drawn, or those whose titles are given with --panel. Variables of the dashboard stand for everything.
"""

import argparse
import dataclasses
import html
import json
import math
import pathlib
import time
import urllib.parse
import urllib.request

COLUMNS = 2
WIDTH, HEIGHT = 480, 210
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 34, 54
HEAD = 40
POINTS = 240
TICKS = 4
# A legend has room for as many lines.
LINES_MAX = 6
COLOURS = ["#2563eb", "#d97706", "#dc2626", "#059669", "#7c3aed", "#0891b2"]
STYLE = """svg{background:#fff;font:12px system-ui,sans-serif}
text{fill:#333}.title{font-size:15px;font-weight:600}.panel{font-weight:600}.grid{stroke:#ddd}.line{fill:none;stroke-width:1.5}
@media(prefers-color-scheme:dark){svg{background:#111}text{fill:#ddd}.grid{stroke:#333}}"""


@dataclasses.dataclass
class Span:
    """What is drawn: seconds since 1970, and the distance of two points."""

    start: float
    end: float
    step: float


def series(prometheus, query, span, rate_window):
    """Names and points of the series of a query."""
    expr = filled(query["expr"], span, rate_window)
    asked = urllib.parse.urlencode({"query": expr, "start": span.start, "end": span.end, "step": span.step})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{asked}") as answer:
        result = json.load(answer)["data"]["result"]
    for found in result:
        points = [(at, float(value)) for at, value in found["values"]]
        points = [(at, value) for at, value in points if math.isfinite(value)]
        if points:
            yield legend(query["legendFormat"], found["metric"]), points


def filled(expr, span, rate_window):
    """The expression with values for Grafana's variables."""
    expr = expr.replace("$__rate_interval", rate_window).replace("$__range", f"{int(span.end - span.start)}s")
    for variable in ("instance", "job", "lane", "group"):
        expr = expr.replace(f"${variable}", ".*")
    return expr


def legend(template, labels):
    for label, value in labels.items():
        template = template.replace("{{" + label + "}}", value)
    return " ".join(word for word in template.split() if not word.startswith("{{")) or "0"


def round_step(most):
    """A step that gives at most TICKS ticks: 1, 2 or 5 times a power of ten."""
    raw = most / TICKS
    power = 10 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= raw)


def amount(value, unit):
    """A number with its unit, as Grafana would write it."""
    if unit == "percentunit":
        return f"{100 * value:g} %"
    if unit in ("bytes", "Bps"):
        end = "/s" if unit == "Bps" else ""
        for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if value >= size:
                return f"{value / size:g} {name}{end}"
        return f"{value:g} B{end}"
    return f"{value:.3g}" + {"s": " s", "cps": "/s", "reqps": "/s"}.get(unit, "")


def panel(prometheus, given, span, rate_window, left, top):
    """A panel as SVG."""
    unit = given["fieldConfig"]["defaults"]["unit"]
    lines = [line for query in given["targets"] for line in series(prometheus, query, span, rate_window)]
    empty = "0 throughout" if lines else "no data"
    # The largest are shown; a legend with more names would not be read.
    lines = [line for line in lines if any(value for _, value in line[1])]
    lines = sorted(lines, key=lambda line: -max(value for _, value in line[1]))[:LINES_MAX]
    most = max((value for _, points in lines for _, value in points), default=1)
    step = round_step(most)
    most = math.ceil(most / step - 1e-9) * step
    right, base = left + WIDTH - RIGHT, top + HEIGHT - BOTTOM

    def x(at):
        return left + LEFT + (at - span.start) / (span.end - span.start) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return base - value / most * (HEIGHT - TOP - BOTTOM)

    out = [f'<text class="panel" x="{left + LEFT}" y="{top + 20}">{html.escape(given["title"])}</text>']
    for tick in range(round(most / step) + 1):
        value = tick * step
        out.append(f'<line class="grid" x1="{left + LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        out.append(f'<text x="{left + LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{amount(value, unit)}</text>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        at = span.start + share * (span.end - span.start)
        out.append(f'<text x="{x(at):.1f}" y="{base + 16}" text-anchor="{anchor}">{minutes(share * (span.end - span.start))}</text>')
    at = left + LEFT
    for (name, points), colour in zip(lines, COLOURS):
        path = " ".join(f"{x(when):.1f},{y(value):.1f}" for when, value in points)
        out.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        out.append(f'<text x="{at}" y="{base + 34}" style="fill:{colour}">{html.escape(name)}</text>')
        at += 7 * len(name) + 14
    if not lines:
        out.append(f'<text x="{(left + LEFT + right) / 2}" y="{(top + base) / 2}" text-anchor="middle">{empty}</text>')
    return "\n".join(out)


def minutes(seconds):
    return f"{seconds / 60:.3g} min"


def panels(board, wanted):
    for given in board["panels"]:
        if given["type"] == "timeseries" and (not wanted or given["title"] in wanted):
            yield given


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("dashboard", type=pathlib.Path)
    arguments.add_argument("--prometheus", required=True, help="address of the server")
    arguments.add_argument("--minutes", type=float, default=60, help="time to draw, up to now")
    arguments.add_argument("--rate-window", default="1m", help="value of $__rate_interval")
    arguments.add_argument("--panel", action="append", default=[], help="title of a panel; again for more")
    arguments.add_argument("--title", help="title of the picture; else that of the dashboard")
    arguments.add_argument("--out", type=pathlib.Path, required=True)
    given = arguments.parse_args()
    board = json.loads(given.dashboard.read_text())
    end = time.time()
    span = Span(end - 60 * given.minutes, end, max(1.0, 60 * given.minutes / POINTS))
    chosen = list(panels(board, given.panel))
    width, height = COLUMNS * WIDTH, HEAD + math.ceil(len(chosen) / COLUMNS) * HEIGHT
    title = html.escape(given.title or board["title"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f"<title>{title}</title>",
        f'<text class="title" x="{LEFT}" y="26">{title}</text>',
    ]
    for at, each in enumerate(chosen):
        left, top = at % COLUMNS * WIDTH, HEAD + at // COLUMNS * HEIGHT
        parts.append(panel(given.prometheus, each, span, given.rate_window, left, top))
    given.out.write_text("\n".join([*parts, "</svg>\n"]))


if __name__ == "__main__":
    main()
