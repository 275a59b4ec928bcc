#!/bin/sh
# Build the fuzz harnesses and run each from its committed corpus, two at a time. Fails if a harness
# finds something, and leaves the input in build/fuzz/findings/.
#
# usage: tests/fuzz/run.sh [SECONDS] [HARNESS…]      default: 60 seconds each, all harnesses
set -eu
cd "$(dirname "$0")/../.."

seconds=60
case ${1:-} in
  '' | *[!0-9]*) ;;
  *)
    seconds=$1
    shift
    ;;
esac
[ $# -gt 0 ] || set -- $(ls tests/fuzz/corpus)

deploy/install-build-deps.sh --fuzz
cmake --preset fuzz -DPIBRAIN_WARNINGS_AS_ERRORS=ON
cmake --build --preset fuzz

base=/dev/shm
[ -w "$base" ] || base=${TMPDIR:-/tmp}
work=$(mktemp -d "$base/pi-brain-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The script that runs one harness: WORK SECONDS HARNESS. Without these options, a third of the time
# goes into mapping and unmapping the shadow memory of large buffers, and the slow harnesses never reach
# inputs that are longer than the seeds.
one='
  dir=$1/$3
  mkdir -p "$dir/corpus" "$dir/files"
  cp "tests/fuzz/corpus/$3/"* "$dir/corpus/"
  status=0
  TMPDIR=$dir/files ASAN_OPTIONS=quarantine_size_mb=32:clear_shadow_mmap_threshold=1000000000 \
    UBSAN_OPTIONS=print_stacktrace=1 "build/fuzz/bin/fuzz-$3" \
    -max_total_time="$2" -len_control=0 -rss_limit_mb=1024 -timeout=20 -print_final_stats=1 \
    -artifact_prefix="$dir/" "$dir/corpus" >"$dir/log" 2>&1 || status=$?
  count=$(sed -n "s/^stat::number_of_executed_units: *//p" "$dir/log")
  covered=$(sed -n "s/.* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p" "$dir/log" | tail -n 1)
  result=$([ "$status" -eq 0 ] && echo ok || echo "FOUND SOMETHING")
  printf "%-16s %9s executions, %s: %s\n" "$3" "${count:-?}" "${covered:-?}" "$result" >"$dir/line"
  cat "$dir/line"
  [ "$status" -eq 0 ] && exit 0
  mkdir -p build/fuzz/findings
  for input in "$dir"/crash-* "$dir"/leak-* "$dir"/oom-* "$dir"/timeout-*; do
    [ ! -e "$input" ] || cp "$input" "build/fuzz/findings/$3-$(basename "$input")"
  done
  tail -n 80 "$dir/log" >&2
  exit 1
'
status=0
printf '%s\n' "$@" | xargs -P 2 -I HARNESS sh -c "$one" one "$work" "$seconds" HARNESS || status=1
echo "=== after $seconds seconds each"
cat "$work"/*/line
exit $status
