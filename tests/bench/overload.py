"""Sustained overload: uploads arrive at twice the rate at which the slots can finish them."""

import statistics
import threading
import time

import cluster
import loads

TABLE = cluster.ROOT / "tests/fixtures/noop_codec/service_times.tsv"
OVERLOAD = 2.0
PLAYABLE_SECONDS = 10.0
PATIENCE = 3600
# What a recording of this length has of each kind, from the plan of the defaults at 25 frames per second.
AAC_UNIT, SAMPLES, PICTURE_SECONDS, TIERS = 1024, 48_000, 5, 5


def rates():
    """Mean seconds of a unit of work by kind."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            kind, amount, seconds = line.split("\t")[:3]
            rows.setdefault(kind, []).append(float(seconds) / float(amount))
    return {kind: statistics.mean(of_kind) for kind, of_kind in rows.items()}


def slot_seconds(recording):
    """Recorded seconds of all tasks of a recording, without its probe, which takes no slot."""
    each, frames = rates(), recording.seconds * recording.rate
    # It ends at the first random-access point after two seconds.
    first = min(-(-2 // recording.key) * recording.key, recording.seconds) * recording.rate
    amounts = {"first": first, "main": frames - first, "audio": recording.sound * recording.seconds * SAMPLES / AAC_UNIT,
               "images": recording.seconds / PICTURE_SECONDS, "package": frames * (TIERS - 1), "verify": frames}
    return sum(each[kind] * amount for kind, amount in amounts.items())


def measured(args, recording, brokers, nodes):
    """Uploads for a while, then waits until all is completed."""
    slots = len(nodes) * args.slots
    capacity = slots * args.overload_speed / slot_seconds(recording)
    watcher = loads.Watcher(brokers.ports[0])
    begun = time.monotonic()
    accepted = arrive([node.port for node in nodes], recording.file(), OVERLOAD * capacity, begun, args.seconds)
    last = watcher.completed(len(accepted), PATIENCE)
    watcher.close()
    return figures(accepted, watcher.facts, capacity, begun, begun + args.seconds, last)


def arrive(ports, body, rate, begun, seconds):
    """Uploads at even distances. Returns when each video was accepted."""
    accepted, lock, turn = {}, threading.Lock(), iter(range(int(rate * seconds)))

    def some(port):
        uploader = loads.Uploader(port)
        while True:
            with lock:
                index = next(turn, None)
            if index is None:
                return
            time.sleep(max(0.0, begun + index / rate - time.monotonic()))
            video, at = uploader.upload(body)
            with lock:
                accepted[video] = at

    clients = [threading.Thread(target=some, args=(ports[index % len(ports)],)) for index in range(loads.UPLOADERS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return accepted


def figures(accepted, facts, capacity, begun, end, last):
    completed, playable = facts["completed"], facts["playable"]
    minutes = range(int((end - begun + 59) // 60))
    width = min(60.0, end - begun)
    by_minute = [round(sum(begun + 60 * m <= at < begun + 60 * m + width for at in completed.values()) / width, 3) for m in minutes]
    waits = sorted(playable[video] - at for video, at in accepted.items())
    meanwhile = sum(at < end for at in completed.values())
    return {"capacity_per_second": round(capacity, 3), "uploads": len(accepted), "completed_meanwhile": meanwhile,
            "completed_per_second_by_minute": by_minute, "share_of_capacity": [round(rate / capacity, 2) for rate in by_minute],
            "playable": {"median": quantile(waits, 0.5), "p95": quantile(waits, 0.95), "longest": quantile(waits, 1.0),
                         "within_10_s": round(sum(wait <= PLAYABLE_SECONDS for wait in waits) / len(waits), 3)},
            "all_completed_after": round(last - begun, 1), "in_order": order([accepted[v] for v in sorted(completed, key=completed.get)])}


def quantile(ranked, share):
    return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 2)


def order(arrivals):
    """How far completions keep the order of arrival: pairs in order, and the most videos that one was overtaken by."""
    pairs = len(arrivals) * (len(arrivals) - 1) // 2
    overtaken = [sum(later > at for later in arrivals[:index]) for index, at in enumerate(arrivals)]
    return {"pairs_in_order": round(1 - sum(overtaken) / pairs, 4) if pairs else None, "most_overtaken_by": max(overtaken, default=0)}


def told(found):
    rates = zip(found["completed_per_second_by_minute"], found["share_of_capacity"])
    playable, in_order = found["playable"], found["in_order"]
    return "\n".join([
        "", f"overload: {found['uploads']} uploads at {OVERLOAD:g} x the capacity of {found['capacity_per_second']:.2f} a second; "
            f"{found['completed_meanwhile']} completed meanwhile, all after {found['all_completed_after']:.0f} s",
        "  completed a second by minute: " + ", ".join(f"{rate:.2f} ({share:.0%})" for rate, share in rates),
        f"  first playable after: median {playable['median']} s, p95 {playable['p95']} s, longest {playable['longest']} s; "
        f"{playable['within_10_s']:.1%} within {PLAYABLE_SECONDS:g} s",
        f"  pairs completed in the order of arrival: {in_order['pairs_in_order']:.1%}; most overtakings of one video: "
        f"{in_order['most_overtaken_by']}"])
