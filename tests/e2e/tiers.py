"""How much of a sweep or of a table of cases a run goes through: in the full tier all of it, in the short one a share.

The share is spread evenly and begins at an offset that the seed gives. The seed differs between runs, so that in time
each point has its turn. See tests/README.md.
"""
import collections
import os
import pathlib
import random
import re

FULL = os.environ.get("PIBRAIN_TEST_FULL", "0") != "0"
SEED = os.environ.setdefault("PIBRAIN_TEST_SEED", str(random.SystemRandom().randrange(1_000_000)))
_sweeps = collections.Counter()


def again():
    """What repeats this run, for people."""
    test = os.environ.get("PIBRAIN_TEST_NAME")
    if not test:
        return f"PIBRAIN_TEST_SEED={SEED}"
    preset = pathlib.Path(os.environ["PIBRAIN_BIN"]).resolve().parent.name
    return f"PIBRAIN_TEST_SEED={SEED} ctest --preset {preset} -R '^{re.escape(test)}$'"


def seeded(what):
    """A random generator that gives the same for the same seed and `what`."""
    return random.Random(f"{SEED} {what}")


def sweep(what, points, most):
    """Of these points `most`, in their order; in the full tier all. `what` names the sweep to who reads the output."""
    points = list(points)
    if FULL or len(points) <= most:
        return points
    step = len(points) / most
    _sweeps[what] += 1  # the next of that name begins elsewhere
    begin = seeded(f"{what} {_sweeps[what]}").random() * step
    chosen = [points[int(begin + number * step)] for number in range(most)]
    print(f"{what}: {most} of {len(points)}, by seed {SEED}: {', '.join(map(str, chosen))[:500]}\n"
          f"  again: {again()}; all of them: PIBRAIN_TEST_FULL=1", flush=True)
    return chosen


def rounds(full, short):
    """How many times something random is tried."""
    return full if FULL else short
