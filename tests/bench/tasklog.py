"""What nodes log about tasks: when each was finished, and how long it took."""

import dataclasses
import datetime
import json


@dataclasses.dataclass
class Task:
    """A finished task."""

    at: float
    order: str
    group: str
    name: str
    seconds: float
    cpu_seconds: float


def events(text):
    """The events of a log in JSON, with their times in seconds."""
    for line in text.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            at = datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()
            yield at, event.get("fields", event)


def finished(text):
    """Every finished task, in order of time."""
    tasks = []
    for at, fields in events(text):
        if fields.get("message") == "task finished":
            name = fields["task"]
            tasks.append(Task(at, fields["order"], name.split("-")[0], name, fields["seconds"], fields["cpu_seconds"]))
    return tasks
