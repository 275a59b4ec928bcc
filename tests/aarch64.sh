#!/bin/sh
# Run the end-to-end tests with the aarch64 agent, emulated by qemu, against this machine's hub. The
# hub comes from build/release; the agent is built if it is missing. Suites that look at the agent
# from outside (its processes, memory, system calls, sandbox) would see qemu, and are left out.
#
# usage: tests/aarch64.sh [SUITE…]      default: agent archive cli mirror verify
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- agent archive cli mirror verify

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
command -v qemu-aarch64-static >/dev/null || {
  $as_root apt-get update -q
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-user-static
}
agent=$PWD/build/release/lib/pi-brain/pi-brain-agent-aarch64
[ -x "$agent" ] || deploy/build-agents.sh

bin=$PWD/build/agents/emulated
mkdir -p "$bin"
ln -sf "$PWD/build/release/bin/pi-brain" "$bin/pi-brain"
cat >"$bin/pi-brain-agent" <<END
#!/bin/sh
exec $(command -v qemu-aarch64-static) '$agent' "\$@"
END
chmod 755 "$bin/pi-brain-agent"
export PIBRAIN_BIN="$bin" PIBRAIN_TEST_EMULATED="$agent" 

status=0
for suite in "$@"; do
  echo "=== $suite"
  python3 -W ignore "tests/e2e/test_$suite.py" || status=1
done
exit $status
