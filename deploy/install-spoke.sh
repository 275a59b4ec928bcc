#!/bin/sh
# Make this machine a spoke of pi-brain sync: put the agent into ~/.local/lib/pi-brain, and one line
# into ~/.ssh/authorized_keys that lets the hub's key start it and do nothing else. Or undo that.
# Nothing else is touched, root is not needed, and a second time changes nothing.
#
# The hub's 'pi-brain spoke add' sends this very script over ssh, with the options that
# hub/setup/remote-install.h documents.
[ -z "${ZSH_VERSION:-}" ] || emulate sh # where zsh is what reads this
set -eu
umask 077
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/bin:/bin

help() {
  cat <<'END'
usage: install-spoke.sh --key KEY.pub [--agent FILE] [--root DIR] [--from PATTERNS]
                        [--dedicated] [--print]
       install-spoke.sh --uninstall [--key KEY.pub] [--print]

  --key KEY.pub    the public half of the hub's key: a file, or its text
  --agent FILE     the agent for this machine (default: pi-brain-agent beside this
                   script, or on PATH)
  --root DIR       the sessions that the hub may read (default ~/.pi/agent/sessions)
  --from PATTERNS  only from these addresses, as in sshd(8): 192.0.2.0/24,… ('*': any).
                   Without it, a line that has some keeps them
  --dedicated      the key is for syncing alone: a line that lets it do more is
                   replaced (otherwise that is refused: somebody may log in with it)
  --uninstall      remove the line of this key, or of all keys that start the agent, and
                   the agent when no line needs it any more
  --print          say what would be done, and do nothing
END
}

main() {
  key= blob= source= root='~/.pi/agent/sessions' from= uninstall= print=
  dedicated=
  token= hashes= retire= agent_only= new_spoke= patience= # the hub's
  committed=yes          # whether what was done is to stay
  # What there is to take back.
  staged= previous= new= saved= agent_was= line_sum= locked= drop_ssh= watchdog=
  parse "$@"
  trap undo EXIT
  trap 'exit 1' HUP INT TERM
  trap '' PIPE
  find_home
  if [ -n "$uninstall" ]; then uninstall; else install; fi
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --key=* | --agent=* | --root=* | --from=* | --token=* | --hashes=* | --retire=* | --patience=*)
        name=${1%%=*}
        value=${1#*=}
        ;;
      --key | --agent | --root | --from | --token | --hashes | --retire)
        [ $# -ge 2 ] || usage "$1 takes a value."
        name=$1 value=$2
        shift
        ;;
      *) name=$1 value= ;;
    esac
    case $name in
      --key) key=$value ;;
      --agent) source=$value ;;
      --root) root=$value ;;
      --from) from=$value ;;
      --token) token=$value ;;
      --hashes) hashes=$value ;;
      --retire) retire=$value ;;
      --patience) patience=$value ;;
      --uninstall) uninstall=yes ;;
      --agent-only) agent_only=yes ;;
      --dedicated) dedicated=yes ;;
      --new-spoke) new_spoke=yes ;;
      --print) print=yes ;;
      -h | --help)
        help
        exit 0
        ;;
      *) usage "unknown argument '$1'." ;;
    esac
    shift
  done
  [ -n "$uninstall" ] || [ -n "$key" ] || usage "--key is missing: the public half of the hub's key."
  case $from in
    *[!A-Za-z0-9.:,/*?!_-]*) usage "--from takes addresses and patterns as sshd(8) has them: 192.0.2.0/24,…" ;;
  esac
  [ -z "$key" ] || read_key
}

usage() {
  echo "install-spoke.sh: $1 --help says what there is." >&2
  exit 2
}

# --- talking to whoever started this ------------------------------------------------------------

# A person reads lines; the hub knows those that are meant for it by the token in front.
say() { printf '%s\n' "${token:+$token say }$*" || :; }
tell() { [ -z "$token" ] || printf '%s\n' "$token $*"; }
die() {
  words=$(printf '%s' "$*" | tr '\n' ' ')
  if [ -n "$token" ]; then tell "fail $words" || :; else echo "install-spoke.sh: $words" >&2; fi
  exit 1
}
would() { [ -z "$print" ] || say "would $*"; }

# --- what there is --------------------------------------------------------------------------------

# Of the user as sshd sees it: $HOME may be another's (su), or have been set by a start-up file.
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
  [ -d "$home" ] || die "the home directory $home of user $user does not exist, or cannot be looked at: 'ls -ld $home' says which."
  HOME=$home
  export HOME
  dir=$home/.local/lib/pi-brain
  agent=$dir/pi-brain-agent
  keys=$home/.ssh/authorized_keys
}

# The shell that sshd gives commands to.
login_shell() {
  entry=$(getent passwd "$user" 2>/dev/null) || entry=$(awk -F: -v user="$user" '$1 == user' /etc/passwd 2>/dev/null) || entry=
  [ -n "$entry" ] || entry=${SHELL:-}
  printf '%s' "${entry##*:}"
}

owner_of() { ls -ld "$1" 2>/dev/null | awk '{ print $3 }'; }

# Why something cannot be made or written at the path $1, and what to do: $2 is what the program that
# tried said.
obstacle() {
  at=$1 me=${user:-$(id -u)}
  while [ ! -e "$at" ] && [ ! -L "$at" ] && [ -n "${at%/*}" ]; do at=${at%/*}; done
  case $2 in
    *ead-only*) printf '%s' "it is the file system that is read-only. 'findmnt -T $at' shows what is mounted there" ;;
    *' space'* | *uota*) printf '%s' "$2. Is the disk full? 'df -h $at; df -i $at'" ;;
    *ermi*)
      owner=$(owner_of "$at")
      if [ -n "$owner" ] && [ "$owner" != "$me" ]; then
        printf '%s' "$at belongs to $owner, not to $me: 'ls -ld $at' shows its mode. If it should be $me's, 'sudo chown -R $me $at' gives it back"
      else
        printf '%s' "$at does not let $me do so. Check its owner and mode: 'ls -ld $at'"
      fi
      ;;
    *) printf '%s' "$2. 'ls -ld $at' shows what is there" ;;
  esac
}

# Sets key to "TYPE BLOB COMMENT", and blob.
read_key() {
  case $key in
    *'PRIVATE KEY'*) ;;
    *)
      if [ -f "$key" ]; then
        [ -r "$key" ] || die "cannot read the key $key."
        key=$(cat "$key")
      fi
      ;;
  esac
  key=$(printf '%s\n' "$key" | tr -d '\r')
  case $key in
    *'PRIVATE KEY'*) die "this is a private key. Give its public half, the file that ends in .pub." ;;
    *'
'*) die "more than one line where a public key was expected." ;;
  esac
  blob=$(printf '%s\n' "$key" | awk '{ print $2 }')
  case $blob in
    AAAA*) ;;
    *) die "this is no OpenSSH public key, and no file with one: a line such as 'ssh-ed25519 AAAA… comment' was expected." ;;
  esac
}

# The SHA-256 of what comes in.
digest() {
  if command -v sha256sum >/dev/null; then
    sha256sum
  elif command -v shasum >/dev/null; then
    shasum -a 256
  elif command -v openssl >/dev/null; then
    openssl dgst -sha256 -r
  else
    die "none of sha256sum, shasum and openssl is here, to check files with."
  fi | awk '{ print $1 }'
}
hash_of() { digest <"$1"; }

# Sets arch, and wanted: the hash that the agent is to have.
choose_agent() {
  [ "$(uname -s)" = Linux ] || die "this is $(uname -s); the agent is for Linux."
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
    [ -n "$wanted" ] || die "no-agent $arch"
    return
  fi
  here=$(dirname "$0")
  [ -n "$source" ] || for found in "$here/pi-brain-agent" "$here/pi-brain-agent-$arch" "$(command -v pi-brain-agent)"; do
    [ -n "$source" ] || [ ! -f "$found" ] || source=$found
  done
  wanted=
  [ -n "$source$print" ] || die "there is no pi-brain-agent beside this script; --agent FILE says where it is."
  [ -z "$source" ] || [ -r "$source" ] || die "cannot read $source."
  [ -z "$source" ] || wanted=$(hash_of "$source")
}

# sshd ignores such a file, or following it would write elsewhere: its owner has to look at it.
check_authorized_keys() {
  [ ! -L "$keys" ] || die "$keys is a symlink. Put a file in its place; or, where it leads, add by hand the line that 'pi-brain-agent --authorized-keys-line KEY.pub' prints (to undo that, remove it)."
  [ -e "$keys" ] || return 0
  [ -f "$keys" ] || die "$keys is not a file."
  # The second changes nothing.
  why=$( (: <"$keys") 2>&1 && (: >>"$keys") 2>&1) || die "$keys cannot be read and written: $(obstacle "$keys" "$why")."
  # Read once: another installation may just replace it.
  [ "$(tr -cd '\000' <"$keys" | wc -c)" -eq 0 ] || die "$keys is damaged: it contains NUL bytes. Inspect it with 'cat -v' and repair it first."
  for place in "$keys" "$home/.ssh" "$home"; do
    case $(ls -ldL "$place") in # where it leads, if it is a symlink
      ????????w*) die "$place is writable by everyone, so sshd does not trust it. Run 'chmod go-w $place' to fix that." ;;
      ?????w*) say "$place is writable by its group. If sshd refuses the key because of that, run 'chmod g-w $place'" ;;
    esac
  done
}

# --- the agent --------------------------------------------------------------------------------------

install_agent() {
  if [ -f "$agent" ] && [ -x "$agent" ] && [ ! -L "$agent" ] && [ "$(hash_of "$agent")" = "$wanted" ]; then
    agent_did=same
    return
  fi
  [ ! -d "$agent" ] || die "$agent is a directory: the agent is to be in its place."
  agent_did=new
  [ ! -e "$agent" ] || agent_did=replaced
  if [ -n "$print" ]; then
    would "put the agent for $arch into $agent"
    return
  fi
  why=$(mkdir -p "$dir" 2>&1) || die "cannot make the directory $dir: $(obstacle "$dir" "$why")."
  committed=
  staged=$dir/.pi-brain-agent.$$
  why=$( (: >"$staged") 2>&1) || die "cannot write to $dir: $(obstacle "$dir" "$why")."
  if [ -n "$token" ]; then
    tell "need $arch"
    head -c "$(next_line)" >"$staged" || die "cannot write to $dir. Is the disk full? 'df -h $dir'"
  else
    cat "$source" >"$staged" || die "cannot write to $dir. Is the disk full? 'df -h $dir'"
  fi
  [ "$(hash_of "$staged")" = "$wanted" ] || die "the agent arrived damaged. Is the disk full ('df -h $dir'), or did the connection break?"
  chmod 755 "$staged"
  version=$("$staged" --version 2>&1) || die "the agent does not run here (it said: $version). May programs run from $dir ('findmnt -T $dir' shows noexec)?"
  if [ "$agent_did" = replaced ]; then
    previous=$dir/.pi-brain-agent.previous
    ln -f "$agent" "$previous" 2>/dev/null || cp -p "$agent" "$previous"
  fi
  # One that runs goes on with the file that it was started from.
  agent_was=$agent_did
  mv -f "$staged" "$agent"
  staged=
}

next_line() {
  read -r line || line=
  printf '%s' "$line"
}

# --- authorized_keys ----------------------------------------------------------------------------------

# What awk knows of a line: where its key begins, what is before that, and the key's blob.
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
}'

# … and whether it starts the agent.
awk_key="$awk_key
"'function ours(text) { return tolower(options(text)) ~ /(^|,)command="([^"\\]|\\.)*pi-brain-agent/ }'

options_of() { printf '%s\n' "$1" | awk "$awk_key"'{ print options($0) }'; }
command_of() { options_of "$1" | sed -n 's/.*[Cc][Oo][Mm][Mm][Aa][Nn][Dd]="\(.*\)"$/\1/p'; }
lines_of() { KEY=$1 awk "$awk_key"' key($0) == ENVIRON["KEY"]' "$2"; }
others_than() { KEY=$1 awk "$awk_key"' key($0) != ENVIRON["KEY"]' "$2"; }
lines_here() { [ ! -e "$keys" ] || lines_of "$1" "$keys"; }

# Two installations at once would each take the other's back.
lock() {
  [ -z "$print" ] || return 0
  if [ ! -d "$home/.ssh" ]; then
    why=$(mkdir "$home/.ssh" 2>&1) || die "cannot make $home/.ssh: $(obstacle "$home/.ssh" "$why")."
    drop_ssh=yes
  fi
  lock=$home/.ssh/.pi-brain-lock
  me=$(uname -n):$$
  tries=0
  until why=$(ln -s "$me" "$lock" 2>&1); do
    [ -w "$home/.ssh" ] || die "$home/.ssh cannot be written to: $(obstacle "$home/.ssh" "$why")."
    case $why in
      *' exists'*) ;;
      *) die "nothing can be made in $home/.ssh ($why). Is the disk full? 'df -h $home/.ssh; df -i $home/.ssh'" ;;
    esac
    holder=$(ls -l "$lock" 2>/dev/null | sed 's/.* -> //')
    # One that was killed has left it behind. Only who holds the second lock may take the first
    # away, so that it is the dead one's and not that of somebody who was faster.
    if [ "${holder%:*}" = "${me%:*}" ] && ! kill -0 "${holder##*:}" 2>/dev/null && ln -s "$me" "$lock.break" 2>/dev/null; then
      [ "$(ls -l "$lock" 2>/dev/null | sed 's/.* -> //')" != "$holder" ] || rm -f "$lock"
      rm -f "$lock.break"
      continue
    fi
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || die "another installation ($holder) has been running for more than a minute. If that is not so, remove its lock: 'rm -f $lock $lock.break'."
    sleep 1
  done
  locked=yes
  # Of one that was killed: an agent that nobody proved goes, the one before comes back.
  [ ! -e "$dir/.pi-brain-agent.previous" ] || mv -f "$dir/.pi-brain-agent.previous" "$agent"
  rm -f "$dir"/.pi-brain-agent.* "$keys".pi-brain.*
}

unlock() {
  [ -z "$locked" ] || rm -f "$lock"
  locked=
}

# Puts the line $2 in the place of the lines of the key $1, or behind the others; nothing: removes
# those of them that start the agent. The file appears by rename, with its mode, and the other lines as
# they were.
replace_lines() {
  new=$keys.pi-brain.$$
  old=$keys
  if [ -e "$keys" ]; then copy "$keys" "$new"; else old=/dev/null; fi
  KEY=$1 LINE=$2 awk "$awk_key"'
    key($0) != ENVIRON["KEY"] || (ENVIRON["LINE"] == "" && !ours($0)) { print; next }
    !put && ENVIRON["LINE"] != "" { print ENVIRON["LINE"]; put = 1 }
    END { if (!put && ENVIRON["LINE"] != "") print ENVIRON["LINE"] }
  ' "$old" >"$new" || die "cannot write $new. Is the disk full? 'df -h $home'"
  [ "$(others_than "$1" "$old" | digest)" = "$(others_than "$1" "$new" | digest)" ] &&
    { [ -z "$2" ] || [ "$(lines_of "$1" "$new")" = "$2" ]; } || die "$new does not hold what it should. Is the disk full? 'df -h $home'"
  line_sum=$(digest <"$new")
  sync "$new" 2>/dev/null || : # after a power cut it is the old one or the new
  if [ -s "$new" ]; then mv -f "$new" "$keys"; else rm -f "$new" "$keys"; fi || die "$keys cannot be replaced."
  new=
}

# With its mode and owner.
copy() { cp -p "$1" "$2" || die "cannot write $2. Is the disk full? 'df -h $home'"; }

# A key that does more than start the agent may be one that somebody logs in with.
check_before() {
  [ -z "$before" ] || [ -n "$dedicated" ] ||
    [ -z "$(printf '%s\n' "$before" | awk "$awk_key"' !ours($0)')" ] ||
    die "$keys has a line of this key that does not start the agent: somebody may log in with it. Take another key; or, if it is for syncing alone, say --dedicated."
}

# A key that the hub takes for new may be one that it uses by another name of this machine.
check_root() {
  [ -n "$new_spoke" ] || return 0
  served=$(command_of "$line" | sed 's/.*\(--root=.*\)/\1/')
  case $root in
    '~' | '~/'*) once="'--root=$home${root#?}'" ;; # as older agents wrote it
    *) once="'--root=$root'" ;;
  esac
  case $before in
    *"$served"[\"\ ]* | *"$once"[\"\ ]* | '') ;;
    *pi-brain-agent*) die "the key starts the agent for another directory here already: $before. If another spoke of this hub uses it, this one needs a key of its own: --key. If none does, 'install-spoke.sh --uninstall' here removes it." ;;
  esac
}

# What its owner put into the line that was there, or into that of the key that this one follows,
# stays: the addresses, the agent's options, and for a key that follows another all else.
keep_settings() {
  other=$before
  for one in $retire; do
    [ -n "$other" ] || other=$(lines_here "$one")
  done
  other=$(printf '%s\n' "$other" | awk "$awk_key"' ours($0)' | sed 1q)
  [ -n "$other" ] || return 0
  command=$(command_of "$line")
  # What gives back a part of what 'restrict' takes is not kept.
  case ,$(options_of "$other" | sed 's/"[^"]*"//g; s/ .*//' | tr 'A-Z' 'a-z'), in
    *,pty,* | *,port-forwarding,* | *,agent-forwarding,* | *,x11-forwarding,* | *,user-rc,*) more=yes ;;
    *) more= ;;
  esac
  [ -n "$more" ] || case $other in
    restrict,*"command=\"$command"[\ \"]*)
      if [ -z "$from" ] || [ "$from" = "$(from_of "$other")" ]; then
        # The options as they are, with this key behind them.
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
  for setting in $(options_of "$other" | tr " '\"" '\n\n\n' | grep -xE -e '--require-sandbox|--memory-limit=[0-9]+'); do
    start="${start%\"} $setting\""
  done
  line="$start $key"
}

# sshd gives the command to the login shell, which may be a restricted one, or take it otherwise.
check_login_shell() {
  shell=$(login_shell)
  answer=$("${shell:-/bin/sh}" -c "$(command_of "$line" | sed 's/\\"/"/g') --version" </dev/null 2>&1) || :
  case $answer in
    *'pi-brain-agent '[0-9]*) return ;;
  esac
  [ -z "$answer" ] || answer=" (it said: $(printf '%s' "$answer" | tail -c 300))"
  die "the login shell of ${user:-this user}, ${shell:-/bin/sh}, does not start the agent$answer. nologin and restricted shells (rbash) cannot run it. Give the account another shell: sudo chsh -s /bin/sh ${user:-USER}"
}

# The addresses that a line is for.
from_of() { printf '%s\n' "$1" | sed -n 's/^\(.*,\)\{0,1\}[Ff][Rr][Oo][Mm]="\([^"]*\)".*/\2/p'; }

check_line() {
  line_did=same
  case $(lines_here "$blob") in
    *.local/lib/pi-brain/pi-brain-agent*) ;;
    *) die "the line of the key $(fingerprint) in $keys does not start $agent, so upgrading that would have no effect. Run 'pi-brain spoke add' to fix the line." ;;
  esac
}

install_line() {
  before=$(lines_here "$blob")
  check_before
  if [ -n "$print" ] && { [ "$agent_did" = new ] || ! "$agent" --version >/dev/null 2>&1; }; then
    line_did=added
    [ -z "$before" ] || line_did=replaced
    would "$([ "$line_did" = added ] && echo add || echo replace) the line of the key $(fingerprint) in $keys, which lets it read $root and nothing else"
    return
  fi
  line=$(printf '%s\n' "$key" | "$agent" --root="$root" ${from:+"--from=$from"} --authorized-keys-line - 2>&1) || die "$line"
  check_root
  keep_settings
  check_login_shell
  if [ "$before" = "$line" ]; then
    line_did=same
    return
  fi
  line_did=added
  [ -z "$before" ] || line_did=replaced
  if [ -n "$print" ]; then
    would "put this line into $keys${before:+, in place of the one of the same key}: $line"
    return
  fi
  committed=
  saved=$keys.pi-brain.saved
  [ ! -e "$keys" ] || copy "$keys" "$saved"
  replace_lines "$blob" "$line"
}

fingerprint() { printf '%s' "$key" | awk '{ print (NF > 2 ? $3 : substr($2, length($2) - 15)) }'; }

# --- all of it ------------------------------------------------------------------------------------------

install() {
  choose_agent
  check_authorized_keys
  lock
  watch_out
  [ -z "$agent_only" ] || check_line
  install_agent
  [ -n "$agent_only" ] || install_line
  [ -n "$print" ] && [ "$agent_did $line_did" != "same same" ] || summary
  if [ -n "$token" ]; then
    tell "installed $arch $agent_did $line_did"
    # The hub looks whether it works. If it is not heard of again, nothing happened.
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
  tell "done"
}

# A hub that lost its power is not heard of again, and its connection may stay for hours. Whoever
# waits for it here, this shell or a program of its, is told.
watch_out() {
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
    same) say "agent: $agent, as it was" ;;
    *) say "agent: put into $agent ($arch, $("$agent" --version))" ;;
  esac
  [ -z "$agent_only" ] || return 0
  case $line_did in
    same) say "authorized_keys: has the line of the key $(fingerprint)" ;;
    added) say "authorized_keys: added the line of the key $(fingerprint)" ;;
    *) say "authorized_keys: replaced the line of the key $(fingerprint), which was: $before" ;;
  esac
  [ "$root" != '~/.pi/agent/sessions' ] || [ -d "$home/.pi/agent/sessions" ] || say "$home/.pi/agent/sessions does not exist yet: it comes when pi runs here"
}

retire_keys() {
  for one in $retire; do
    [ -n "$(lines_here "$one")" ] || continue
    replace_lines "$one" ""
    say "authorized_keys: $(
      [ -z "$(lines_here "$one")" ] && echo removed || echo 'left, since it does not start the agent,'
    ) the line of the key …$(printf '%s' "$one" | tail -c 16)"
  done
}

# The blobs of all keys that start the agent.
agent_keys() {
  [ -e "$keys" ] || return 0
  awk "$awk_key"' key($0) != "" && ours($0) { print key($0) }' "$keys" | sort -u
}

uninstall() {
  check_authorized_keys
  lock
  if [ -n "$print" ]; then removed="would remove"; else removed="removed"; fi
  starting=$(agent_keys)
  did= left=
  for one in $starting; do
    [ "$one" = "${blob:-$one}" ] || left=yes
  done
  for one in ${blob:-$starting}; do
    [ -n "$(lines_here "$one" | awk "$awk_key"' ours($0)')" ] || continue
    did=yes
    say "$removed the line of the key …$(printf '%s' "$one" | tail -c 16) from $keys"
    [ -n "$print" ] || replace_lines "$one" ""
  done
  if [ -n "$left" ]; then
    say "left the agent, which other keys start"
  elif [ -e "$agent" ]; then
    did=yes
    say "$removed $agent"
    [ -n "$print" ] || why=$(rm -f "$agent" 2>&1) || die "cannot remove $agent: $(obstacle "$dir" "$why")."
  fi
  [ -n "$print" ] || remove_directories
  [ -n "$print" ] || [ -z "$did" ] || [ -e "$keys" ] || drop_ssh=yes
  [ -n "$did$left" ] || say "nothing of pi-brain is here"
  tell "done"
}

# Those that are empty.
remove_directories() {
  rmdir "$dir" "$home/.local/lib" "$home/.local" 2>/dev/null || :
}

# As it was, byte for byte; unless somebody changed it meanwhile.
put_line_back() {
  now=
  [ ! -e "$keys" ] || now=$(digest <"$keys")
  if [ "$now" = "$line_sum" ]; then
    if [ -e "$saved" ]; then mv -f "$saved" "$keys"; else rm -f "$keys"; fi || return 1
  elif [ -n "$now" ] && { [ ! -e "$saved" ] || [ "$now" != "$(digest <"$saved")" ]; }; then
    replace_lines "$blob" "$(printf '%s\n' "$before" | sed 1q)"
  fi
}

# At the end, however it comes: what is not to stay is taken back, and ~/.ssh if nothing is in it.
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
    # In a process of its own: what fails there fails alone.
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
