"""How much of a sweep or a table of cases a run tests: all of it in the full tier, a share in the short one.

The share is spread evenly, from an offset that the seed gives. The seed differs between runs, so that in time every
point is tested. See tests/README.md.
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
    """How a person repeats this run."""
    test = os.environ.get("PIBRAIN_TEST_NAME")
    if not test:
        return f"PIBRAIN_TEST_SEED={SEED}"
    preset = pathlib.Path(os.environ["PIBRAIN_BIN"]).resolve().parent.name
    return f"PIBRAIN_TEST_SEED={SEED} ctest --preset {preset} -R '^{re.escape(test)}$'"


def seeded(what):
    """A random generator that depends on the seed and `what` alone."""
    return random.Random(f"{SEED} {what}")


def sweep(what, points, most):
    """Returns `most` of these points in their order; all in the full tier. `what` names the sweep in the output."""
    points = list(points)
    if FULL or len(points) <= most:
        return points
    step = len(points) / most
    _sweeps[what] += 1  # the next sweep of that name has another offset
    begin = seeded(f"{what} {_sweeps[what]}").random() * step
    chosen = [points[int(begin + number * step)] for number in range(most)]
    print(f"{what}: {most} of {len(points)}, by seed {SEED}: {', '.join(map(str, chosen))[:500]}\n"
          f"  again: {again()}; all of them: PIBRAIN_TEST_FULL=1", flush=True)
    return chosen


def rounds(full, short):
    """Returns how many times a random test is repeated."""
    return full if FULL else short
