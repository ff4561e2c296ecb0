"""The Celery application that the bench of the queue is compared with: a task that does nothing.

`python celery_app.py COUNT` publishes that many, and prints when it began.
"""

import os
import socket
import sys
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ.get("BENCH_RESULTS") or None)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=not os.environ.get("BENCH_RESULTS"),
    task_default_delivery_mode="persistent",
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True} if os.environ["BENCH_BROKER"].startswith("amqp") else {},
)
if os.environ["BENCH_BROKER"].startswith("amqp"):
    app.conf.update(task_default_queue_type="quorum", task_default_exchange_type="topic", worker_detect_quorum_queues=True)
done = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@app.task(name="noop")
def noop(number):
    """Says to the bench that it ran."""
    done.sendto(b"1", os.environ["BENCH_DONE"])


if __name__ == "__main__":
    with app.producer_pool.acquire() as producer:
        # The connection and the queue are there before the clock runs.
        noop.apply_async((-1,), producer=producer)
        input()
        print(time.monotonic(), flush=True)
        for index in range(int(sys.argv[1])):
            noop.apply_async((index,), producer=producer)
