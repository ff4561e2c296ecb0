#!/usr/bin/env python3
"""What a ladder costs: `jetreel transcode` against plain ffmpeg commands with the same encoder settings.

Contenders, run in turns on the same machine and the same clip:

  per-tier   one ffmpeg process per tier, each decoding the source again
  single     the single ffmpeg command that makes all tiers with the least CPU; which one that is is measured first:
             cascaded or direct scaling, one x264 thread per tier or x264's own choice
  fastest    the single command with the shortest wall time, where that is another one
  jetreel    `jetreel transcode`: HLS, progressive MP4, thumbnails, verification, through NATS JetStream
  jetreel-hls  the same without progressive MP4 and thumbnails (--plain)

Measured: user + system CPU of the whole process tree (what wait4 reports once all descendants are reaped), wall time, peak
memory of the tree (proportional set size, sampled every 100 ms), and when the first second can be played (for ffmpeg: at
the end). Python's standard library, ffmpeg and the release binaries are all it needs.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
# Name, width, height, kb/s, CRF, level: the default ladder for a source of 16:9 up to 30 frames a second.
TIERS = [
    ("1080p", 1920, 1080, 6000, 23, "4.0"),
    ("720p", 1280, 720, 3000, 23, "3.1"),
    ("480p", 854, 480, 1400, 23, "3.1"),
    ("360p", 640, 360, 800, 22, "3.0"),
    ("240p", 426, 240, 350, 22, "2.1"),
]
X264 = "stitchable=1:open-gop=0:scenecut=40:keyint=infinite:min-keyint=infinite"
SAMPLE_SECONDS = 0.1
MINUTE = 60
# Clips up to this long are calibrated by the median of several runs: one run of a second or two says little.
SHORT_SECONDS = 30
SHORT_CALIBRATION_RUNS = 3


@dataclasses.dataclass
class Run:
    """One run of a contender."""

    cpu: float
    wall: float
    memory: int
    first_playable: float
    tree_cpu: float


def ffmpeg(*arguments):
    return ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", *map(str, arguments)]


def make_clip(path, seconds):
    """A 1080p clip of a given length out of the demo's clip, which is five seconds of 720p: looped, scaled, encoded well."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    print(f"making {path.name}: {seconds} s of 1080p", file=sys.stderr)
    if seconds > MINUTE:
        minute = path.with_name(f"bench-1080p-{MINUTE}s.mp4")
        make_clip(minute, MINUTE)
        command = ffmpeg("-stream_loop", -1, "-i", minute, "-t", seconds, "-c", "copy", "-movflags", "+faststart", part)
    else:
        source = TOOLS / "media" / "bigbuckbunny.mp4"
        if not source.exists():
            subprocess.run([str(ROOT / ".ci" / "setup"), "clip"], check=True)
        command = ffmpeg("-stream_loop", -1, "-i", source, "-t", seconds, "-vf", "scale=1920:1080:flags=lanczos",
                         "-c:v", "libx264", "-preset", "superfast", "-crf", 17, "-g", 50, "-keyint_min", 50,
                         "-sc_threshold", 0, "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "192k", "-ac", 2,
                         "-movflags", "+faststart", part)
    subprocess.run(command, check=True)
    part.rename(path)


def encoder(tier, preset, threads):
    """The settings that the product pins, for one output of an ffmpeg command."""
    _, _, _, rate, crf, level = tier
    arguments = ["-c:v", "libx264", "-preset", preset, "-profile:v", "high", "-crf", crf, "-maxrate", f"{rate}k",
                 "-bufsize", f"{rate}k", "-level", level, "-bf", 3, "-forced-idr", 1, "-x264-params", X264,
                 "-force_key_frames", "expr:gte(t,n_forced*2)"]
    return arguments + (["-threads", threads] if threads else [])


AUDIO = ["-map", "0:a", "-c:a", "aac", "-b:a", "128k", "-ac", 2]


def per_tier(clip, out, preset):
    """A command per tier; sound is encoded once, with the first."""
    commands = []
    for index, tier in enumerate(TIERS):
        name, width, height = tier[:3]
        scale = [] if index == 0 else ["-vf", f"scale={width}:{height}:flags=bicubic"]
        sound = AUDIO if index == 0 else ["-an"]
        commands.append(
            ffmpeg("-i", clip, "-map", "0:v", *scale, *encoder(tier, preset, None), *sound, out / f"{name}.mp4"))
    return commands


def single(clip, out, preset, cascade, threads):
    """One command for all tiers: `cascade` scales each from the one before, else each from the source."""
    chains = []
    if cascade:
        source = "0:v"
        for index, (name, width, height, *_) in enumerate(TIERS):
            scale = "null" if index == 0 else f"scale={width}:{height}:flags=bicubic"
            last = index == len(TIERS) - 1
            chains.append(f"[{source}]{scale}[{name}]" if last else f"[{source}]{scale},split[{name}][next{index}]")
            source = f"next{index}"
    else:
        names = "".join(f"[s{name}]" for name, *_ in TIERS)
        chains.append(f"[0:v]split={len(TIERS)}{names}")
        for index, (name, width, height, *_) in enumerate(TIERS):
            scale = "null" if index == 0 else f"scale={width}:{height}:flags=bicubic"
            chains.append(f"[s{name}]{scale}[{name}]")
    outputs = []
    for index, tier in enumerate(TIERS):
        sound = AUDIO if index == 0 else []
        outputs += ["-map", f"[{tier[0]}]", *encoder(tier, preset, threads), *sound, out / f"{tier[0]}.mp4"]
    return [ffmpeg("-i", clip, "-filter_complex", ";".join(chains), *outputs)]


def jetreel(clip, out, preset, binary, plain):
    command = [str(binary), "transcode", str(clip), "--out", str(out / "out"), "--json", "--preset", preset,
               "--tiers", ",".join(name for name, *_ in TIERS)]
    return [command + (["--no-images", "--no-package"] if plain else [])]


def processes():
    """Parent and CPU seconds of every process."""
    found = {}
    ticks = os.sysconf("SC_CLK_TCK")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            found[int(entry)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks)
    return found


def tree(root):
    """CPU seconds of the living processes below and including `root`."""
    everything = processes()
    children = {}
    for pid, (parent, _) in everything.items():
        children.setdefault(parent, []).append(pid)
    members, open_ = {}, [root]
    while open_:
        pid = open_.pop()
        if pid in everything:
            members[pid] = everything[pid][1]
            open_ += children.get(pid, [])
    return members


def memory(pids):
    """Proportional set size in bytes: pages shared by several processes count once."""
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (OSError, ValueError):
            pass
    return total


def sample(root, stop, seen):
    """Looks at the tree until told to stop. `seen`: peak memory, and the CPU seconds last seen of every process."""
    while not stop.wait(SAMPLE_SECONDS):
        members = tree(root)
        seen["cpu"].update(members)
        seen["memory"] = max(seen["memory"], memory(members))


def measure_command(command, folder):
    stop, seen = threading.Event(), {"memory": 0, "cpu": {}}
    environment = {**os.environ, "PATH": f"{TOOLS / 'bin'}:{os.environ['PATH']}"}
    with open(folder / "out.txt", "wb") as out, open(folder / "err.txt", "wb") as err:
        started = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=environment)
        watcher = threading.Thread(target=sample, args=(child.pid, stop, seen))
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        stop.set()
        watcher.join()
    if child.returncode != 0:
        tail = (folder / "err.txt").read_text(errors="replace")[-800:]
        sys.exit(f"{command[0]} ended with {child.returncode}:\n{tail}")
    return Run(usage.ru_utime + usage.ru_stime, wall, seen["memory"], wall, sum(seen["cpu"].values()))


def measure(commands):
    """Runs the commands of a contender one after the other, in a folder that is gone afterwards."""
    total = Run(0.0, 0.0, 0, 0.0, 0.0)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="jetreel-bench-"))
    try:
        for command in commands(folder):
            one = measure_command(list(map(str, command)), folder)
            total.cpu += one.cpu
            total.wall += one.wall
            total.tree_cpu += one.tree_cpu
            total.memory = max(total.memory, one.memory)
        total.first_playable = total.wall
        said = (folder / "out.txt").read_text(errors="replace").strip()
        if said.startswith("{"):
            total.first_playable = float(json.loads(said)["first_playable_seconds"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return total


def log(name, run):
    print(f"{name}: cpu {run.cpu:.1f} s, wall {run.wall:.1f} s, {run.memory >> 20} MiB, "
          f"first playable {run.first_playable:.1f} s", file=sys.stderr, flush=True)


def calibrate(clip, preset, turns):
    """What every single command takes, medians: one has the least CPU, one the least wall time."""
    names = [f"{scaling} scaling, {threads}" for scaling in ("cascaded", "direct")
             for threads in ("one thread per encoder", "default threads")]
    runs = {name: [] for name in names}
    for _ in range(turns):
        for name in names:
            runs[name].append(measure(single_named(clip, preset, name)))
            log(f"calibration, {name}", runs[name][-1])
    return {name: median_run(all_runs) for name, all_runs in runs.items()}


def median_run(runs):
    fields = (field.name for field in dataclasses.fields(Run))
    return Run(*(statistics.median(getattr(run, field) for run in runs) for field in fields))


def single_named(clip, preset, name):
    cascade, threads = name.startswith("cascaded"), 1 if "one thread" in name else None
    return lambda out: single(clip, out, preset, cascade, threads)


def contenders(options, clip, calibration):
    cheapest = min(calibration, key=lambda name: calibration[name].cpu)
    fastest = min(calibration, key=lambda name: calibration[name].wall)
    chosen = {
        "per-tier": lambda out: per_tier(clip, out, options.preset),
        "single": single_named(clip, options.preset, cheapest),
        "fastest": single_named(clip, options.preset, fastest),
        "jetreel": lambda out: jetreel(clip, out, options.preset, options.binary, False),
        "jetreel-hls": lambda out: jetreel(clip, out, options.preset, options.binary, True),
    }
    if fastest == cheapest:
        del chosen["fastest"]
    if not options.plain:
        del chosen["jetreel-hls"]
    if options.only:
        chosen = {name: chosen[name] for name in options.only.split(",") if name in chosen}
    return chosen, {"single": cheapest, "fastest": fastest}


def summary(runs):
    """Median, lowest and highest of each figure, and the spread: (highest - lowest) / median."""
    result = {}
    for name, all_runs in runs.items():
        result[name] = {}
        for field in ("cpu", "wall", "memory", "first_playable"):
            values = [getattr(run, field) for run in all_runs]
            median = statistics.median(values)
            spread = (max(values) - min(values)) / median if median else 0.0
            result[name][field] = {"median": median, "min": min(values), "max": max(values), "spread": spread}
    return result


def ratios(table):
    """Median of jetreel over median of the others."""
    result = {}
    for own in ("jetreel", "jetreel-hls"):
        for other in ("per-tier", "single", "fastest"):
            if own in table and other in table:
                result[f"{own} / {other}"] = {
                    field: table[own][field]["median"] / table[other][field]["median"] for field in table[own]
                }
    return result


def show(report):
    print(f"\n{report['clip']['seconds']} s of 1080p, preset {report['preset']}, {report['cpus']} cores, "
          f"{report['runs']} runs each, medians (lowest to highest)\n")
    print("| | CPU s | wall s | peak MiB | first playable s |\n|---|---|---|---|---|")
    for name, row in report["summary"].items():
        cells = []
        for field, unit in (("cpu", 1), ("wall", 1), ("memory", 1 << 20), ("first_playable", 1)):
            cell = row[field]
            cells.append(f"{cell['median'] / unit:.1f} ({cell['min'] / unit:.1f} to {cell['max'] / unit:.1f})")
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| ratio | CPU | wall | memory | first playable |\n|---|---|---|---|---|")
    for name, row in report["ratios"].items():
        print(f"| {name} | {' | '.join(f'{row[field]:.3f}' for field in row)} |")
    print(f"\nsingle = {report['commands']['single']}; fastest = {report['commands']['fastest']}")


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", default="bench.json", help="where the JSON report goes")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "jetreel")
    parser.add_argument("--clip", type=pathlib.Path, help="a 1080p clip instead of the one made here")
    parser.add_argument("--seconds", default="60", help="length of the clip made here; several, as in 3,8,20, are benched in turn")
    parser.add_argument("--minutes", type=int, help="the same in minutes, such as 10 for the first playable second")
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="contenders, separated by commas")
    parser.add_argument("--plain", action="store_true", help="also run jetreel without progressive MP4 and thumbnails")
    parser.add_argument("--no-calibration", action="store_true", help="take cascaded scaling, one thread per encoder")
    parser.add_argument("--make-clip", type=pathlib.Path, help="only make the clip, here")
    return parser.parse_args()


def bench(options, seconds):
    """All contenders on a clip of one length."""
    clip = (options.clip or TOOLS / "media" / f"bench-1080p-{seconds}s.mp4").resolve()
    if not options.clip:
        make_clip(clip, seconds)
    default = Run(1.0, 1.0, 0, 1.0, 1.0)
    name = "cascaded scaling, one thread per encoder"
    turns = SHORT_CALIBRATION_RUNS if seconds <= SHORT_SECONDS else 1
    calibration = {name: default} if options.no_calibration else calibrate(clip, options.preset, turns)
    chosen, commands = contenders(options, clip, calibration)
    runs = {name: [] for name in chosen}
    for turn in range(options.runs):
        # The order turns too, so that nobody always runs on a warm or a hot machine.
        names = list(chosen)
        for name in names[turn % len(names):] + names[: turn % len(names)]:
            runs[name].append(measure(chosen[name]))
            log(f"run {turn + 1}, {name}", runs[name][-1])
    table = summary(runs)
    return {
        "clip": {"name": clip.name, "bytes": clip.stat().st_size, "seconds": seconds},
        "preset": options.preset,
        "runs": options.runs,
        "cpus": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
        "versions": {"ffmpeg": first_line(["ffmpeg", "-version"]), "jetreel": first_line([str(options.binary), "--version"])},
        "tiers": TIERS,
        "commands": commands,
        "calibration": {name: dataclasses.asdict(run) for name, run in calibration.items()},
        "measurements": {name: [dataclasses.asdict(run) for run in all_runs] for name, all_runs in runs.items()},
        "summary": table,
        "ratios": ratios(table),
    }


def main():
    options = arguments()
    lengths = [options.minutes * MINUTE] if options.minutes else [int(part) for part in options.seconds.split(",")]
    if options.make_clip:
        make_clip(options.make_clip, lengths[0])
        return
    options.binary = options.binary.resolve()
    reports = [bench(options, seconds) for seconds in lengths]
    report = reports[0] if len(reports) == 1 else {"lengths": reports}
    pathlib.Path(options.output).write_text(json.dumps(report, indent=1) + "\n")
    for report in reports:
        show(report)


if __name__ == "__main__":
    main()
