#!/usr/bin/env python3
"""What a task costs besides encoding: tasks a second through the whole cycle, with a codec that encodes nothing.

Real uploads, nodes and servers: HTTP upload, probe, plan, release, pull, claim, codec process, objects, ledger, publish, until every job is
COMPLETED, with all checks on. Beside it, in turns on the same machine, the same number of no-op jobs through Celery on Redis and on RabbitMQ.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import time

import census
import cluster
import codec_start
import flushes
import loads
import peers
import usage

ROOT = cluster.ROOT
PATIENCE = 600
PEER_JOBS = 1000


def main():
    args = parsed()
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "date": time.strftime("%Y-%m-%d"),
              "load_before": os.getloadavg()[0], "runs": []}
    usage.warn_if_busy()
    chosen = lambda name: not args.only or any(word in name for word in args.only)
    wanted = [row for row in rows(args.smoke) if chosen(name(row))]
    others = [peer for peer in peers.usable() if chosen(peer.name)] if not args.smoke else []
    for _ in range(args.runs):
        # In turns, so that what else the machine does meets all alike.
        runs = [lambda row=row: timed(args, row) for row in wanted]
        runs += [lambda peer=peer: peers.timed(peer, args.folder, PEER_JOBS, args.slots) for peer in others]
        for one in runs:
            report["runs"].append(one())
            print(told(report["runs"][-1]), flush=True)
    if args.count:
        report["counted"] = [counted(args, row) for row in wanted]
    programs = [args.codec, args.binary.with_name("jetreel-codec")]
    report["codec_start"] = [codec_start.measured(program.resolve()) for program in programs if program.exists()]
    print(table(report["runs"]))
    for start in report["codec_start"]:
        print(f"start of {start['codec']}: {start['median_ms']} ms of CPU ({start['least_ms']}-{start['most_ms']})")
    print(ratios(report["runs"]))
    for figures in report.get("counted", []):
        print(kinds_told(figures))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1))


def told(figures):
    cpu = figures["cpu_ms"]
    return (f"{figures['load']:<36} {figures['tasks_per_second']:>7.1f} tasks/s   CPU ms a task: node {cpu['worker']:.2f}, "
            f"broker {cpu['broker']:.2f}, codec {cpu['codec']:.2f}   cores {figures['busy']:.0%} busy")


def table(runs):
    """Medians with the least and the most."""
    by_load = {}
    for figures in runs:
        by_load.setdefault(figures["load"], []).append(figures)
    lines = ["", f"{'load':<36} {'tasks/s: median':>16} {'least-most':>15} {'node ms':>8} {'broker ms':>10} {'codec ms':>9}"]
    for load, of_load in by_load.items():
        rates = [figures["tasks_per_second"] for figures in of_load]
        cpu = [statistics.median(figures["cpu_ms"][kind] for figures in of_load) for kind in ("worker", "broker", "codec")]
        lines.append(f"{load:<36} {statistics.median(rates):>16.1f} {f'{min(rates):.0f}-{max(rates):.0f}':>15} "
                     f"{cpu[0]:>8.2f} {cpu[1]:>10.2f} {cpu[2]:>9.2f}")
    return "\n".join(lines)


def ratios(runs):
    """Each load of Jetreel against each peer, turn by turn: the median ratio with the least and the most."""
    rates = {}
    for figures in runs:
        rates.setdefault(figures["load"], []).append(figures["tasks_per_second"])
    lines = []
    for peer in (load for load in rates if load.startswith("Celery")):
        for load in (load for load in rates if not load.startswith("Celery")):
            found = [own / other for own, other in zip(rates[load], rates[peer])]
            lines.append(f"{load:<36} {statistics.median(found):>6.2f} ({min(found):.2f}-{max(found):.2f}) x {peer}")
    return "\n".join(["", *lines])


def kinds_told(figures):
    """Requests and flushes a task, one kind a line."""
    lines = ["", f"{figures['load']}: {figures['requests']} requests a task"]
    lines += [f"  {count:>8.3f}  {kind}" for kind, count in figures["requests_by_kind"].items()]
    if "flushes" in figures:
        lines.append(f"{figures['load']}: {figures['flushes']} flushes a task")
        lines += [f"  {count:>8.3f}  {kind}" for kind, count in figures["flushes_by_kind"].items()]
    return "\n".join(lines)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/jetreel")
    parser.add_argument("--codec", type=pathlib.Path, default=ROOT / "target/release/examples/noop_codec")
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/tmp"), help="where servers and nodes keep their data")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--only", action="append", help="loads whose names hold this, such as 'R1 always 50 jobs'")
    parser.add_argument("--count", action="store_true", help="also count requests and flushes, in runs of their own")
    parser.add_argument("--smoke", action="store_true", help="some small loads, once: whether everything is completed")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    args.runs = 1 if args.smoke else args.runs
    return args


def rows(smoke):
    """Every load with the number of replicas and the broker's sync."""
    if smoke:
        return [(load, 1, "always") for load in (loads.jobs_of_20(2), loads.jobs_of_1(5), loads.default_plan(2))]
    small, ones, plan = loads.jobs_of_20(50), loads.jobs_of_1(300), loads.default_plan(50)
    many, long = loads.jobs_of_20(500), loads.one_of(1000)
    pairs = [(small, 1), (small, 3), (plan, 1), (plan, 3), (ones, 1), (ones, 3), (long, 1), (many, 1)]
    return [(load, replicas, "always") for load, replicas in pairs] + [(small, 1, "default")]


def name(row):
    load, replicas, sync = row
    return f"R{replicas} {sync} {load.name}"


def run(args, row, observe, tracer=None):
    """Runs a load from the first upload to the last completed job. `observe(brokers, node)` returns what is called at the end."""
    load, replicas, sync = row
    with cluster.folder_for(args.folder, "queue") as folder:
        brokers = cluster.Brokers(folder, replicas, sync, tracer)
        node = cluster.Node(folder, brokers, args.binary.resolve(), args.codec.resolve(), tracer=tracer,
                            **{"node.slots": args.slots, "log.format": "json", **load.settings})
        try:
            node.declare()
            node.start()
            watcher = loads.Watcher(brokers.ports[0])
            ended = observe(brokers, node)
            begun = time.monotonic()
            loads.upload_all([node.port], load.recording.file(), load.jobs)
            last = watcher.completed(load.jobs, PATIENCE)
            result = ended()
            watcher.close()
            check(load, node)
            return last - begun, result
        finally:
            if hasattr(node, "process"):
                node.stop()
            brokers.stop()


def check(load, node):
    """Every plan had as many tasks as is reckoned with."""
    tasks = loads.number_of_tasks(node.log.read_text(errors="replace"))
    if tasks != load.jobs * load.tasks:
        raise SystemExit(f"{load.name}: the plans had {tasks} tasks")


def timed(args, row):
    """Tasks a second, and CPU a task by kind of process."""
    load, _, _ = row

    def observe(brokers, node):
        servers, nodes = [one.pid for one in brokers.processes], [node.process.pid]
        now = lambda: (usage.own(nodes), usage.own(servers), usage.codecs(nodes), *usage.machine())
        before = now()
        return lambda: [after - then for after, then in zip(now(), before)]

    seconds, (node, nats, codec, busy, all_) = run(args, row, observe)
    tasks = load.jobs * load.tasks
    each = lambda cpu: round(1000 * cpu / tasks, 2)
    return {"load": name(row), "tasks": tasks, "seconds": round(seconds, 2), "tasks_per_second": round(tasks / seconds, 1),
            "cpu_ms": {"worker": each(node), "broker": each(nats), "codec": each(codec)}, "busy": round(busy / all_, 2)}


def counted(args, row):
    """Requests and flushes a task, by kind."""
    load, _, _ = row
    tasks = load.jobs * load.tasks
    _, kinds = run(args, row, lambda brokers, _: census.Census(brokers).counted)
    each = lambda counts: {name: round(count / tasks, 3) for name, count in sorted(counts.items(), key=lambda kv: -kv[1])}
    figures = {"load": name(row), "requests": round(census.requests(kinds) / tasks, 1), "requests_by_kind": each(kinds)}
    traces = flushes.Traces(args.folder)
    if traces.possible():
        with traces:
            run(args, row, lambda *_: traces.begin(), traces.tracer)
            synced = traces.counted()
        figures |= {"flushes": round(sum(synced.values()) / tasks, 1), "flushes_by_kind": each(synced)}
    return figures


if __name__ == "__main__":
    main()
