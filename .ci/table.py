"""Prints the tiers of a finished job (the object of `jetreel submit --wait --json` on standard input) as a table."""

import json
import sys
import urllib.request


def rows(job, base):
    """A row for each tier; what is downloaded is asked for its size."""
    for tier in job["tiers"]:
        size = "-"
        if tier.get("download"):
            request = urllib.request.Request(base + tier["download"], method="HEAD")
            with urllib.request.urlopen(request) as answer:
                size = f"{int(answer.headers['content-length']) / 1e6:.2f} MB"
        yield tier["name"], f"{tier['width']}x{tier['height']}", size, base + (tier.get("download") or "")


def main():
    base = sys.argv[1]
    job = json.load(sys.stdin)
    table = [("tier", "pixels", "size", "MP4"), *rows(job, base)]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    print(f"\n{job['status'].lower()}: {job.get('title') or job['id']}\n")
    for row in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(f"\nplayer  {base}{job['player']}\nHLS     {base}{job['playback']}\n")


if __name__ == "__main__":
    main()
