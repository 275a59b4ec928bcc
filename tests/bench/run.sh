#!/bin/sh
# Build the release preset and measure `pi-brain sync run` against `rsync -az`, side by side.
#
# usage: tests/bench/run.sh [ROW…]        'tests/bench/bench.py --help' has the details
set -eu
cd "$(dirname "$0")/../.."

deploy/install-build-deps.sh --test
cmake --preset release >/dev/null
cmake --build --preset release --target pi-brain pi-brain-agent micro-benchmarks
PIBRAIN_BIN=$PWD/build/release/bin exec python3 tests/bench/bench.py --out build/bench "$@"
