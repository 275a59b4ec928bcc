#!/bin/sh
# Make many machines spokes, several at a time, with 'pi-brain spoke add'. Running it again changes
# nothing, and a machine that fails does not stop the others. Your own ssh login must work on each
# machine without a question: keys in an ssh-agent, host keys in known_hosts.
set -eu

help() {
  cat <<'END'
usage: fleet.sh --inventory FILE [--jobs N] [--dry-run] [--limit PATTERN]
                [--report FILE] [--exclude PATTERN]... [--config PATH]
                [--agents DIR]

  --inventory FILE  a line for each machine: NAME USER@HOST[:PORT] [ROOT]; or an
                    ssh configuration, in which each Host without a pattern is a
                    machine
  --jobs N          how many machines at a time (default 8)
  --dry-run         print what would be done, and only write the report
  --limit PATTERN   only the names that match this shell pattern: 'web-*'
  --report FILE     write the results as JSON to FILE (default
                    ~/.pi-brain/logs/fleet.json)
  --exclude PATTERN, --config PATH, --agents DIR
                    as for 'pi-brain spoke add'

Exit code: 0 if no machine failed, 1 if one did, 2 for a mistake in the options
or the inventory.
END
}

mistake() {
  measure 2
  wrap 2 "fleet.sh: $*" >&2
  exit 2
}

# Sets width: the columns of the terminal that a file descriptor leads to, at most 100; empty if it leads elsewhere.
measure() {
  width=
  [ -t "$1" ] || return 0
  width=$({ stty size </dev/tty; } 2>/dev/null | awk '$2 > 0 { print ($2 < 100 ? $2 : 100) }')
  width=${width:-${COLUMNS:-80}}
}

# wrap INDENT TEXT: prints a text. On a terminal, it breaks lines between words, and indents those that follow.
wrap() {
  if [ -z "$width" ]; then printf '%s\n' "$2"; return; fi
  printf '%s\n' "$2" | awk -v indent="$1" -v width="$width" '{
    line = substr($0, 1, match($0, /[^ ]/) - 1) $1
    for (i = 2; i <= NF; i++)
      if (length(line $i) < width) line = line " " $i
      else { print line; line = sprintf("%" indent "s", "") $i }
    print line }'
}

# Sets up the machine of that number, and prints its row.
set_up() {
  number=$1 work=$FLEET_WORK width=$FLEET_WIDTH
  set -- ${FLEET_DRY_RUN:+--dry-run}
  [ -z "$FLEET_CONFIG" ] || set -- "$@" --config "$FLEET_CONFIG"
  [ -z "$FLEET_AGENTS" ] || set -- "$@" --agents "$FLEET_AGENTS"
  { read -r name; read -r target; read -r port; read -r root; } <"$work/$number.in"
  [ "$port" = - ] || set -- "$@" --port "$port"
  [ -z "$root" ] || set -- "$@" --root "$root"
  while IFS= read -r pattern; do set -- "$@" --exclude "$pattern"; done <"$work/excludes"
  document=$work/$number.json
  pi-brain spoke add --batch --json "$@" -- "$name" "$target" >"$document" 2>"$work/$number.err" || :
  outcome=$(field outcome) error=$(field error)
  seconds=$(LC_ALL=C awk '$1 == "\"seconds\":" { printf "%.1f", $2 }' "$document")
  if [ -z "$outcome" ]; then
    outcome=failed error=$(tail -n 1 "$work/$number.err")
    # Of a command that failed before it had its document.
    failure=$(sed -n '/^  "failure": {/,$p' "$document" | sed '1s/^  "failure": //; $s/ }$//')
    printf '{"ok": false, "spokes": [{"name": %s, "target": %s, "outcome": "failed", "error": %s, "failure": %s}]}\n' \
      "$(in_json "$name")" "$(in_json "$target")" "$(in_json "$error")" "${failure:-null}" >"$document"
  fi
  case $FLEET_DRY_RUN/$outcome in
    /* | */failed | */unchanged) ;;
    *) outcome="would be $outcome" ;;
  esac
  printf '%s\n' "$outcome" >"$work/$number.outcome"
  error=$(printf '%s' "$error" | unescaped)
  if [ -n "$width" ] && [ -n "$error" ]; then
    error=$newline$(explain)
  else
    error=${error:+  $error}
  fi
  # At once, since others print at the same time.
  printf '%-20s %-30s %-16s %5s s%s\n' "$name" "$target" "$outcome" "${seconds:-0.0}" "$error"
}

# The first field of that name in the document.
field() { sed -n "s/^ *\"$1\": \"\(.*\)\",*$/\1/p" "$document" | sed 1q; }

in_json() { printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g')"; }
unescaped() { sed 's/\\n/ /g; s/\\\([\\"]\)/\1/g'; }

# Prints the document's failure as pi-brain does on a terminal: what, why, and a line for each command.
explain() {
  if ! grep -q '"failure": {' "$document"; then
    wrap 2 "  $error"
    return
  fi
  awk '
    { text = text $0 }
    END {
      sub(/.*"failure": [{]/, "", text)
      while (match(text, /"(what|cause|text|command)": ("([^"\\]|\\.)*"|null)/)) {
        name = value = substr(text, RSTART + 1, RLENGTH - 1)
        text = substr(text, RSTART + RLENGTH)
        sub(/".*/, "", name)
        sub(/^[^:]*: "?/, "", value)
        sub(/"$/, "", value)
        if (name == "what") print "2\t  " value
        if (name == "cause" && value != "null") print "9\t    Why: " value
        if (name == "text") fix = value
        if (name == "command") print "9\t    Fix: " fix (value == "null" ? "." : ":")
        if (name == "command" && value != "null") print "-\t      " value
      }
    }' "$document" | unescaped | while IFS=$tab read -r indent text; do
    if [ "$indent" = - ]; then printf '%s\n' "$text"; else wrap "$indent" "$text"; fi
  done
}

newline='
'
tab=$(printf '\t')
if [ "${1:-}" = --set-up ]; then # this script, as it runs itself below
  set_up "$2"
  exit
fi
inventory= jobs=8 dry_run= limit='*' report=${HOME:?}/.pi-brain/logs/fleet.json config= agents= excludes=
while [ $# -gt 0 ]; do
  case $1 in
    --*=*)
      name=${1%%=*}
      value=${1#*=}
      shift
      set -- "$name" "$value" "$@"
      ;;
  esac
  case $1 in
    --dry-run) dry_run=--dry-run ;;
    -h | --help)
      help
      exit 0
      ;;
    --inventory | --jobs | --limit | --report | --config | --agents | --exclude)
      [ $# -ge 2 ] && { [ -n "$2" ] || [ "$1" = --exclude ]; } || mistake "$1 needs a value."
      case $1 in
        --inventory) inventory=$2 ;;
        --jobs) jobs=$2 ;;
        --limit) limit=$2 ;;
        --report) report=$2 ;;
        --config) config=$2 ;;
        --agents) agents=$2 ;;
        --exclude) excludes="$excludes$2$newline" ;;
      esac
      shift
      ;;
    *) mistake "unknown argument '$1'. 'fleet.sh --help' lists the options." ;;
  esac
  shift
done
[ -n "$inventory" ] || mistake "--inventory FILE is missing: a file with a line 'NAME USER@HOST' for each machine."
[ -r "$inventory" ] || mistake "cannot read the inventory $inventory."
case $jobs in
  '' | *[!0-9]* | 0* | ????*) mistake "--jobs must be a number from 1 to 999." ;;
esac
command -v pi-brain >/dev/null || mistake "pi-brain is not on PATH."

work=$(mktemp -d "${TMPDIR:-/tmp}/pi-brain-fleet.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

# Checks that the report can be written, before anything is done. A regular file is replaced; a symlink
# or a special file is written to.
[ ! -d "$report" ] || mistake "--report $report is a directory; it must be a file."
mkdir -p "$(dirname "$report")" || mistake "cannot make the directory of --report $report."
if [ -L "$report" ] || { [ -e "$report" ] && [ ! -f "$report" ]; }; then
  [ -w "$report" ] || [ ! -e "$report" ] || mistake "cannot write to --report $report."
  new_report=
else
  new_report=$report.$$
  : >"$new_report" || mistake "cannot write to the directory of --report $report."
  trap 'rm -rf "$work" "$new_report"' EXIT
fi

# Writes a line "NAME<tab>TARGET<tab>PORT<tab>ROOT" for each machine. An inventory has no line "Host NAME…", and
# an ssh configuration no "NAME USER@HOST", except in settings with such a value. The inventory is read
# once, since it may be a pipe.
cat -- "$inventory" >"$work/inventory" || mistake "cannot read the inventory $inventory."
config_lines=$(sed 's/[[:space:]]#.*//' "$work/inventory" | grep -ciE '^[[:space:]]*host([[:space:]]+|[[:space:]]*=[[:space:]]*)[^@]*$' || :)
FILE=$inventory LC_ALL=C awk -v config="$config_lines" '
  function bad(what) { print ENVIRON["FILE"] ":" FNR ": " what >"/dev/stderr"; exit 2 }
  function machine(name, target, root) {
    if (name in seen && config) return # a second section about it
    if (name in seen) bad("the name " name " is already used in line " seen[name] ".")
    seen[name] = FNR
    port = "-" # an IPv6 address has more than one colon
    if (target ~ /^[^:]*:[0-9]+$/ || target ~ /\]:[0-9]+$/) {
      port = target
      sub(/.*:/, "", port)
      sub(/:[0-9]+$/, "", target)
    }
    print name "\t" target "\t" port "\t" root
  }
  NR == 1 { sub(/^\357\273\277/, "") }
  { sub(/\r$/, "") }
  /[\001-\010\013-\037\177]/ { bad("this line has a control character. The file may have the line ends of Windows.") }
  { sub(/(^|[ \t]+)#.*$/, "") }
  NF == 0 { next }
  config {
    if (NF <= 3 && $2 ~ /^[^@\/%]+@[^@\/%]+$/ && tolower($1) !~ /^(proxyjump|match|user|hostkeyalias|setenv|sendenv|ciphers|macs|[a-z]*(file|command|algorithms|types))$/)
      bad("this line looks like a machine, but other lines look like an ssh configuration (\"Host …\"). Use two files.")
    sub(/=/, " ")
    gsub(/"/, "")
    if (tolower($1) == "host") for (i = 2; i <= NF; i++) if ($i !~ /[*?!]/) machine($i, $i, "")
    next
  }
  NF < 2 { bad("expected NAME USER@HOST[:PORT] [ROOT].") }
  { root = $0; sub(/^[ \t]*[^ \t]+[ \t]+[^ \t]+[ \t]*/, "", root); machine($1, $2, root) }
' "$work/inventory" >"$work/all" 2>"$work/bad" || mistake "$(cat "$work/bad")"

number=0
while IFS=$tab read -r name target port root; do
  # shellcheck disable=SC2254 # limit is a pattern
  case $name in
    $limit) ;;
    *) continue ;;
  esac
  number=$((number + 1))
  printf '%s\n' "$name" "$target" "$port" "$root" >"$work/$number.in"
done <"$work/all"
printf '%s' "$excludes" >"$work/excludes"
[ "$number" -gt 0 ] || mistake "no machine of $inventory matches '$limit'."

measure 1
printf '%-20s %-30s %-16s %7s\n' NAME TARGET RESULT TIME
i=0
while [ $i -lt $number ]; do
  i=$((i + 1))
  echo $i
done | FLEET_WORK=$work FLEET_DRY_RUN=$dry_run FLEET_CONFIG=$config FLEET_AGENTS=$agents FLEET_WIDTH=$width \
  xargs -P "$jobs" -n 1 sh "$0" --set-up || echo "fleet.sh: not every machine was tried." >&2

{
  echo '['
  i=0
  while [ $i -lt $number ]; do
    i=$((i + 1))
    cat "$work/$i.json" 2>/dev/null || echo '{"ok": false, "spokes": []}'
    [ $i -eq $number ] || echo ','
  done
  echo ']'
} >"$work/report"
if [ -n "$new_report" ]; then
  cat "$work/report" >"$new_report"
  mv -f "$new_report" "$report"
elif [ "$report" = /dev/stdout ]; then
  cat "$work/report" # to open /dev/stdout again would truncate a file behind it
else
  cat "$work/report" >"$report"
fi

summary=$(cat "$work"/*.outcome | sort | uniq -c | awk '{ n = $1; $1 = ""; printf "%s%d%s", (NR > 1 ? ", " : ""), n, $0 }')
wrap 2 "$number machine$([ "$number" -eq 1 ] || echo s): $summary${dry_run:+ (nothing was changed)}. The report is $report"
[ "$(cat "$work"/*.outcome | grep -vc '^failed$')" -eq "$number" ]
