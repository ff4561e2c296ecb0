#!/usr/bin/env python3
"""How work spreads over nodes: real nodes whose codec takes as long as the real one did.

  film      a two-hour film with 1, 2, 4 and 8 nodes, the codec --speed times as fast as recorded
  shorts    200 short videos with 1, 2, 4 and 8 nodes, the same
  overload  uploads at twice the capacity for five minutes, at the recorded times

The recorded times are those of tests/fixtures/noop_codec/service_times.tsv: a thread a task, the default ladder of a 1080p source.
"""

import argparse
import json
import os
import pathlib
import time

import cluster
import loads
import overload
import tasklog
import usage

ROOT = cluster.ROOT
PATIENCE = 3600
FILM = loads.Recording(7200, width=1920, height=1080)
SHORT = loads.Recording(30, width=1920, height=1080)


def main():
    args = parsed()
    report = {"cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d"), "load_before": os.getloadavg()[0],
              "slots": args.slots, "speed": args.speed}
    usage.warn_if_busy()
    for name, recording, jobs in (("film", args.film, 1), ("shorts", SHORT, args.shorts)):
        if not args.only or name in args.only:
            report[name] = [spread(args, recording, jobs, nodes) for nodes in args.nodes]
            print(table(name, report[name]), flush=True)
    if not args.only or "overload" in args.only:
        with started(args, args.overload_nodes, args.overload_speed) as (brokers, nodes):
            report["overload"] = overload.measured(args, SHORT, brokers, nodes)
        print(overload.told(report["overload"]), flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/jetreel")
    parser.add_argument("--codec", type=pathlib.Path, default=ROOT / "target/release/examples/noop_codec")
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/tmp"), help="where servers and nodes keep their data")
    parser.add_argument("--nodes", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2, 4, 8])
    parser.add_argument("--slots", type=int, default=4, help="slots of a node")
    parser.add_argument("--speed", type=int, default=10, help="how many times as fast as recorded the codec is")
    parser.add_argument("--shorts", type=int, default=200)
    parser.add_argument("--overload-nodes", type=int, default=4)
    parser.add_argument("--overload-speed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=300, help="how long uploads come at twice the capacity")
    parser.add_argument("--only", action="append", choices=["film", "shorts", "overload"])
    parser.add_argument("--smoke", action="store_true", help="all in seconds: whether everything is completed")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    args.film = FILM
    if args.smoke:
        args.nodes, args.speed, args.shorts = [1, 2], 50, 4
        args.seconds, args.overload_nodes, args.overload_speed = 3.0, 1, 50
        args.film = loads.Recording(240, width=1920, height=1080)
    return args


class started:
    """Brokers and nodes, which are stopped at the end."""

    def __init__(self, args, count, speed):
        self.args, self.count, self.speed, self.nodes = args, count, speed, []

    def __enter__(self):
        args = self.args
        self.place = cluster.folder_for(args.folder, "scale")
        folder = self.place.__enter__()
        try:
            # The codec takes its speed from its name.
            codec = folder / f"noop_codec-x{self.speed}"
            codec.symlink_to(args.codec.resolve())
            self.brokers = cluster.Brokers(folder)
            settings = {"node.slots": args.slots, "node.task-threads": 1, "log.format": "json"}
            self.nodes = [cluster.Node(folder, self.brokers, args.binary.resolve(), codec, f"node-{index}", **settings)
                          for index in range(self.count)]
            self.nodes[0].declare()
            for node in self.nodes:
                node.start()
            return self.brokers, self.nodes
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *_):
        for node in self.nodes:
            if hasattr(node, "process"):
                node.stop()
        if hasattr(self, "brokers"):
            self.brokers.stop()
        self.place.__exit__(None, None, None)


def spread(args, recording, jobs, count):
    """A load on a number of nodes, from the first upload to the last completed job."""
    with started(args, count, args.speed) as (brokers, nodes):
        watcher = loads.Watcher(brokers.ports[0])
        begun, wall = time.monotonic(), time.time()
        loads.upload_all([node.port for node in nodes], recording.file(), jobs)
        seconds = watcher.completed(jobs, PATIENCE) - begun
        tasks = [task for node in nodes for task in tasklog.finished(node.log.read_text(errors="replace"))]
        watcher.close()
    pictures = [task.at - wall for task in tasks if task.group in ("first", "main", "top")]
    work = sum(task.seconds for task in tasks)
    playable = max(watcher.facts["playable"].values()) - begun
    figures = {"nodes": count, "slots": count * args.slots, "tasks": len(tasks), "seconds": round(seconds, 2),
               "last_playable": round(playable, 2), "after_pictures": round(seconds - max(pictures), 2),
               "slots_busy": round(work / seconds / count / args.slots, 3), "task_seconds": round(work / len(tasks), 3)}
    print(f"{jobs} x {recording.seconds} s on {count} nodes: {json.dumps(figures)}", flush=True)
    return figures


def table(name, rows):
    """Speed-up and efficiency against the fewest nodes."""
    base = rows[0]
    lines = ["", f"{name}: {'nodes':>6} {'slots':>6} {'seconds':>9} {'speed-up':>9} {'efficiency':>11} {'slots busy':>11} "
                 f"{'s a task':>9} {'after the last picture task':>28}"]
    pad = " " * (len(name) + 1)
    for row in rows:
        speedup = base["seconds"] / row["seconds"]
        efficiency = speedup * base["nodes"] / row["nodes"]
        lines.append(f"{pad} {row['nodes']:>6} {row['slots']:>6} {row['seconds']:>9.1f} {speedup:>9.2f} {efficiency:>11.2f} "
                     f"{row['slots_busy']:>11.0%} {row['task_seconds']:>9.2f} {row['after_pictures']:>27.1f}s")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
