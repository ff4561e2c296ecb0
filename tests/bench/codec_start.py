"""What the start of a codec process costs without a fork server: CPU until its greeting."""

import pathlib
import socket
import statistics
import subprocess


def once(codec):
    """CPU seconds of a process until its first byte arrives."""
    ours, theirs = socket.socketpair()
    # The process finds its end of the socket as its standard input.
    child = subprocess.Popen([codec], env={"LANG": "C.UTF-8"}, cwd="/",
                             stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    theirs.close()
    try:
        if not ours.recv(1):
            raise SystemExit(f"{codec} did not greet")
        return int(pathlib.Path(f"/proc/{child.pid}/schedstat").read_text().split()[0]) / 1e9
    finally:
        ours.close()
        child.kill()
        child.wait()


def measured(codec, times=30):
    """Milliseconds: median, least, most."""
    found = [1000 * once(codec) for _ in range(times)]
    return {"codec": codec.name, "median_ms": round(statistics.median(found), 1), "least_ms": round(min(found), 1),
            "most_ms": round(max(found), 1)}
