"""The peers of the bench of the queue: Celery on Redis and on RabbitMQ, with durable settings, as no-op jobs."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import cluster
import usage

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = cluster.ROOT / ".tools/celery/bin/python"
RABBIT = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PATIENCE = 120


class Redis:
    """Redis that syncs every write before it answers."""

    name = "Celery + Redis, fsync always"

    @staticmethod
    def missing():
        return None if shutil.which("redis-server") else "redis-server is not installed"

    def __init__(self, folder):
        (port,) = cluster.free_ports(1)
        self.url = f"redis://127.0.0.1:{port}/0"
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "appendonly": "yes", "appendfsync": "always", "save": ""}
        command = ["redis-server"] + [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cluster.until("redis-server", lambda: listens(port), self.process)

    def pids(self):
        return [self.process.pid]

    def stop(self):
        cluster.stop(self.process)


class Rabbit:
    """RabbitMQ with a quorum queue, persistent messages and publisher confirms."""

    name = "Celery + RabbitMQ, quorum"

    @staticmethod
    def missing():
        return None if RABBIT.exists() else "rabbitmq-server is not installed"

    def __init__(self, folder):
        port, distribution, self.mapper = cluster.free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{port}\n")
        (folder / "plugins").write_text("[].\n")
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        self.environment = {
            **os.environ, "HOME": str(folder), "RABBITMQ_NODENAME": f"bench{os.getpid()}@localhost", "RABBITMQ_BASE": str(folder),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"), "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"), "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback, "ERL_EPMD_PORT": str(self.mapper), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        self.log = folder / "out"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([RABBIT], env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            cluster.until("rabbitmq-server", lambda: listens(port), self.process, self.log)
        except SystemExit:
            self.stop()
            raise

    def pids(self):
        return [self.process.pid, *usage.descendants(self.process.pid)]

    def stop(self):
        cluster.stop(self.process)
        # The name server of Erlang is a daemon of its own.
        subprocess.run(["epmd", "-port", str(self.mapper), "-kill"], env=self.environment, capture_output=True, check=False)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def usable():
    """The peers that can run here; of the others, why not."""
    if not PYTHON.exists():
        print("no comparison: Celery is not installed (.ci/setup bench)")
        return []
    for peer in (Redis, Rabbit):
        if why := peer.missing():
            print(f"no comparison with {peer.name}: {why} (.ci/setup bench)")
    return [peer for peer in (Redis, Rabbit) if not peer.missing()]


def timed(peer, place, jobs, workers):
    """Jobs a second from the first published to the last done, and CPU a job."""
    with cluster.folder_for(place, "peer") as folder:
        broker = peer(folder)
        done = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        done.bind(str(folder / "done"))
        done.settimeout(PATIENCE)
        environment = {**os.environ, "BENCH_BROKER": broker.url, "BENCH_DONE": str(folder / "done"), "PYTHONPATH": str(HERE)}
        programs = []
        try:
            with open(folder / "worker.log", "wb") as log:
                worker = [PYTHON, "-m", "celery", "-A", "celery_app", "worker", "-c", str(workers), "--without-gossip",
                          "--without-mingle", "--without-heartbeat", "-l", "warning"]
                programs.append(subprocess.Popen(worker, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT))
            producer = subprocess.Popen([PYTHON, HERE / "celery_app.py", str(jobs)], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            programs.append(producer)
            return measured(peer, broker, producer, programs[0], done, jobs)
        except TimeoutError:
            sys.exit(f"{peer.name}: jobs do not end:\n{(folder / 'worker.log').read_text()[-2000:]}")
        finally:
            for program in programs:
                cluster.stop(program)
            broker.stop()


def measured(peer, broker, producer, worker, done, jobs):
    # The first job shows that the worker is up.
    done.recv(1)
    workers = [worker.pid, *usage.descendants(worker.pid)]
    now = lambda: (usage.own(workers), usage.own(broker.pids()), *usage.machine())
    before = now()
    producer.stdin.write("\n")
    producer.stdin.flush()
    begun = float(producer.stdout.readline())
    for _ in range(jobs):
        done.recv(1)
    seconds = time.monotonic() - begun
    worker_cpu, broker_cpu, busy, all_ = (after - then for after, then in zip(now(), before))
    each = lambda cpu: round(1000 * cpu / jobs, 2)
    return {"load": peer.name, "tasks": jobs, "seconds": round(seconds, 2), "tasks_per_second": round(jobs / seconds, 1),
            "cpu_ms": {"worker": each(worker_cpu), "broker": each(broker_cpu), "codec": 0.0}, "busy": round(busy / all_, 2)}
