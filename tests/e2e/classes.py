"""Lists the classes of tests in the suites, with their costs. CMake registers each class as a test.

usage: classes.py                  prints SUITE CLASS SECONDS for each, where SECONDS is from costs.txt
       classes.py --check SUITE…   compares what it finds with unittest's discovery, and with the suites of CMake
       classes.py --measured DIR   rewrites costs.txt from ctest's log in the build directory DIR
"""
import ast
import importlib
import os
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
COSTS = HERE / "costs.txt"
UNKNOWN = 30  # seconds of a class that was never measured, so that it starts early


def suites():
    return {path.stem.removeprefix("test_"): path for path in sorted(HERE.glob("test_*.py"))}


def tests_of(path):
    """Maps each class to the names of its tests, with inherited ones. Bases in other modules count if these are suites."""
    tree = ast.parse(path.read_text(), str(path))
    known, found = {}, {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        tests = set()
        for base in map(ast.unparse, node.bases):
            module, _, name = base.rpartition(".")
            if not module:
                tests |= known.get(name, set())
            elif module in {p.stem for p in suites().values()}:
                tests |= tests_of(HERE / f"{module}.py").get(name, set())
        # test_x = None removes an inherited test.
        tests -= {target.id for a in node.body if isinstance(a, ast.Assign) for target in a.targets if isinstance(target, ast.Name)}
        tests |= {f.name for f in node.body if isinstance(f, ast.FunctionDef) and f.name.startswith("test")}
        known[node.name] = tests
        if tests:
            found[node.name] = tests
    return found


def costs():
    lines = COSTS.read_text().splitlines() if COSTS.exists() else []
    return {name: float(seconds) for name, seconds in (line.split() for line in lines if line and line[0] != "#")}


def loaded(suite):
    """The (class, test) pairs that unittest finds."""
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from loaded(one)
        else:
            yield type(one).__name__, one._testMethodName


def check(registered):
    """Checks that no test is forgotten: the classes of a suite have all tests that unittest would run, and CMake has them."""
    texts = "".join(path.read_text() for path in HERE.glob("*.py"))
    for name in re.findall(r'environ\["(PIBRAIN_\w+)"\]', texts):
        os.environ.setdefault(name, "/nowhere")  # the suites read it when they are loaded
    wrong = sorted(set(suites()) ^ set(registered))
    for suite in wrong:
        print(f"{suite}: configure again; tests/e2e/CMakeLists.txt must list each test_*.py")
    for suite, path in suites().items():
        ours = sorted((name, test) for name, tests in tests_of(path).items() for test in tests)
        theirs = sorted(loaded(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(path.stem))))
        if ours != theirs or not ours:
            wrong.append(suite)
            print(f"{suite}: found here alone: {set(ours) - set(theirs)}; found by unittest alone: {set(theirs) - set(ours)}")
    print(f"{len(suites())} suites, {sum(len(tests_of(path)) for path in suites().values())} classes, {len(wrong)} differ")
    return wrong


def measured(directory):
    """Classes that were not run keep their old costs."""
    known = costs()
    log = (pathlib.Path(directory) / "Testing/Temporary/LastTest.log").read_text(errors="replace")
    for name, seconds in re.findall(r"^\d+/\d+ Testing: e2e\.(\w+\.\w+)$.*?^Test time = +([\d.]+) sec$", log, re.M | re.S):
        known[name] = float(seconds)
    there = {f"{suite}.{name}" for suite, path in suites().items() for name in tests_of(path)}
    COSTS.write_text("# Seconds that each class of tests takes in the short tier, for the order in which ctest starts them:\n"
                     "# `python3 tests/e2e/classes.py --measured build/release` after a run.\n" +
                     "".join(f"{name} {seconds:.0f}\n" for name, seconds in sorted(known.items(), key=lambda one: (-one[1], one[0]))
                             if name in there))


def main():
    if sys.argv[1:2] == ["--check"]:
        return bool(check(sys.argv[2:]))
    if sys.argv[1:2] == ["--measured"]:
        return measured(*sys.argv[2:])
    known = costs()
    for suite, path in suites().items():
        for name in tests_of(path):
            print(suite, name, f"{known.get(f'{suite}.{name}', UNKNOWN):.0f}")


if __name__ == "__main__":
    sys.exit(main())
