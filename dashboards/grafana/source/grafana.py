"""What the dashboards are made of: queries, panels, rows, and the JSON that Grafana reads.

A dashboard is a list of rows, a row a title and panels; places and ids follow from the order. Queries may use $__rate_interval and the
variables of `VARIABLES`; a dashboard has the variables that its queries use.
"""

WIDTH = 24
HEIGHT = {"timeseries": 8, "stat": 4}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Selectors. The state of the cluster is exported by the leader alone, whichever node that is; counters come from every node.
CLUSTER = 'job=~"$job"'
NODE = 'job=~"$job", instance=~"$instance"'
QUEUE = 'job=~"$job", lane=~"$lane", group=~"$group"'


def _label_variable(name, label, query, description):
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Stages without lanes have the empty label, which a list of all values would leave out.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


VARIABLES = {
    "datasource": {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
    "job": _label_variable("job", "Job", "label_values(jetreel_breaker_open, job)", "Job of the nodes in Prometheus"),
    "instance": _label_variable(
        "instance", "Node", 'label_values(jetreel_breaker_open{job=~"$job"}, instance)', "Nodes as Prometheus names them"
    ),
    "lane": _label_variable("lane", "Lane", 'label_values(jetreel_lag{job=~"$job"}, lane)', "Lanes of the queues"),
    "group": _label_variable("group", "Group", 'label_values(jetreel_lag{job=~"$job"}, group)', "Groups of tasks"),
}


def leader(metric, by="", where=CLUSTER):
    """The newest value that the leader exports. While it changes, two nodes may export one: it counts once."""
    return f"max by ({by}) ({metric}{{{where}}})" if by else f"max({metric}{{{where}}})"


def rate(counter, by="", where=NODE):
    """Growth of a counter in a second."""
    inner = f"rate({counter}{{{where}}}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(share, histogram, by="", where=NODE):
    """A quantile of a histogram."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{{{where}}}[$__rate_interval])))"


def or_zero(expr):
    """0 where there is no series: what has not happened yet has none."""
    return f"{expr} or on () vector(0)"


def query(expr, legend):
    return {"expr": expr, "legendFormat": legend}


def graph(title, description, unit, *queries, width=8, stack=False):
    """A panel with lines over time."""
    panel = _panel("timeseries", title, description, unit, queries, width)
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if stack else 0, "showPoints": "never", "spanNulls": False}
    if stack:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    panel["fieldConfig"]["defaults"].update({"custom": custom, "min": 0})
    panel["options"] = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def stat(title, description, unit, *queries, red_above=None, width=4):
    """A panel with the present number, red above a limit."""
    panel = _panel("stat", title, description, unit, queries, width)
    steps = [{"color": "green", "value": None}]
    if red_above is not None:
        steps.append({"color": "red", "value": red_above})
    panel["fieldConfig"]["defaults"]["thresholds"] = {"mode": "absolute", "steps": steps}
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value" if red_above is None else "background",
        "graphMode": "area",
        "textMode": "auto",
    }
    return panel


def _panel(kind, title, description, unit, queries, width):
    targets = [
        {"refId": chr(ord("A") + at), "datasource": SOURCE, "editorMode": "code", "range": True, **asked}
        for at, asked in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "gridPos": {"h": HEIGHT[kind], "w": width},
        "targets": targets,
    }


def row(title, *panels, collapsed=False):
    return {"title": title, "panels": list(panels), "collapsed": collapsed}


def dashboard(uid, title, description, *rows):
    """The JSON of a dashboard."""
    panels = list(_placed(rows))
    return {
        "uid": f"jetreel-{uid}",
        "title": f"Jetreel / {title}",
        "description": description,
        "tags": ["jetreel"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": _variables(panels)},
        "annotations": {"list": [_firing()]},
        "links": [_other_dashboards()],
        "panels": panels,
    }


def _placed(rows):
    """Rows and their panels with ids and places, from left to right and from top to bottom."""
    number, top = 0, 0
    for given in rows:
        number += 1
        placed = {
            "id": number,
            "type": "row",
            "title": given["title"],
            "collapsed": given["collapsed"],
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top},
            "panels": [],
        }
        top += 1
        left, height, inside = 0, 0, []
        for panel in given["panels"]:
            size = panel["gridPos"]
            if left + size["w"] > WIDTH:
                left, top, height = 0, top + height, 0
            number += 1
            inside.append({"id": number, **panel, "gridPos": {**size, "x": left, "y": top}})
            left, height = left + size["w"], max(height, size["h"])
        top += height
        # Grafana keeps the panels of a collapsed row in it, and those of an open one beside it.
        if given["collapsed"]:
            placed["panels"] = inside
            yield placed
        else:
            yield placed
            yield from inside


def _variables(panels):
    text = str(panels)
    return [variable for name, variable in VARIABLES.items() if name == "datasource" or f'"${name}"' in text]


def _firing():
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Jetreel.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{instance}}",
    }


def _other_dashboards():
    return {
        "title": "Jetreel",
        "type": "dashboards",
        "tags": ["jetreel"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "icon": "external link",
        "url": "",
        "tooltip": "",
        "targetBlank": False,
    }
