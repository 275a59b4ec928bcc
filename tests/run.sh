#!/bin/sh
# Install what is needed, build, and run every test: all of them in the release build and under
# AddressSanitizer + UndefinedBehaviorSanitizer, the end-to-end ones under ThreadSanitizer too.
#
# usage: tests/run.sh [PRESET…]      presets: release asan tsan debug (default: the first three)
set -eu
cd "$(dirname "$0")/.."

deploy/install-build-deps.sh

[ $# -gt 0 ] || set -- release asan tsan
for preset in "$@"; do
  echo "=== $preset: build"
  cmake --preset "$preset" -DPIBRAIN_WARNINGS_AS_ERRORS=ON
  cmake --build --preset "$preset"
  echo "=== $preset: test"
  case $preset in
    tsan) ctest --preset tsan -j "$(nproc)" -R '^e2e' ;;
    *) ctest --preset "$preset" -j "$(nproc)" ;;
  esac
done
