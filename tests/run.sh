#!/bin/sh
# Install what is needed, build, and run every test: all of them in the release build and under
# AddressSanitizer + UndefinedBehaviorSanitizer, the honest end-to-end ones under ThreadSanitizer
# too; and run the fuzz harnesses for a minute each.
#
# usage: tests/run.sh [PRESET…]      presets: release asan tsan fuzz debug (default: the first four)
set -eu
cd "$(dirname "$0")/.."

deploy/install-build-deps.sh

[ $# -gt 0 ] || set -- release asan tsan fuzz
for preset in "$@"; do
  if [ "$preset" = fuzz ]; then
    echo "=== fuzz"
    tests/fuzz/run.sh
    continue
  fi
  echo "=== $preset: build"
  cmake --preset "$preset" -DPIBRAIN_WARNINGS_AS_ERRORS=ON
  cmake --build --preset "$preset"
  echo "=== $preset: test"
  case $preset in
    tsan) ctest --preset tsan -j "$(nproc)" -R '^e2e' -E hostile ;;
    *) ctest --preset "$preset" -j "$(nproc)" ;;
  esac
done
