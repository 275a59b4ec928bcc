#!/bin/sh
# Install with apt what building pi-brain needs, and on request what testing it needs, saying what. Debian
# 12, Ubuntu 24.04 or later. Packages that are there already are left alone.
#
# usage: deploy/install-build-deps.sh [--demo | --test | --fuzz | --coverage]
#   --demo      and what deploy/demo.sh needs: an SSH server
#   --test      and what the tests need: shells, filesystems, Ansible, …
#   --fuzz      and what tests/fuzz/run.sh needs, the tests' included
#   --coverage  and what tests/coverage.sh needs, the tests' included
set -eu

packages="
  g++ cmake ninja-build pkg-config dpkg-dev file python3
  capnproto libcapnp-dev libssh2-1-dev libsystemd-dev librsync-dev libb2-dev libyaml-cpp-dev libabsl-dev
  libzstd-dev libxxhash-dev libseccomp-dev libsqlite3-dev libssl-dev libbsd-dev libcli11-dev"
demo="openssh-client openssh-server"
tests="$demo
  libgtest-dev libbenchmark-dev python3-yaml python3-ruamel.yaml dropbear-bin tinysshd rsync util-linux strace faketime iproute2 procps binutils
  e2fsprogs xfsprogs btrfs-progs exfatprogs exfat-fuse ntfs-3g
  systemd groff-base bash-completion zsh fish tcsh csh mksh ksh93u+m busybox ansible"
case "${1:-}" in
  '') ;;
  --demo) packages="$packages $demo" ;;
  --test) packages="$packages $tests" ;;
  --fuzz) packages="$packages $tests clang libclang-rt-dev" ;;
  --coverage) packages="$packages $tests clang libclang-rt-dev llvm" ;;
  *) echo "install-build-deps.sh: no such option: $1 (see the head of this file)" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null; then
  echo "This needs apt (Debian or Ubuntu). Install the equivalents of:$packages" >&2
  exit 1
fi

missing=
native=$(dpkg --print-architecture)
for package in $packages; do
  # A library may be there for another architecture too, or for that alone.
  dpkg-query -W -f='${db:Status-Status} ${Architecture}\n' "$package" 2>/dev/null |
    grep -qxE "installed (all|$native)" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "This needs root or sudo. Ask an administrator to run this, then run the script again:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "Installing with apt:$missing"
$as_root apt-get update -q
# A service that the package would start is not wanted: tests and demo start an sshd of their own.
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -q --no-install-recommends $missing
