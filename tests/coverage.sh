#!/bin/sh
# Build with counters, run the tests, and print the share of lines of common/, hub/ and spoke-agent/
# that ran, in all processes: hubs, sandboxed agents, and those that were killed. build/coverage/html
# shows the lines.
#
# usage: tests/coverage.sh [CTEST-OPTION…]
set -eu
cd "$(dirname "$0")/.."

deploy/install-build-deps.sh --coverage
cmake --preset coverage
cmake --build --preset coverage
rm -rf build/coverage/profiles
export PIBRAIN_TEST_FULL="${PIBRAIN_TEST_FULL:-1}"
status=0
ctest --preset coverage -j "$(nproc)" "$@" || status=$?

cd build/coverage
llvm-profdata merge -sparse -o all.profdata profiles/*.profraw
set -- bin/pi-brain
for program in bin/*; do
  set -- "$@" -object "$program"
done
# What is not the programs' own: libraries, generated code, tests.
set -- "$@" -instr-profile=all.profdata -ignore-filename-regex='^/usr/|/tests/|/proto/'
llvm-cov show "$@" -format=html -output-dir=html >/dev/null
llvm-cov export "$@" -summary-only | python3 -c '
import collections, json, os, sys
totals = collections.defaultdict(lambda: [0, 0])
for file in json.load(sys.stdin)["data"][0]["files"]:
    path = os.path.relpath(file["filename"], sys.argv[1])
    lines = file["summary"]["lines"]
    print("%6.1f%%  %4d of %4d  %s" % (lines["percent"], lines["covered"], lines["count"], path))
    for name in (os.path.dirname(path) + "/", "all"):
        totals[name][0] += lines["covered"]
        totals[name][1] += lines["count"]
print()
for name, (covered, count) in totals.items():
    print("%6.1f%%  %5d of %5d lines  %s" % (100 * covered / count, covered, count, name))
' ../..
exit $status
