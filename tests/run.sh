#!/bin/sh
# Install what is needed, build, and test. tests/README.md describes the tiers, and how to read a failure.
#
# usage: tests/run.sh [--full] [PRESET…]
#   without arguments  the short tier, in 12 to 17 minutes on two cores: every suite in its short form in the release
#                      build; unit tests, mirror, ssh, hostile peers, stream and the fuzz corpora with sanitizers
#   --full             everything, in hours: whole sweeps, ThreadSanitizer, fuzzing, aarch64 under qemu, Debian 13
#   PRESET…            only these presets of the tier: release asan debug, and with --full also tsan fuzz debian13
set -eu
cd "$(dirname "$0")/.."

full=
[ "${1:-}" != --full ] || { full=1; shift; }
if [ $# -eq 0 ]; then
  set -- release asan
  [ -z "$full" ] || set -- "$@" tsan fuzz debian13
fi
for preset in "$@"; do
  case $full/$preset in
    */release | */asan | */debug | 1/tsan | 1/fuzz | 1/debian13) ;;
    */tsan | */fuzz | */debian13) echo "tests/run.sh: $preset is in the full tier: tests/run.sh --full $preset" >&2; exit 2 ;;
    *) echo "tests/run.sh: $preset is not a preset. The comment at the head of this file lists them." >&2; exit 2 ;;
  esac
done

# One seed for all tests, so that one number repeats this run.
seed=${PIBRAIN_TEST_SEED:-$(($(od -An -N3 -tu4 /dev/urandom)))}
export PIBRAIN_TEST_SEED="$seed"
tier=short quick=ON
if [ -n "$full" ]; then
  # File by file, which finds a missing #include.
  tier=full quick=OFF
  export PIBRAIN_TEST_FULL=1
fi
echo "=== $tier tier, seed $seed: PIBRAIN_TEST_SEED=$seed repeats its choices"

deploy/install-build-deps.sh --test

began=$(date +%s)
say() { echo "=== $(($(date +%s) - began)) s: $*"; }

failed=
outputs=$(mktemp)
# failed_tests: prints the last lines of each failed test in CTest's log.
failed_tests() {
  awk '
    /^[0-9]+\/[0-9]+ Test: / { test = $3; lines = 0 }
    { line[lines++ % 100] = $0 }
    /^Test (Failed|Timeout)/ || /^\*\*\*(Failed|Timeout|Exception)/ {
      print "=== the end of " test ":"
      for (i = lines > 100 ? lines - 100 : 0; i < lines; ++i) print line[i % 100]
    }'
}
# run_tests PRESET [CTEST-OPTION…]: continues after a failure, and prints what was skipped.
run_tests() {
  preset=$1
  shift
  say "$preset: test"
  # Tests wait most of the time: for timeouts, for the disk, for each other.
  log=build/$preset/Testing/Temporary/LastTest.log
  ctest --preset "$preset" --no-tests=error -j "$(($(nproc) * 3))" "$@" || {
    failed="$failed $preset"
    # Once more at the end of this run, where they are found.
    failed_tests <"$log" >>"$outputs"
  }
  awk '/^[0-9]+\/[0-9]+ Test: / { test = $3 } /^OK \(|^FAILED \(/ && /skipped=/ { print "skipped in " test ": " $0 }' \
    "$log"
}

configure() {
  cmake --preset "$1" -DPIBRAIN_WARNINGS_AS_ERRORS=ON -DPIBRAIN_QUICK_BUILD="$quick"
}

ahead=  # the process that builds the next preset
trap '[ -z "$ahead" ] || kill "$ahead" 2>/dev/null; rm -f "$outputs"' EXIT
trap 'exit 1' HUP INT TERM

for preset in "$@"; do
  case $preset in
    debian13)
      say "Debian 13"
      tests/debian13.sh || failed="$failed debian13"
      continue
      ;;
    fuzz)
      say "fuzz"
      tests/fuzz/run.sh || failed="$failed fuzz"
      continue
      ;;
  esac
  say "$preset: build"
  if [ -n "$ahead" ] && [ "$preset" = asan ]; then
    wait "$ahead" || { cat build/asan/build.log; exit 1; }
    ahead=
  else
    configure "$preset"
    if [ "$preset" = asan ] && [ -z "$full" ]; then
      cmake --build --preset asan --target short-tests
    else
      cmake --build --preset "$preset"
    fi
  fi
  case "$full $preset $*" in
    " release "*asan*)
      # The tests wait most of the time. Meanwhile the next preset is built at the lowest priority.
      configure asan >/dev/null
      nice -n 19 ninja -C build/asan -j "$(nproc)" short-tests >build/asan/build.log 2>&1 &
      ahead=$!
      ;;
  esac
  case $full/$preset in
    1/tsan) run_tests tsan -R '^e2e' -E 'hostile|e2e\.classes' ;;
    1/*) run_tests "$preset" ;;
    *) run_tests "$preset" -L '^short$' ;;
  esac
done
if [ -n "$failed" ]; then
  cat "$outputs"
  say "FAILED:$failed"
  exit 1
fi
say "all passed"
