#!/bin/sh
# Install with apt what building and testing pi-brain needs, saying what. Debian 12, Ubuntu 24.04 or
# later. Packages that are there already are left alone.
#
# usage: deploy/install-build-deps.sh [--fuzz | --coverage]
#   --fuzz      and what tests/fuzz/run.sh needs
#   --coverage  and what tests/coverage.sh needs
set -eu

packages="
  g++ cmake ninja-build pkg-config
  capnproto libcapnp-dev libssh2-1-dev librsync-dev libb2-dev libyaml-cpp-dev libabsl-dev
  libzstd-dev libxxhash-dev libseccomp-dev libsqlite3-dev libssl-dev libbsd-dev libcli11-dev libgtest-dev libbenchmark-dev
  python3 python3-yaml python3-ruamel.yaml openssh-client openssh-server dropbear-bin tinysshd rsync util-linux strace faketime iproute2 procps binutils
  e2fsprogs xfsprogs btrfs-progs exfatprogs exfat-fuse ntfs-3g
  systemd groff-base zsh fish tcsh csh mksh ksh93u+m busybox file dpkg-dev ansible"
case "${1:-}" in
  --fuzz) packages="$packages clang libclang-rt-dev" ;;
  --coverage) packages="$packages clang libclang-rt-dev llvm" ;;
esac

if ! command -v apt-get >/dev/null; then
  echo "This needs apt (Debian or Ubuntu). Install the equivalents of:$packages" >&2
  exit 1
fi

missing=
for package in $packages; do
  state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$state" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Not root and no sudo here. Have these packages installed, then run this again:$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "Installing with apt:$missing"
$as_root apt-get update -q
# A service that the package would start is not wanted: tests and demo start an sshd of their own.
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -q --no-install-recommends $missing
