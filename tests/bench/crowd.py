#!/usr/bin/env python3
"""What silent and slow connections cost everybody else, where a process may have 1024 descriptors.

Two runs of `jetreel dev` under `ulimit -n 1024`, with the same uploads and players: one quiet, one among a crowd of

  idle   connections that say nothing, and come back when they are closed (--idle, 3000)
  slow   a third each: heads byte by byte, bodies at 20 bytes a second, answers that nobody takes (--slow, 300)

Measured: every upload and every player's request must succeed, and their 99th percentile must stay within twice that of the quiet
run. Exit code 1 where it does not. Python's standard library is all it needs.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
DESCRIPTORS = 1024
UPLOAD_BYTES = 300_000
UPLOAD_EVERY = 5.0
PLAY_EVERY = 1.0
# A client that was closed comes back after this time.
AGAIN = 5.0
PATIENCE = 30.0


def main():
    args = parsed()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    runs = {}
    for name, idle, slow in [("quiet", 0, 0), ("crowd", args.idle, args.slow)]:
        with tempfile.TemporaryDirectory(prefix="jetreel-crowd-") as folder:
            runs[name] = asyncio.run(run(args, pathlib.Path(folder), idle, slow))
        print(name, json.dumps(runs[name]), flush=True)
    verdict = judged(runs["quiet"], runs["crowd"])
    if args.json:
        args.json.write_text(json.dumps({"runs": runs, "wrong": verdict}, indent=1))
    for line in verdict:
        print("WRONG:", line)
    sys.exit(1 if verdict else 0)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/jetreel")
    parser.add_argument("--clip", type=pathlib.Path, default=ROOT / ".tools/media/bigbuckbunny.mp4")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle", type=int, default=3000)
    parser.add_argument("--slow", type=int, default=300)
    parser.add_argument("--uploads", type=int, default=20)
    parser.add_argument("--players", type=int, default=20)
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def judged(quiet, crowd):
    wrong = []
    for kind in ("upload", "play"):
        for name, figures in (("quiet", quiet), ("crowd", crowd)):
            if figures[kind]["failed"]:
                wrong.append(f"{name}: {figures[kind]['failed']} of {kind} failed: {figures['errors'][:3]}")
        before, after = quiet[kind]["p99_ms"], crowd[kind]["p99_ms"]
        if after > 2 * before:
            wrong.append(f"p99 of {kind}: {after:.1f} ms instead of {before:.1f} ms")
    return wrong


class Tally:
    """Durations and failures of one kind of request."""

    def __init__(self, errors):
        self.seconds, self.failed, self.errors = [], 0, errors

    @contextlib.asynccontextmanager
    async def one(self):
        begun = time.monotonic()
        try:
            yield
            self.seconds.append(time.monotonic() - begun)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
            self.failed += 1
            self.errors.append(repr(error))

    def figures(self):
        ranked = sorted(self.seconds) or [0.0]
        at = lambda share: 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))]
        return {"done": len(self.seconds), "failed": self.failed, "p50_ms": round(at(0.5), 1),
                "p99_ms": round(at(0.99), 1), "max_ms": round(1000 * ranked[-1], 1)}


class Client:
    """One keep-alive connection; made anew where the server has closed it, as browsers do."""

    def __init__(self, place):
        self.place, self.streams = place, None

    async def ask(self, method, path, body=b"", headers=""):
        head = f"{method} {path} HTTP/1.1\r\nhost: {self.place[0]}:{self.place[1]}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        kept = self.streams is not None
        try:
            return await self.exchange(head.encode() + body)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
            # Closed while nobody asked; a connection that was just made must hold.
            if not kept or method != "GET":
                raise
            return await self.exchange(head.encode() + body)

    async def exchange(self, request):
        if self.streams is None:
            self.streams = await asyncio.open_connection(*self.place)
        reader, writer = self.streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        return int(lines[0].split()[1]), body

    async def must(self, wanted, *request, **options):
        status, body = await asyncio.wait_for(self.ask(*request, **options), PATIENCE)
        if status != wanted:
            raise ValueError(f"{request[:2]}: {status} {body[:200]}")
        return body

    def close(self):
        if self.streams:
            self.streams[1].close()
        self.streams = None


async def run(args, folder, idle, slow):
    node, place = await started(args, folder)
    try:
        video, names = await finished(place, args.clip)
        # A process of its own, so that it does not slow down those who measure.
        crowd = multiprocessing.Process(target=be_crowd, args=(place, video, names, idle, slow), daemon=True)
        crowd.start()
        await asyncio.sleep(5)
        cpu_before = cpu_seconds(node.pid)
        end = time.monotonic() + args.seconds
        errors = []
        uploads, plays = Tally(errors), Tally(errors)
        work = [upload(place, uploads, end) for _ in range(args.uploads)]
        work += [play(place, plays, video, names, end) for _ in range(args.players)]
        await asyncio.gather(*work)
        cpu = cpu_seconds(node.pid) - cpu_before
        descriptors = len(os.listdir(f"/proc/{node.pid}/fd"))
        crowd.kill()
        crowd.join()
        return {"upload": uploads.figures(), "play": plays.figures(), "descriptors": descriptors,
                "cpu_seconds": cpu, "errors": errors}
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def be_crowd(place, video, names, idle, slow):
    async def all_of_it():
        kinds = [slow_head, slow_body, deaf]
        silents = [silent(place) for _ in range(idle)]
        slows = [kinds[i % 3](place, video, names) for i in range(slow)]
        await asyncio.gather(*silents, *slows)

    # Who is cut off in the middle of a sentence is no news.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # As few cores as there are: the crowd is to cost the node, not the clients that are measured.
    os.nice(10)
    asyncio.run(all_of_it())


async def started(args, folder):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    environment = {**os.environ, "JETREEL__HTTP__LISTEN": "127.0.0.1:0", "JETREEL__NODE__DRAIN_SECONDS": "2"}
    environment["PATH"] = f"{ROOT / '.tools/bin'}:{environment['PATH']}"
    log = open(folder / "log", "wb")
    node = subprocess.Popen([args.binary.resolve(), "dev"], cwd=folder, env=environment, stdout=subprocess.PIPE,
                            stderr=log, preexec_fn=limit)
    address = await asyncio.to_thread(node.stdout.readline)
    url = urllib.parse.urlsplit(address.decode().strip())
    if not url.port:
        raise SystemExit(f"no node: {(folder / 'log').read_text()[-2000:]}")
    return node, (url.hostname, url.port)


async def finished(place, clip):
    """A video that is ready, and the names of its playlists and largest file."""
    client = Client(place)
    made = json.loads(await client.must(202, "POST", "/v1/videos", body=clip.read_bytes()))
    while True:
        job = json.loads(await client.must(200, "GET", made["job"]))
        if job["status"] == "COMPLETED":
            break
        if job["status"] in ("FAILED", "CANCELLED"):
            raise SystemExit(f"the clip cannot be used: {job['error']}")
        await asyncio.sleep(0.5)
    client.close()
    return made["video"], [tier["name"] for tier in job["tiers"]]


async def upload(place, tally, end):
    await asyncio.sleep(random.random() * UPLOAD_EVERY)
    body = random.randbytes(UPLOAD_BYTES)
    while time.monotonic() < end:
        client = Client(place)
        async with tally.one():
            await client.must(202, "POST", "/v1/videos", body=body)
        client.close()
        await asyncio.sleep(UPLOAD_EVERY)


async def play(place, tally, video, names, end):
    await asyncio.sleep(random.random() * PLAY_EVERY)
    client = Client(place)
    while time.monotonic() < end:
        async with tally.one():
            await client.must(200, "GET", f"/v/{video}/master.m3u8")
            await client.must(206, "GET", f"/v/{video}/{random.choice(names)}.mp4", headers="range: bytes=0-99999\r\n")
        await asyncio.sleep(PLAY_EVERY)
    client.close()


async def silent(place):
    await for_ever(place, lambda reader, writer: reader.read())


async def slow_head(place, *_):
    async def dribble(reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nx-slow: ")
        await until_closed(reader, writer, b"x")
    await for_ever(place, dribble)


async def slow_body(place, *_):
    async def dribble(reader, writer):
        writer.write(b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        await until_closed(reader, writer, b"x" * 20)
    await for_ever(place, dribble)


async def deaf(place, video, names):
    async def take_nothing(reader, writer):
        for name in names * 50:
            writer.write(f"GET /v/{video}/{name}.mp4 HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        writer.transport.pause_reading()
        # Who takes nothing does not see that it is cut off.
        await asyncio.sleep(PATIENCE)
    await for_ever(place, take_nothing)


async def until_closed(reader, writer, piece):
    """Sends a piece each second until the server closes."""
    closed = asyncio.create_task(reader.read())
    while not closed.done():
        writer.write(piece)
        await asyncio.wait({closed}, timeout=1)
    await closed


async def for_ever(place, behave):
    while True:
        writer = None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(*place)
            await behave(reader, writer)
        if writer:
            writer.close()
        await asyncio.sleep(AGAIN * (0.5 + random.random()))


if __name__ == "__main__":
    main()
