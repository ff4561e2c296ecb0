"""Real servers and nodes for the benches: nats-server (one, or three with routes) and `jetreel node`, on loopback and in a folder of their own."""

import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 180.0
SYNC = {"always": "sync_interval: always", "default": ""}


def free_ports(count):
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environment():
    return {**os.environ, "PATH": f"{ROOT / '.tools/bin'}:{os.environ['PATH']}"}


def until(what, holds, process=None, log=None):
    """Waits until a started program serves."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end or (process and process.poll() is not None):
            tail = log.read_text(errors="replace")[-2000:] if log else ""
            if process:
                stop(process)
            raise SystemExit(f"{what} does not serve:\n{tail}")
        time.sleep(0.02)


def get(port, path):
    """Status and body of a GET; `None` where nobody listens."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
    except OSError:
        return None


def stop(process, kind=signal.SIGTERM):
    """Ends a process that this bench started."""
    if process.poll() is None:
        process.send_signal(kind)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Brokers:
    """One nats-server, or a cluster of three."""

    def __init__(self, folder, replicas=1, sync="always", tracer=None):
        self.folder, self.replicas, self.processes = folder, replicas, []
        self.ports, self.monitors, routes = (free_ports(replicas) for _ in range(3))
        for index in range(replicas):
            config = folder / f"nats-{index}.conf"
            config.write_text(self.config(index, sync, routes))
            command = ["nats-server", "-c", str(config)]
            with open(folder / f"nats-{index}.log", "wb") as log:
                self.processes.append(subprocess.Popen(
                    (tracer(f"nats-{index}") if tracer else []) + command,
                    env=environment(), stdout=log, stderr=subprocess.STDOUT))
        for index, monitor in enumerate(self.monitors):
            path = "/healthz?js-meta-only=1" if replicas > 1 else "/healthz"
            until("nats-server", lambda: (get(monitor, path) or (0,))[0] == 200, self.processes[index],
                  folder / f"nats-{index}.log")

    def config(self, index, sync, routes):
        lines = [f"server_name: n{index}", f"listen: 127.0.0.1:{self.ports[index]}",
                 f"http: 127.0.0.1:{self.monitors[index]}",
                 f"jetstream {{ store_dir: {self.folder}/nats-{index}\n max_file_store: 64GB\n {SYNC[sync]} }}"]
        if self.replicas > 1:
            peers = ", ".join(f"nats-route://127.0.0.1:{port}" for port in routes)
            lines.append(f"cluster {{ name: bench, listen: 127.0.0.1:{routes[index]}, routes: [{peers}] }}")
        return "\n".join(lines) + "\n"

    @property
    def url(self):
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)

    def stop(self):
        for process in self.processes:
            stop(process)


class Node:
    """A `jetreel node` with a codec program and settings."""

    def __init__(self, folder, brokers, binary, codec, name="node", tracer=None, **settings):
        self.folder, self.name, self.log = folder, name, folder / f"{name}.log"
        (self.port,) = free_ports(1)
        self.settings = {
            "nats.url": brokers.url, "nats.replicas": brokers.replicas, "store.root": folder / "store",
            "http.listen": f"127.0.0.1:{self.port}", "http.admin-listen": f"127.0.0.1:{self.port}",
            "node.name": name, "node.drain-seconds": 2, "codec.path": codec, "codec.confinement": "none",
            **{key.replace("__", ".").replace("_", "-"): value for key, value in settings.items()}}
        if "gateway" in str(self.settings.get("node.roles", "all")) or self.settings.get("node.roles", "all") == "all":
            del self.settings["http.admin-listen"]
        self.command = [str(binary)] + [word for key, value in self.settings.items()
                                        for word in ("--set", f"{key}={value}")]
        self.tracer = tracer

    def declare(self):
        """Creates streams and buckets."""
        command = self.command + ["streams", "apply"]
        made = subprocess.run(command, env=environment(), cwd=self.folder, capture_output=True, text=True)
        if made.returncode != 0:
            raise SystemExit(f"streams apply: {made.stderr[-1000:]}")

    def start(self):
        command = (self.tracer(self.name) if self.tracer else []) + self.command + ["node"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env=environment(), cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        until(self.name, lambda: (get(self.port, "/readyz") or (0,))[0] == 200, self.process, self.log)

    def stop(self):
        stop(self.process)


@contextlib.contextmanager
def folder_for(place, name):
    """A folder that is removed afterwards."""
    folder = pathlib.Path(place) / f"jetreel-bench-{os.getpid()}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
