#!/bin/sh
# Make this machine a spoke of pi-brain sync: put the agent into ~/.local/lib/pi-brain, and one line
# into ~/.ssh/authorized_keys that lets the hub's key start it and do nothing else. Or undo that.
# The script touches nothing else, needs no root, and changes nothing when it runs again.
#
# 'pi-brain spoke add' on the hub sends this script over ssh, with the options that
# hub/setup/remote-install.h documents.
[ -z "${ZSH_VERSION:-}" ] || emulate sh
set -eu
umask 077
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/bin:/bin

help() {
  cat <<'END'
usage: install-spoke.sh --key KEY.pub [--agent FILE] [--root DIR]
                        [--from PATTERNS] [--exclude PATTERN]...
                        [--dedicated] [--print] [--exit-code]
       install-spoke.sh --uninstall [--key KEY.pub] [--print] [--exit-code]

  --key KEY.pub    the public half of the hub's key: a file, or its text
  --agent FILE     the agent for this machine (default: pi-brain-agent beside
                   this script, or on PATH)
  --root DIR       the sessions that the hub may read (default
                   ~/.pi/agent/sessions)
  --from PATTERNS  accept the key only from these addresses, as in sshd(8):
                   192.0.2.0/24,… ('*': any). Without it, a line keeps those
                   it has
  --exclude PATTERN
                   what the hub cannot read: '*.tmp' or 'node_modules/' in
                   every directory, '/work/old' at one place, similar to
                   gitignore(5). May be given several times; '' alone removes
                   all. Without it, a line keeps those it has
  --dedicated      the key is used for syncing alone: replace a line that lets
                   it do more (refused otherwise, since somebody may log in
                   with the key)
  --uninstall      remove the line of this key, or of all keys that start the
                   agent, and the agent once no line needs it
  --print          print what would be done, and do nothing
  --exit-code      for other programs: exit with 3, not 0, if this changed
                   anything or, with --print, would change it
END
}

main() {
  key= blob= source= root='~/.pi/agent/sessions' from= uninstall= print= dedicated=
  exit_code= changed=                                     # for other programs; yes: anything is new
  excludes= excluding=                                    # a pattern a line; yes: --exclude was given
  token= hashes= retire= agent_only= new_spoke= patience= # options of the hub
  committed=yes                                           # empty: undo() takes the changes back
  # What undo() must know.
  staged= previous= new= saved= agent_was= line_sum= locked= drop_ssh= watchdog=
  parse "$@"
  check_arguments
  trap undo EXIT
  trap 'exit 1' HUP INT TERM
  trap '' PIPE
  find_home
  if [ -n "$uninstall" ]; then uninstall; else install; fi
  [ -z "$exit_code" ] || [ -z "$changed" ] || exit 3
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --*=*)
        name=${1%%=*} value=${1#*=}
        shift
        set -- "$name" "$value" "$@"
        ;;
    esac
    case $1 in
      --key | --agent | --root | --from | --exclude | --token | --hashes | --retire | --patience)
        [ $# -ge 2 ] || usage "$1 needs a value."
        set_option "$1" "$2"
        shift
        ;;
      --uninstall) uninstall=yes ;;
      --agent-only) agent_only=yes ;;
      --dedicated) dedicated=yes ;;
      --new-spoke) new_spoke=yes ;;
      --print) print=yes ;;
      --exit-code) exit_code=yes ;;
      -h | --help)
        help
        exit 0
        ;;
      *) usage "unknown argument '$1'." ;;
    esac
    shift
  done
}

set_option() {
  case $1 in
    --key) key=$2 ;;
    --agent) source=$2 ;;
    --root) root=$2 ;;
    --from) from=$2 ;;
    --exclude) add_exclude "$2" ;;
    --token) token=$2 ;;
    --hashes) hashes=$2 ;;
    --retire) retire=$2 ;;
    --patience) patience=$2 ;;
  esac
}

check_arguments() {
  [ -n "$uninstall" ] || [ -n "$key" ] || usage "--key is missing: the public half of the hub's key."
  case $from in
    *[!A-Za-z0-9.:,/*?!_-]*) usage "--from takes addresses and patterns as in sshd(8): 192.0.2.0/24,…" ;;
  esac
  [ -z "$key" ] || read_key
}

# Adds a pattern; the agent checks it.
add_exclude() {
  case $1 in
    *'
'*) usage "--exclude takes one pattern, without a line break." ;;
  esac
  excluding=yes
  [ -z "$1" ] || excludes="$excludes$1
"
}

usage() {
  wrap 2 "install-spoke.sh: $1 'install-spoke.sh --help' lists the options." >&2
  exit 2
}

# --- messages -----------------------------------------------------------------------------------

# wrap INDENT TEXT: prints a text. On a terminal, it breaks lines between words, and indents those that follow.
wrap() {
  if [ ! -t 1 ] || [ -n "$exit_code" ]; then printf '%s\n' "$2"; return; fi
  width=$({ stty size </dev/tty; } 2>/dev/null | awk '$2 > 0 { print ($2 < 100 ? $2 : 100) }')
  printf '%s\n' "$2" | awk -v indent="$1" -v width="${width:-${COLUMNS:-80}}" '{
    line = substr($0, 1, match($0, /[^ ]/) - 1) $1
    for (i = 2; i <= NF; i++)
      if (length(line $i) < width) line = line " " $i
      else { print line; line = sprintf("%" indent "s", "") $i }
    print line }'
}

# say TEXT [LINE]: the LINE is printed as it is, for pasting. The hub reads only lines that begin with its token.
say() {
  if [ -n "$token" ]; then
    tell "say $1${2:+: $2}"
  else
    wrap 2 "$1${2:+:}" && { [ -z "${2:-}" ] || printf '    %s\n' "$2"; }
  fi || :
}
tell() { [ -z "$token" ] || printf '%s\n' "$token $*"; }

# die WHAT [CAUSE [FIX [COMMAND]]]: what failed, why (sentences), what to do about it, and the command for
# that. The hub gets the four in one line, with tabs between them.
die() {
  if [ -n "$token" ]; then
    tell "fail $(printf '%s\f%s\f%s\f%s' "$1" "${2:-}" "${3:-}" "${4:-}" | tr '\n\t\f' '  \t')" || :
  else
    {
      wrap 2 "install-spoke.sh: $1"
      [ -z "${2:-}" ] || wrap 7 "  Why: $2"
      [ -z "${3:-}" ] || wrap 7 "  Fix: $3${4:+:}"
      [ -z "${4:-}" ] || printf '    %s\n' "$4"
    } >&2
  fi
  exit 1
}
would() { [ -z "$print" ] || say "would $1" "${2:-}"; }

# full WHAT DIRECTORY: dies of what a full disk causes.
full() { die "$1" "The disk may be full." "Check the free space" "df -h $(quoted "$2"); df -i $(quoted "$2")"; }

# Prints $1 as a word for a shell.
quoted() {
  case $1 in
    '' | *[!A-Za-z0-9_./@:+-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
  esac
}

# --- user, key and files ------------------------------------------------------------------------

# Sets user, and home as sshd sees it: $HOME may be another user's (su), or set by a start-up file.
find_home() {
  user=$(id -un 2>/dev/null) || user=
  case $user in
    '' | *[!A-Za-z0-9._-]*) home=$HOME ;;
    *) home=$(eval "printf '%s' ~$user") ;;
  esac
  case $home in
    /*) ;;
    *) home=$HOME ;;
  esac
  [ -d "$home" ] || die "the home directory $home of user $user does not exist or cannot be read" "" "See which" "ls -ld $(quoted "$home")"
  HOME=$home
  export HOME
  dir=$home/.local/lib/pi-brain
  agent=$dir/pi-brain-agent
  keys=$home/.ssh/authorized_keys
}

# Prints the shell that sshd passes commands to.
login_shell() {
  entry=$(getent passwd "$user" 2>/dev/null) || entry=$(awk -F: -v user="$user" '$1 == user' /etc/passwd 2>/dev/null) || entry=
  [ -n "$entry" ] || entry=${SHELL:-}
  printf '%s' "${entry##*:}"
}

owner_of() { ls -ld "$1" 2>/dev/null | awk '{ print $3 }'; }

# blocked WHAT PATH MESSAGE: dies of a path that cannot be created or written. MESSAGE is that of the
# program that tried.
blocked() {
  at=$2 me=${user:-$(id -u)}
  while [ ! -e "$at" ] && [ ! -L "$at" ] && [ -n "${at%/*}" ]; do at=${at%/*}; done
  place=$(quoted "$at")
  case $3 in
    *ead-only*) die "$1: its filesystem is read-only" "" "See the mount" "findmnt -T $place" ;;
    *' space'* | *uota*) full "$1: $3" "$at" ;;
    *ermi*)
      owner=$(owner_of "$at")
      if [ -n "$owner" ] && [ "$owner" != "$me" ]; then
        die "$1: $at belongs to $owner, not to $me" "" "If it should belong to $me, change its owner" "sudo chown -R $me $place"
      else
        die "$1: $me has no permission for $at" "" "Check its owner and mode" "ls -ld $place"
      fi
      ;;
    *) die "$1: $3" "" "See what exists" "ls -ld $place" ;;
  esac
}

# Sets key to "TYPE BLOB COMMENT", and blob.
read_key() {
  case $key in
    *'PRIVATE KEY'*) ;;
    *)
      if [ -f "$key" ]; then
        [ -r "$key" ] || die "cannot read the key file $key" "" "Check its owner and mode" "ls -l $(quoted "$key")"
        key=$(cat "$key")
      fi
      ;;
  esac
  key=$(printf '%s\n' "$key" | tr -d '\r')
  case $key in
    *'PRIVATE KEY'*) die "--key is a private key" "" "Give its public half, the file that ends in .pub" ;;
    *'
'*) die "--key has more than one line" "A public key is one line." ;;
  esac
  blob=$(printf '%s\n' "$key" | awk '{ print $2 }')
  case $blob in
    AAAA*) ;;
    *) die "--key is neither an OpenSSH public key nor a file with one" "A public key is a line such as 'ssh-ed25519 AAAA… comment'." ;;
  esac
}

# Prints the SHA-256 of its input.
digest() {
  if command -v sha256sum >/dev/null; then
    sha256sum
  elif command -v shasum >/dev/null; then
    shasum -a 256
  elif command -v openssl >/dev/null; then
    openssl dgst -sha256 -r
  else
    die "cannot check files: none of sha256sum, shasum and openssl is installed" "" "Install one of them"
  fi | awk '{ print $1 }'
}
hash_of() { digest <"$1"; }

# Sets arch, and wanted: the hash that the agent must have.
choose_agent() {
  [ "$(uname -s)" = Linux ] || die "this machine runs $(uname -s), but the agent needs Linux"
  arch=$(uname -m)
  case $arch in
    amd64) arch=x86_64 ;;
    arm64) arch=aarch64 ;;
  esac
  if [ -n "$token" ]; then
    wanted=
    for pair in $hashes; do
      [ "${pair%%=*}" != "$arch" ] || wanted=${pair#*=}
    done
    [ -n "$wanted" ] || {
      tell "no-agent $arch" || :
      exit 1
    }
    return
  fi
  here=$(dirname "$0")
  [ -n "$source" ] || for found in "$here/pi-brain-agent" "$here/pi-brain-agent-$arch" "$(command -v pi-brain-agent)"; do
    [ -n "$source" ] || [ ! -f "$found" ] || source=$found
  done
  wanted=
  [ -n "$source$print" ] || die "pi-brain-agent is neither beside this script nor on PATH" "" "Name it with --agent FILE"
  [ -z "$source" ] || [ -r "$source" ] || die "cannot read the agent $source" "" "Check its owner and mode" "ls -l $(quoted "$source")"
  [ -z "$source" ] || wanted=$(hash_of "$source")
}

# Refuses a file that sshd would ignore, or that leads elsewhere: its owner must decide what to do.
check_authorized_keys() {
  [ ! -L "$keys" ] || die "$keys is a symlink" "" "Replace it with a file, or add the line that this prints to the file that it leads to" "pi-brain-agent --authorized-keys-line KEY.pub"
  [ -e "$keys" ] || return 0
  [ -f "$keys" ] || die "$keys is not a regular file" "" "See what it is" "ls -ld $(quoted "$keys")"
  # To open a file for appending changes nothing.
  why=$( (: <"$keys") 2>&1 && (: >>"$keys") 2>&1) || blocked "$keys cannot be read and written" "$keys" "$why"
  # One read, since another installation may be replacing the file.
  [ "$(tr -cd '\000' <"$keys" | wc -c)" -eq 0 ] || die "$keys is damaged: it contains NUL bytes" "" "Inspect it, and repair it first" "cat -v $(quoted "$keys")"
  for place in "$keys" "$home/.ssh" "$home"; do
    case $(ls -ldL "$place") in # -L: the target of a symlink
      ????????w*) die "$place is writable by everyone, so sshd ignores $keys" "" "Make it writable only by its owner" "chmod go-w $(quoted "$place")" ;;
      ?????w*) say "$place is writable by its group. If sshd refuses the key because of that" "chmod g-w $(quoted "$place")" ;;
    esac
  done
}

# --- the agent --------------------------------------------------------------------------------------

install_agent() {
  if [ -f "$agent" ] && [ -x "$agent" ] && [ ! -L "$agent" ] && [ "$(hash_of "$agent")" = "$wanted" ]; then
    agent_did=same
    return
  fi
  [ ! -d "$agent" ] || die "$agent is a directory, but the agent needs this path" "" "Move it away" "mv $(quoted "$agent") $(quoted "$agent.old")"
  agent_did=new
  [ ! -e "$agent" ] || agent_did=replaced
  if [ -n "$print" ]; then
    would "put the agent for $arch into $agent"
    return
  fi
  stage_agent
  if [ "$agent_did" = replaced ]; then
    previous=$dir/.pi-brain-agent.previous
    ln -f "$agent" "$previous" 2>/dev/null || cp -p "$agent" "$previous"
  fi
  # By rename: an agent that runs keeps the file that it was started from.
  agent_was=$agent_did
  mv -f "$staged" "$agent"
  staged=
}

# Sets staged: the agent beside its final place, proved to be whole and to run.
stage_agent() {
  why=$(mkdir -p "$dir" 2>&1) || blocked "cannot make the directory $dir" "$dir" "$why"
  committed=
  staged=$dir/.pi-brain-agent.$$
  why=$( (: >"$staged") 2>&1) || blocked "cannot write to $dir" "$dir" "$why"
  if [ -n "$token" ]; then
    tell "need $arch"
    head -c "$(next_line)" >"$staged"
  else
    cat "$source" >"$staged"
  fi || full "cannot write to $dir" "$dir"
  [ "$(hash_of "$staged")" = "$wanted" ] || die "the agent arrived damaged" "The disk may be full, or the connection may have broken." "Check the free space" "df -h $(quoted "$dir")"
  chmod 755 "$staged"
  version=$("$staged" --version 2>&1) || die "the agent does not run on this machine" "$dir may be mounted noexec.${version:+ The agent said: $version.}" "See the mount" "findmnt -T $(quoted "$dir")"
}

next_line() {
  read -r line || line=
  printf '%s' "$line"
}

# --- authorized_keys ----------------------------------------------------------------------------------

# For awk. place(): where the key of a line begins, 0 if it has none. options(): what is before that.
# key(): the key's blob. ours(): whether the line starts the agent.
awk_key='function place(text) {
  return text ~ /^[ \t]*#/ ? 0 : match(text, /(^|[ \t])(ssh-|ecdsa-|sk-)[^ \t]*[ \t]+AAAA/)
}
function options(text) { return substr(text, 1, place(text) - 1) }
function key(text) {
  if (!place(text)) return ""
  text = substr(text, place(text))
  sub(/^[ \t]*[^ \t]+[ \t]+/, "", text)
  sub(/[ \t\r].*/, "", text)
  return text
}
function ours(text) { return tolower(options(text)) ~ /(^|,)command="([^"\\]|\\.)*pi-brain-agent/ }'

options_of() { printf '%s\n' "$1" | awk "$awk_key"'{ print options($0) }'; }
command_of() { options_of "$1" | sed -n 's/.*[Cc][Oo][Mm][Mm][Aa][Nn][Dd]="\(.*\)"$/\1/p'; }
lines_of() { KEY=$1 awk "$awk_key"' key($0) == ENVIRON["KEY"]' "$2"; }
ours() { awk "$awk_key"' ours($0)'; }
others_than() { KEY=$1 awk "$awk_key"' key($0) != ENVIRON["KEY"]' "$2"; }
lines_here() { [ ! -e "$keys" ] || lines_of "$1" "$keys"; }

# Prints the SHA-256 fingerprint of a line's key; without ssh-keygen, the end of the key.
fingerprint_of() {
  shown=$(printf '%s\n' "$1" | ssh-keygen -lf - 2>/dev/null | awk '{ print $2; exit }') || shown=
  [ -n "$shown" ] || shown=…$(printf '%s\n' "$1" | awk "$awk_key"'{ print substr(key($0), length(key($0)) - 15) }')
  printf '%s' "$shown"
}
fingerprint() { fingerprint_of "$key"; }
fingerprint_here() { fingerprint_of "$(lines_here "$1" | sed 1q)"; }

# Two installations at once would each take the other's changes back.
lock() {
  [ -z "$print" ] || return 0
  if [ ! -d "$home/.ssh" ]; then
    why=$(mkdir "$home/.ssh" 2>&1) || blocked "cannot make the directory $home/.ssh" "$home/.ssh" "$why"
    drop_ssh=yes
  fi
  lock=$home/.ssh/.pi-brain-lock
  me=$(uname -n):$$
  tries=0
  until why=$(ln -s "$me" "$lock" 2>&1); do
    [ -w "$home/.ssh" ] || blocked "$home/.ssh cannot be written to" "$home/.ssh" "$why"
    case $why in
      *' exists'*) ;;
      *) full "cannot make a file in $home/.ssh: $why" "$home/.ssh" ;;
    esac
    ! break_stale_lock || continue
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || die "another installation ($holder) has held the lock for a minute" "" "If none is running, remove the lock" "rm -f $(quoted "$lock") $(quoted "$lock.break")"
    sleep 1
  done
  locked=yes
  clean_up_after_killed
}

holder_of_lock() { ls -l "$lock" 2>/dev/null | sed 's/.* -> //'; }

# Removes the lock of an installation that was killed. A second lock guards that: without it, the
# lock removed might be the one of an installation that was faster.
break_stale_lock() {
  holder=$(holder_of_lock)
  [ "${holder%:*}" = "${me%:*}" ] && ! kill -0 "${holder##*:}" 2>/dev/null && ln -s "$me" "$lock.break" 2>/dev/null || return 1
  [ "$(holder_of_lock)" != "$holder" ] || rm -f "$lock"
  rm -f "$lock.break"
}

# Undoes what a killed installation left: its agent is not proved, so the previous one returns.
clean_up_after_killed() {
  [ ! -e "$dir/.pi-brain-agent.previous" ] || mv -f "$dir/.pi-brain-agent.previous" "$agent"
  rm -f "$dir"/.pi-brain-agent.* "$keys".pi-brain.*
}

unlock() {
  [ -z "$locked" ] || rm -f "$lock"
  locked=
}

# Replaces the lines of the key $1 with the line $2, or appends it if there are none. If $2 is empty,
# removes those lines of the key that start the agent. The new file appears by rename, with the mode
# of the old one, and keeps the other lines byte for byte.
replace_lines() {
  new=$keys.pi-brain.$$
  old=$keys
  if [ -e "$keys" ]; then copy "$keys" "$new"; else old=/dev/null; fi
  KEY=$1 LINE=$2 awk "$awk_key"'
    key($0) != ENVIRON["KEY"] || (ENVIRON["LINE"] == "" && !ours($0)) { print; next }
    !put && ENVIRON["LINE"] != "" { print ENVIRON["LINE"]; put = 1 }
    END { if (!put && ENVIRON["LINE"] != "") print ENVIRON["LINE"] }
  ' "$old" >"$new" || full "cannot write $new" "$home"
  [ "$(others_than "$1" "$old" | digest)" = "$(others_than "$1" "$new" | digest)" ] &&
    { [ -z "$2" ] || [ "$(lines_of "$1" "$new")" = "$2" ]; } || full "$new was not written completely" "$home"
  line_sum=$(digest <"$new")
  sync "$new" 2>/dev/null || : # so that a power cut leaves the old file or the new one
  if [ -s "$new" ]; then mv -f "$new" "$keys"; else rm -f "$new" "$keys"; fi || die "$keys cannot be replaced" "" "Check the owner and mode of its directory" "ls -ld $(quoted "$home/.ssh")"
  new=
}

# Copies a file with its mode and owner.
copy() { cp -p "$1" "$2" || full "cannot write $2" "$home"; }

# Refuses a key that does more than start the agent: somebody may log in with it.
check_before() {
  [ -z "$before" ] || [ -n "$dedicated" ] ||
    [ -z "$(printf '%s\n' "$before" | awk "$awk_key"' !ours($0)')" ] ||
    die "$keys has a line for this key that does not start the agent, so somebody may log in with it" "" "Use another key; or, if this one is used for syncing alone, add --dedicated"
}

# Refuses another root for a key that the hub believes to be new here: it may use the key already, for
# another name of this machine.
check_root() {
  [ -n "$new_spoke" ] || return 0
  served=$(command_of "$line" | sed 's/.*\(--root=[^ ]*\).*/\1/')
  case $root in
    '~' | '~/'*) once="'--root=$home${root#?}'" ;; # as older agents wrote it
    *) once="'--root=$root'" ;;
  esac
  case $before in
    *"$served"[\"\ ]* | *"$once"[\"\ ]* | '') ;;
    *pi-brain-agent*) die "the key already starts the agent for another directory: $before" "If another spoke of this hub uses that line, this spoke needs a key of its own (--key)." "If none does, remove the line on this machine" "install-spoke.sh --uninstall" ;;
  esac
}

# Prints the agent's options of a line that leave something out, one a line.
excludes_of() { options_of "$1" | tr " '\"" '\n\n\n' | grep -xE -e '--exclude=[A-Za-z0-9_./,@%+:=-]+' || :; }

# Keeps what its owner put into the existing line, or into that of the key that this one follows: the
# addresses, the agent's options, and, if nothing else changes, every other option too.
keep_settings() {
  other=$before
  for one in $retire; do
    [ -n "$other" ] || other=$(lines_here "$one")
  done
  other=$(printf '%s\n' "$other" | ours | sed 1q)
  [ -n "$other" ] || return 0
  command=$(command_of "$line")
  # An option that lifts a part of 'restrict' is not kept.
  case ,$(options_of "$other" | sed 's/"[^"]*"//g; s/ .*//' | tr 'A-Z' 'a-z'), in
    *,pty,* | *,port-forwarding,* | *,agent-forwarding,* | *,x11-forwarding,* | *,user-rc,*) more=yes ;;
    *) more= ;;
  esac
  [ -z "$excluding" ] || [ "$(excludes_of "$other")" = "$(excludes_of "$line")" ] || more=yes
  [ -n "$more" ] || case $other in
    restrict,*"command=\"$command"[\ \"]*)
      if [ -z "$from" ] || [ "$from" = "$(from_of "$other")" ]; then
        # The options stay as they are, in front of this key.
        line="$(options_of "$other") $key"
        [ -z "$before" ] || line=$other
        return
      fi
      ;;
  esac
  if [ -z "$from" ]; then
    from=$(from_of "$other")
    [ -z "$from" ] || line="restrict,from=\"$from\",${line#restrict,}"
  fi
  start=$(options_of "$line")
  for setting in $([ -n "$excluding" ] || excludes_of "$other") $(options_of "$other" | tr " '\"" '\n\n\n' | grep -xE -e '--require-sandbox|--memory-limit=[0-9]+'); do
    start="${start%\"} $setting\""
  done
  line="$start $key"
}

# sshd passes the command to the login shell, which may be restricted, or parse it in its own way.
check_login_shell() {
  shell=$(login_shell)
  answer=$("${shell:-/bin/sh}" -c "$(command_of "$line" | sed 's/\\"/"/g') --version" </dev/null 2>&1) || :
  case $answer in
    *'pi-brain-agent '[0-9]*) return ;;
  esac
  [ -z "$answer" ] || answer=" It said: $(printf '%s' "$answer" | tail -c 300)"
  die "the login shell of ${user:-this user}, ${shell:-/bin/sh}, does not start the agent" "Shells such as nologin and rbash cannot run it.$answer" "Give the account another shell" "sudo chsh -s /bin/sh ${user:-USER}"
}

# Prints the addresses from which a line accepts its key.
from_of() { printf '%s\n' "$1" | sed -n 's/^\(.*,\)\{0,1\}[Ff][Rr][Oo][Mm]="\([^"]*\)".*/\2/p'; }

# With --agent-only: upgrading an agent that the line does not start has no effect.
check_line() {
  line_did=same
  case $(lines_here "$blob") in
    *.local/lib/pi-brain/pi-brain-agent*) ;;
    *) die "the line of the key $(fingerprint) in $keys does not start $agent, so upgrading that would have no effect" "" "Fix the line, on the hub, with 'pi-brain spoke add'" ;;
  esac
}

make_line() {
  set -- --root="$root" ${from:+"--from=$from"}
  # A line is one pattern, whatever characters it has.
  while IFS= read -r pattern; do
    [ -z "$pattern" ] || set -- "$@" --exclude="$pattern"
  done <<END
$excludes
END
  line=$(printf '%s\n' "$key" | "$agent" "$@" --authorized-keys-line - 2>&1) || die "${line%.}"
}

install_line() {
  before=$(lines_here "$blob")
  check_before
  line_did=added
  [ -z "$before" ] || line_did=replaced
  if [ -n "$print" ] && { [ "$agent_did" = new ] || ! "$agent" --version >/dev/null 2>&1; }; then
    would "$([ -n "$before" ] && echo replace || echo add) the line of the key $(fingerprint) in $keys, which lets the key read $root and nothing else"
    return
  fi
  make_line
  check_root
  keep_settings
  check_login_shell
  if [ "$before" = "$line" ]; then
    line_did=same
    return
  fi
  if [ -n "$print" ]; then
    would "put this line into $keys${before:+, in place of the line of the same key}" "$line"
    return
  fi
  committed=
  saved=$keys.pi-brain.saved
  [ ! -e "$keys" ] || copy "$keys" "$saved"
  replace_lines "$blob" "$line"
}

# --- install and uninstall ------------------------------------------------------------------------------

install() {
  choose_agent
  check_authorized_keys
  lock
  start_watchdog
  [ -z "$agent_only" ] || check_line
  install_agent
  [ -n "$agent_only" ] || install_line
  [ "$agent_did $line_did" = "same same" ] || changed=yes
  [ -n "$print" ] && [ -n "$changed" ] || summary
  if [ -n "$token" ]; then
    tell "installed $arch $agent_did $line_did"
    # The hub tests the key now. Unless it says "keep", undo() takes everything back.
    [ -n "$print" ] || committed=
    [ -n "$print" ] || [ "$(next_line)" = keep ] || exit 1
  fi
  committed=yes
  rm -f "$dir/.pi-brain-agent.previous" "$keys.pi-brain.saved"
  if [ -n "$retire" ] && [ -z "$print" ]; then
    tell kept
    [ "$(next_line)" = retire ] || exit 1
    retire_keys
  fi
  next_step
  tell "done"
}

# The connection of a hub that lost its power may stay open for hours, so the wait for it is limited:
# a signal ends this shell, and the program that reads the connection on its behalf.
start_watchdog() {
  [ -n "$patience" ] && [ -z "$print" ] || return 0
  (
    trap 'kill $! 2>/dev/null; exit' TERM
    sleep "$patience" &
    wait
    kill -HUP 0
  ) </dev/null >/dev/null 2>&1 &
  watchdog=$!
}

summary() {
  case $agent_did in
    same) say "agent: $agent is up to date" ;;
    *) say "agent: put into $agent ($arch, $("$agent" --version))" ;;
  esac
  [ -z "$agent_only" ] || return 0
  case $line_did in
    same) say "authorized_keys: already has the line of the key $(fingerprint)" ;;
    added) say "authorized_keys: added the line of the key $(fingerprint)" ;;
    *) say "authorized_keys: replaced the line of the key $(fingerprint), which was" "$before" ;;
  esac
  case $root in
    '~' | '~/'*) sessions=$home${root#?} ;;
    *) sessions=$root ;;
  esac
  hint=
  [ "$root" != '~/.pi/agent/sessions' ] || hint=", since pi has not run on this machine"
  [ -d "$sessions" ] || say "sessions: $sessions does not exist yet$hint. A sync fails until it does"
}

# Tells a person who ran this by hand what is left to do on the hub.
next_step() {
  [ -z "$token$print" ] || return 0
  host=$(uname -n)
  name=${host%%.*}
  cat <<END

Next, on the hub, add this spoke to ~/.pi-brain/config.yaml. Correct the host
if the hub knows it by another name, and the key if its private half is in
another file:

spokes:
  - name: $name
    sync_method: agent
    source: $(yaml "${user:-USER}@$host:$root")
    path: ~/.pi-brain/synced/$name
    key: ~/.ssh/pi-brain-sync

Then check the connection, and sync:

pi-brain sync doctor --spoke $name
pi-brain sync run --spoke $name
END
}

# Prints $1 as a YAML scalar.
yaml() {
  case $1 in
    *[!A-Za-z0-9._~/@:-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")" ;;
    *) printf '%s' "$1" ;;
  esac
}

# Removes the lines of the keys that this one follows.
retire_keys() {
  for one in $retire; do
    [ -n "$(lines_here "$one")" ] || continue
    retired=$(fingerprint_here "$one")
    replace_lines "$one" ""
    if [ -z "$(lines_here "$one")" ]; then
      say "authorized_keys: removed the line of the key $retired"
    else
      say "authorized_keys: kept the line of the key $retired, since it does not start the agent"
    fi
  done
}

# Prints the blobs of all keys that start the agent.
agent_keys() {
  [ -e "$keys" ] || return 0
  awk "$awk_key"' key($0) != "" && ours($0) { print key($0) }' "$keys" | sort -u
}

uninstall() {
  check_authorized_keys
  lock
  if [ -n "$print" ]; then removed="would remove"; else removed="removed"; fi
  starting=$(agent_keys)
  left=
  for one in $starting; do
    [ "$one" = "${blob:-$one}" ] || left=yes
  done
  for one in ${blob:-$starting}; do
    [ -n "$(lines_here "$one" | ours)" ] || continue
    changed=yes
    say "$removed the line of the key $(fingerprint_here "$one") from $keys"
    [ -n "$print" ] || replace_lines "$one" ""
  done
  if [ -n "$left" ]; then
    say "kept the agent, since other keys start it"
  elif [ -e "$agent" ]; then
    changed=yes
    say "$removed $agent"
    [ -n "$print" ] || why=$(rm -f "$agent" 2>&1) || blocked "cannot remove $agent" "$dir" "$why"
  fi
  [ -n "$print" ] || remove_directories
  [ -n "$print" ] || [ -z "$changed" ] || [ -e "$keys" ] || drop_ssh=yes
  [ -n "$changed$left" ] || say "nothing to remove: pi-brain is not installed for this user"
  tell "done"
}

remove_directories() {
  # rmdir leaves those that are not empty.
  rmdir "$dir" "$home/.local/lib" "$home/.local" 2>/dev/null || :
}

# Restores authorized_keys byte for byte, or, if somebody has changed it since, this key's line alone.
put_line_back() {
  now=
  [ ! -e "$keys" ] || now=$(digest <"$keys")
  if [ "$now" = "$line_sum" ]; then
    if [ -e "$saved" ]; then mv -f "$saved" "$keys"; else rm -f "$keys"; fi || return 1
  elif [ -n "$now" ] && { [ ! -e "$saved" ] || [ "$now" != "$(digest <"$saved")" ]; }; then
    replace_lines "$blob" "$(printf '%s\n' "$before" | sed 1q)"
  fi
}

# Called at exit, whatever the reason: takes back what is not committed, and ~/.ssh if it is empty.
undo() {
  code=$?
  trap '' HUP INT TERM
  set +e
  [ -z "$watchdog" ] || kill "$watchdog" 2>/dev/null
  [ -z "$staged" ] || rm -f "$staged"
  [ -z "$new" ] || rm -f "$new"
  if [ -z "$committed" ]; then
    case $agent_was in
      replaced) [ ! -e "$previous" ] || mv -f "$previous" "$agent" ;;
      new) rm -f "$agent" ;;
    esac
    remove_directories
    committed=yes
    # In a subshell: die() there must not end this function.
    if [ -z "$line_sum" ] || (put_line_back); then
      rm -f "$keys".pi-brain.*
      tell undone
    fi
  fi
  unlock
  [ -z "$drop_ssh" ] || rmdir "$home/.ssh" 2>/dev/null
  exit $code
}

main "$@"
