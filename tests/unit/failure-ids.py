"""Checks that a test asserts each id of a failure or a warning (hub/base/failure-kinds.inc): "disk-full" in an end-to-end
test ("^disk-full: " if it compares texts), or FailureId::DISK_FULL in a unit test."""
import pathlib
import re
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]


def main():
    kinds = re.findall(r'^PIBRAIN_(?:FAILURE|WARNING)\((\w+), "([a-z-]+)"', (PROJECT / "hub/base/failure-kinds.inc").read_text(), re.M)
    ends = "".join(path.read_text() for path in (PROJECT / "tests/e2e").glob("*.py"))
    units = "".join(path.read_text() for path in (PROJECT / "tests/unit").glob("*.cc"))
    missing = [name for constant, name in kinds
               if not re.search(rf"""["'^]{name}["':]""", ends) and not re.search(rf"FailureId::{constant}\b", units)]
    used = "".join(path.read_text() for path in (PROJECT / "hub").rglob("*.cc"))
    idle = [name for constant, name in kinds if not re.search(rf"FailureId::{constant}\b", used)]
    for name in missing:
        print(f"no test asserts {name}")
    for name in idle:
        print(f"nothing fails with {name}")
    if not missing and not idle:
        print(f"{len(kinds)} ids, each asserted by a test")
    return bool(missing or idle)


if __name__ == "__main__":
    sys.exit(main())
