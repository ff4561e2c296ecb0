#!/usr/bin/env python3
"""Records how long the real codec takes for each task of a 1080p clip, for the codec that sleeps these times.

One slot, a thread a task, so a task's CPU seconds are the time that it would take on a core of its own. Writes
tests/fixtures/noop_codec/service_times.tsv: kind of work, its amount (frames; access units of sound; pictures of the seek bar; 1 for the
probe) and seconds.
"""

import argparse
import json
import pathlib
import platform
import resource
import subprocess
import time

import cluster
import ladder
import loads
import tasklog

ROOT = cluster.ROOT
OUT = ROOT / "tests/fixtures/noop_codec/service_times.tsv"
RATE, AAC_UNIT, SAMPLES, PICTURE_SECONDS = 25, 1024, 48_000, 5
PATIENCE = 3600


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/jetreel")
    parser.add_argument("--folder", default="/tmp")
    parser.add_argument("--seconds", type=int, default=60, help="length of the clip")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    args = parser.parse_args()
    clip = ROOT / f".tools/media/bench-1080p-{args.seconds}s.mp4"
    ladder.make_clip(clip, args.seconds)
    codec = args.binary.with_name("jetreel-codec").resolve()
    with cluster.folder_for(args.folder, "record") as folder:
        brokers = cluster.Brokers(folder)
        node = cluster.Node(folder, brokers, args.binary.resolve(), codec,
                            **{"node.slots": 1, "node.task-threads": 1, "log.format": "json"})
        try:
            before = children_cpu()
            planned = subprocess.run([*node.command, "plan", "--json", clip], capture_output=True, check=True,
                                     env=cluster.environment())
            probe = children_cpu() - before
            node.declare()
            node.start()
            watcher = loads.Watcher(brokers.ports[0])
            loads.upload_all([node.port], clip.read_bytes(), 1)
            watcher.completed(1, PATIENCE)
            log = node.log.read_text()
        finally:
            if hasattr(node, "process"):
                node.stop()
            brokers.stop()
    rows = [("probe", 1, probe), *recorded(json.loads(planned.stdout), args.seconds, log)]
    head = (f"# Recorded {time.strftime('%Y-%m-%d')} on {platform.machine()}: {args.seconds} s of 1080p at {RATE} frames a second, "
            "default ladder, a thread a task.\n# kind\tamount\tseconds\n")
    args.out.write_text(head + "".join(f"{kind}\t{amount}\t{seconds:.3f}\n" for kind, amount, seconds in rows))
    print(args.out.read_text())


def recorded(plan, clip_seconds, log):
    """Kind, amount and seconds of every task."""
    planned = {task["task"]: task["work"] for task in plan["tasks"]}
    kinds = {name: kind_and_amount(work, plan, clip_seconds) for name, work in planned.items()}
    rows = [(*kinds[task.name], task.cpu_seconds) for task in tasklog.finished(log) if kinds[task.name]]
    return sorted(rows, key=lambda row: row[0])


def kind_and_amount(work, plan, clip_seconds):
    """What the no-op codec calls work, see its `service.take`; `None` for what has no kind of its own."""
    frames = clip_seconds * RATE
    if "Video" in work:
        (index,) = work["Video"]["chunks"]
        seconds = plan["time_base"]["num"] / plan["time_base"]["den"]
        chunk, end = plan["chunks"][index], plan["end"]
        length = (min(chunk["end"], end) - chunk["start"]) * seconds
        return "main" if index else "first", round(length * RATE)
    if "Audio" in work:
        return "audio", round(clip_seconds * SAMPLES / AAC_UNIT)
    if "Package" in work:
        return "verify" if work["Package"]["verify"] else "package", frames
    return ("images", -(-clip_seconds // PICTURE_SECONDS)) if work == "Images" else None


def children_cpu():
    """CPU seconds of all children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
