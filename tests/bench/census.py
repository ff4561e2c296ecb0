"""Counts requests to the broker by kind.

A subscriber of the same account hears every request, and every answer to a pull. This costs the server CPU time, so requests are counted in
a run of their own, whose rate is not reported.
"""

import collections
import json
import re
import threading

import cluster
import natswire

SUBJECTS = ["$JS.API.>", "$JS.ACK.>", "$KV.>", "video.>", "_INBOX.>"]
INBOX = SUBJECTS.index("_INBOX.>")
# Streams of what a stage queues, in words of the table.
QUEUES = {"encode": "release publish", "ledger": "ledger write", "publish": "evaluate publish", "uploads": "upload publish",
          "parts": "part publish", "transcodes": "fact publish"}
KINDS = [
    (r"\$JS\.API\.CONSUMER\.MSG\.NEXT\.([^.]+)", "pull {0}"),
    (r"\$JS\.API\.(?:STREAM\.MSG|DIRECT)\.GET\.([^.]+)", "get {0}"),
    (r"\$JS\.API\.STREAM\.PURGE\.([^.]+)", "purge {0}"),
    (r"\$JS\.API\.STREAM\.MSG\.DELETE\.([^.]+)", "delete {0}"),
    (r"\$JS\.API\.([A-Z]+\.[A-Z]+)", "api {0}"),
    (r"\$JS\.ACK\.(?:[^.]+\.)??(?:UPLOADS|ENCODE|LEDGER|PUBLISH|DLQ|ADVISORY)\.", "ack"),
    (r"\$KV\.([^.]+)", "cas {0}"),
]


def kind(subject):
    """The kind of a request by its subject; `None` for what is none."""
    for pattern, words in KINDS:
        if found := re.match(pattern, subject):
            return words.format(*found.groups())
    if subject.startswith("video."):
        return QUEUES.get(subject.split(".")[1], "publish " + subject.split(".")[1])
    return None


class Census:
    """Counts from its creation until `counted`."""

    def __init__(self, brokers):
        self.brokers, self.kinds, self.quiet = brokers, collections.Counter(), threading.Event()
        self.subscriber = natswire.Subscriber(brokers.ports[0], *SUBJECTS)
        self.before = self.subscriptions()
        self.thread = threading.Thread(target=self.count, daemon=True)
        self.thread.start()

    def subscriptions(self):
        """SUB and UNSUB since the start of the servers."""
        told = [json.loads(cluster.get(port, "/subsz")[1]) for port in self.brokers.monitors]
        return sum(one["num_inserts"] for one in told), sum(one["num_removes"] for one in told)

    def count(self):
        while not self.quiet.is_set():
            for number, subject, reply, heads, body in self.subscriber.messages(0.5):
                if number == INBOX:
                    self.answered(subject, reply, heads)
                elif what := kind(subject):
                    if what == "ack" and body.startswith(b"+WPI"):
                        what = "renew"
                    self.kinds[what] += 1

    def answered(self, subject, reply, heads):
        """A pull is answered by a message, or by a status."""
        if reply.startswith("$JS.ACK."):
            self.kinds["(pulls with a message)"] += 1
        elif heads.startswith((b"NATS/1.0 404", b"NATS/1.0 408")):
            self.kinds["(pulls without a message)"] += 1

    def counted(self):
        """Requests by kind. Names in brackets are no requests."""
        self.quiet.set()
        self.thread.join()
        self.subscriber.close()
        after = self.subscriptions()
        self.kinds["(SUB)"], self.kinds["(UNSUB)"] = (now - then for now, then in zip(after, self.before))
        return dict(self.kinds)


def requests(kinds):
    """The number of requests."""
    return sum(count for name, count in kinds.items() if not name.startswith("("))
