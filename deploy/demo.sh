#!/bin/sh
# Show pi-brain sync at work on this machine alone: install what the build needs, build, start a
# private sshd on a free loopback port with a forced-command key, mirror a small tree of sessions,
# let some grow, sync again, and show the status. Everything is in a temporary directory, which is
# removed at the end; ~/.ssh, ~/.pi and ~/.pi-brain are not touched.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "1. Building (the first time takes a few minutes)"
deploy/install-build-deps.sh --demo
cmake --preset release >/dev/null
cmake --build --preset release --target pi-brain pi-brain-agent
bin=$PWD/build/release/bin

dir=$(mktemp -d "${TMPDIR:-/tmp}/pi-brain-demo.XXXXXX")
sshd_pid=
clean_up() {
  [ -z "$sshd_pid" ] || kill "$sshd_pid" 2>/dev/null || true
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# The hub's home, for children of this shell alone.
mkdir -p "$dir/hub/.pi-brain" "$dir/spoke/ssh"
export HOME="$dir/hub"
sessions=$dir/spoke/sessions

say "2. A spoke: 40 sessions, and an sshd with a key that can only start the agent"
# ACTION COUNT SEED
change() { python3 tests/sessions.py "$1" "$sessions" --files "$2" --seed "$3" >/dev/null; }
change make 40 1
ssh-keygen -q -t ed25519 -N '' -f "$dir/spoke/ssh/host_key"
ssh-keygen -q -t ed25519 -N '' -C pi-brain-sync -f "$dir/hub/pi-brain-sync"
"$bin/pi-brain-agent" --root="$sessions" --authorized-keys-line "$dir/hub/pi-brain-sync.pub" \
  >"$dir/spoke/ssh/authorized_keys"
echo "authorized_keys has this line:"
cat "$dir/spoke/ssh/authorized_keys"

[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$dir/spoke/ssh/sshd_config" <<EOF
Port $port
ListenAddress 127.0.0.1
HostKey $dir/spoke/ssh/host_key
AuthorizedKeysFile $dir/spoke/ssh/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
# When sshd starts bash, bash reads ~/.bashrc, which may be slow; not so if bash believes it is nested.
SetEnv SHLVL=1
EOF
sshd=$(command -v sshd || echo /usr/sbin/sshd)
"$sshd" -D -E "$dir/spoke/ssh/sshd.log" -f "$dir/spoke/ssh/sshd_config" &
sshd_pid=$!
tries=0
until ssh-keyscan -T 1 -p "$port" 127.0.0.1 >"$dir/hub/known_hosts" 2>/dev/null && [ -s "$dir/hub/known_hosts" ]; do
  tries=$((tries + 1))
  if [ $tries -gt 20 ]; then
    cat "$dir/spoke/ssh/sshd.log" >&2
    exit 1
  fi
  sleep 0.2
done

cat >"$dir/hub/ssh_config" <<EOF
Host laptop
    HostName 127.0.0.1
    Port $port
    IdentityFile $dir/hub/pi-brain-sync
    IdentitiesOnly yes
    UserKnownHostsFile $dir/hub/known_hosts
EOF
cat >"$dir/hub/.pi-brain/config.yaml" <<EOF
hub:
  ssh_config: $dir/hub/ssh_config
spokes:
  - name: laptop
    sync_method: agent
    source: laptop:$sessions
    path: ~/.pi-brain/synced/laptop
EOF
say "3. The hub's config"
cat "$dir/hub/.pi-brain/config.yaml"

say "4. The first run: pi-brain sync run"
"$bin/pi-brain" sync run

say "5. Two sessions grow, one is rewritten, one moves: pi-brain sync run --dry-run"
change grow 2 2
change rewrite 1 3
change move 1 7
"$bin/pi-brain" sync run --dry-run

say "6. The second run does that: pi-brain sync run"
"$bin/pi-brain" sync run

say "7. The mirror equals the spoke's tree: diff -r"
diff -r "$sessions" "$HOME/.pi-brain/synced/laptop"
echo "no differences"

say "8. A run in which nothing changed: pi-brain sync run"
"$bin/pi-brain" sync run

say "9. pi-brain sync status"
"$bin/pi-brain" sync status

say "10. The latest sessions: pi-brain sync list"
"$bin/pi-brain" sync list | head -n 4

say "Done. The demo's files are removed. README.md shows how to set up a real spoke."
