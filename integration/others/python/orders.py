"""The line protocol with the Go test, as ../../clients/orders.js says."""

import json
import sys
import traceback


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def next_line():
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def ask(what):
    say({"ask": what})
    answer = next_line()
    if answer.get("error"):
        raise RuntimeError(f"{what}: {answer['error']}")


def serve(names, run):
    """Calls run(name, url) for each order."""
    say({"scenarios": [{"name": name} for name in names]})
    while (order := next_line()) is not None:
        try:
            run(order["scenario"], order["url"])
            say({"done": True})
        except BaseException:  # a failed assertion too
            say({"done": True, "error": traceback.format_exc()})


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")
