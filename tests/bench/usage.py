"""What processes use: CPU from /proc."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """Parent, own CPU seconds, and CPU seconds of the children that were waited for; `None` where there is no such process."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    own, waited = (sum(int(ticks) for ticks in fields[at:at + 2]) / TICKS for at in (11, 13))
    return int(fields[1]), own, waited


def descendants(root):
    """Every living process below `root`, without it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := stat(entry)):
            parents.setdefault(found[0], []).append(int(entry))
    below, open_ = [], [root]
    while open_:
        below += parents.get(open_[-1], [])
        open_ += parents.get(open_.pop(), [])
    return below


def own(pids):
    """CPU seconds of processes, without their children."""
    return sum(found[1] for pid in pids if (found := stat(pid)))


def codecs(pids):
    """CPU seconds of everything that these processes started."""
    ended = sum(found[2] for pid in pids if (found := stat(pid)))
    living = [found for pid in pids for child in descendants(pid) if (found := stat(child))]
    return ended + sum(found[1] + found[2] for found in living)


def machine():
    """Busy and all CPU seconds of the machine."""
    ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS


def warn_if_busy():
    """Figures of a machine that does other things say little."""
    load = os.getloadavg()[0]
    if load > 0.5 * os.cpu_count():
        print(f"this machine is busy (load {load:.1f}): rates and CPU times say little")
