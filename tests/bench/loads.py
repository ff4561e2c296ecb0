"""Uploads for benches: descriptions of recordings that the no-op codec takes for videos, and when each is done."""

import collections
import concurrent.futures
import dataclasses
import http.client
import json
import struct
import threading
import time

import natswire

PROGRESS = "video.transcodes.progress.*.*.{}"
UPLOADERS = 4


@dataclasses.dataclass
class Recording:
    """What a source describes, see tests/fixtures/noop_codec/source.rs."""

    seconds: int
    rate: int = 25
    width: int = 1280
    height: int = 720
    key: int = 2
    sound: int = 1

    def file(self):
        words = " ".join(f"{name}={value}" for name, value in dataclasses.asdict(self).items())
        line = f"jetreel-noop {words}\n".encode()
        brands = b"iso6\0\0\0\0iso6cmfc"
        boxes = [(b"ftyp", brands), (b"free", line)]
        return b"".join(struct.pack(">I", 8 + len(content)) + kind + content for kind, content in boxes)


def small(seconds):
    """A silent source of one tier."""
    return Recording(seconds, width=426, height=240, sound=0)


# Neither images nor progressive files: with `small`, all tasks are picture tasks.
PLAIN = {"plan.images": "false", "plan.package": "false"}


@dataclasses.dataclass
class Load:
    """A number of equal jobs."""

    name: str
    jobs: int
    tasks: int
    recording: Recording
    settings: dict


def jobs_of_20(jobs):
    return Load(f"{jobs} jobs x 20 tasks", jobs, 20, small(220), PLAIN)


def jobs_of_1(jobs):
    return Load(f"{jobs} jobs x 1 task", jobs, 1, small(4), PLAIN)


def default_plan(jobs):
    return Load(f"{jobs} jobs, default plan", jobs, 9, Recording(24), {})


def one_of(tasks):
    """One long job: twelve seconds of source a task."""
    return Load(f"1 job x {tasks} tasks", 1, tasks, small(12 * tasks - 20), PLAIN)


class Watcher:
    """Hears when videos are playable and completed, and which failed."""

    def __init__(self, port):
        self.facts, self.news = collections.defaultdict(dict), threading.Condition()
        subjects = [PROGRESS.format(fact) for fact in ("playable", "completed", "failed-1", "cancelled")]
        self.subscriber = natswire.Subscriber(port, *subjects)
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self):
        for _, subject, _, _, _ in self.subscriber.messages(None):
            words = subject.split(".")
            with self.news:
                self.facts[words[5]].setdefault(words[3], time.monotonic())
                self.news.notify_all()

    def completed(self, count, patience):
        """Waits for that many videos. Returns when the last was completed."""
        with self.news:
            done = lambda: len(self.facts["completed"]) >= count or self.facts["failed-1"]
            if not self.news.wait_for(done, patience) or self.facts["failed-1"]:
                failed, got = len(self.facts["failed-1"]), len(self.facts["completed"])
                raise SystemExit(f"{got} of {count} videos were completed, {failed} failed")
            return max(self.facts["completed"].values())

    def close(self):
        self.subscriber.close()


class Uploader:
    """A keep-alive connection to a gateway."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def upload(self, body, lane="normal"):
        """The id of the video, and when it was accepted."""
        status, document = self.ask("POST", f"/v1/videos?lane={lane}", body)
        if status != 202:
            raise SystemExit(f"an upload was refused: {status} {document}")
        return document["video"], time.monotonic()


def upload_all(ports, body, count):
    """Uploads as fast as some clients can. Returns when each video was accepted."""
    def some(index):
        uploader = Uploader(ports[index % len(ports)])
        return [uploader.upload(body) for _ in range(index, count, UPLOADERS)]

    with concurrent.futures.ThreadPoolExecutor(UPLOADERS) as pool:
        return dict(pair for pairs in pool.map(some, range(UPLOADERS)) for pair in pairs)


def number_of_tasks(log_text):
    """Tasks of the plans that a node's log tells of."""
    planned = [json.loads(line) for line in log_text.splitlines() if '"order planned"' in line]
    return sum(one.get("fields", one)["tasks"] for one in planned)
