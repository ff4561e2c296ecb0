"""Counts synced writes by file, with strace on servers and nodes, in a run of their own."""

import collections
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

CALLS = "fsync,fdatasync,sync_file_range,syncfs"
# -D: the traced program stays the child of the bench. --seccomp-bpf: other system calls are not slowed down.
STRACE = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-ttt", "-y", "-e", f"trace={CALLS}", "-o"]
LINE = re.compile(r"^\d+ +([0-9.]+) \w+\(\d+<([^>]*)>")
KINDS = [
    (r".*/streams/KV_([^/]+)/msgs/", "{0}: messages"),
    (r".*/streams/KV_([^/]+)/obs/", "{0}: consumer"),
    (r".*/streams/([^/]+)/msgs/", "{0}: messages"),
    (r".*/streams/([^/]+)/obs/", "{0}: consumers"),
    (r".*/\$SYS/_js_/", "raft"),
    (r".*/jetstream/", "other of the server"),
    (r".*/store/(raw|out|probe)/.*\.[a-z0-9]+$", "store {0}: object"),
    (r".*/store/(raw|out|probe)", "store {0}: folder or part"),
]


def kind(path):
    for pattern, words in KINDS:
        if found := re.match(pattern, path):
            return words.format(*found.groups())
    return "other"


class Traces:
    """Traces of the processes that are started with `tracer`."""

    def __init__(self, place):
        self.place, self.began, self.ended = place, 0.0, 0.0

    def possible(self):
        """Whether this machine has strace and lets it trace."""
        if not shutil.which("strace"):
            print("flushes are not counted: strace is not installed")
            return False
        with tempfile.TemporaryDirectory(dir=self.place) as folder:
            tried = subprocess.run([*STRACE, f"{folder}/trace", "true"], capture_output=True)
        if tried.returncode != 0:
            print(f"flushes are not counted: strace may not trace here: {tried.stderr.decode()[:200]}")
        return tried.returncode == 0

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(dir=self.place)

    def __exit__(self, *_):
        self.folder.cleanup()

    def tracer(self, name):
        """The words before the command of a program."""
        return [*STRACE, f"{self.folder.name}/{name}"]

    def begin(self):
        """Counts from now on, until the returned function is called."""
        self.began = time.time()
        return self.end

    def end(self):
        self.ended = time.time()

    def counted(self):
        """Flushes by kind of file."""
        kinds = collections.Counter()
        for trace in pathlib.Path(self.folder.name).iterdir():
            for line in trace.read_text(errors="replace").splitlines():
                found = LINE.match(line)
                if found and self.began <= float(found[1]) <= self.ended:
                    kinds[kind(found[2])] += 1
        return kinds
