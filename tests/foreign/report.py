"""What was checked, as JSON lines on standard output: {"check": NAME}, {"failed": NAME, "why": TEXT}, {"done": COUNT}."""

import json
import sys
import time

# How long anything may take that is waited for, in seconds. Nothing is expected to take this long.
LIMIT = 30.0

_passed = 0


class Failed(Exception):
    """An expectation that did not hold."""


def passed(name):
    """Says that a check has passed."""
    global _passed
    _passed += 1
    print(json.dumps({"check": name}), flush=True)


def require(held, why):
    """Ends the scene with this reason unless `held`."""
    if not held:
        raise Failed(why)


def equal(found, expected, what):
    """Ends the scene unless both are the same."""
    require(found == expected, f"{what}: found {found!r}, expected {expected!r}")


def says(text, *parts):
    """Ends the scene unless the text holds all parts."""
    for part in parts:
        require(part in text, f"{text!r} does not say {part!r}")


def eventually(what, look, limit=LIMIT):
    """Looks until `look` returns something true; its result. A `Failed` in it is a reason to look again."""
    deadline = time.monotonic() + limit
    reason = "it was not so"
    while True:
        try:
            found = look()
            if found:
                return found
        except Failed as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise Failed(f"waited {limit:.0f} s for {what}: {reason}")
        time.sleep(0.02)


def run(scene):
    """Runs a scene to its end and exits with its verdict."""
    try:
        scene()
    except Failed as error:
        import traceback

        where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        print(json.dumps({"failed": str(error), "where": where}), flush=True)
        return 1
    except Exception as error:  # a fault of the script must be as readable as one of Peerway
        import traceback

        print(json.dumps({"failed": repr(error), "where": traceback.format_exc().splitlines()}), flush=True)
        return 1
    print(json.dumps({"done": _passed}), flush=True)
    sys.stdout.flush()
    return 0
