"""Writes the dashboards as JSON beside this folder: `python3 dashboards/grafana/source`. With --check it only compares, and fails on a difference."""

import json
import pathlib
import sys

import cost
import letters
import nodes
import pipeline
import queues
import traffic

FOLDER = pathlib.Path(__file__).resolve().parent.parent
DASHBOARDS = {
    "pipeline": pipeline.DASHBOARD,
    "queues": queues.DASHBOARD,
    "nodes": nodes.DASHBOARD,
    "dead-letters": letters.DASHBOARD,
    "traffic": traffic.DASHBOARD,
    "cost": cost.DASHBOARD,
}


def main():
    texts = {FOLDER / f"{name}.json": json.dumps(board, indent=2) + "\n" for name, board in DASHBOARDS.items()}
    if "--check" not in sys.argv[1:]:
        for path, text in texts.items():
            path.write_text(text)
        return
    stale = [path.name for path, text in texts.items() if not path.exists() or path.read_text() != text]
    stale += [path.name for path in FOLDER.glob("*.json") if path not in texts]
    if stale:
        sys.exit(f"not as the sources say: {', '.join(sorted(stale))}: run python3 dashboards/grafana/source")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
