#!/bin/sh
# Build the project on Debian 13 and run its tests there, in a chroot that debootstrap makes (some
# 1.5 GB with what the build needs). Needs root, on Debian or Ubuntu.
#
# usage: tests/debian13.sh [DIRECTORY] [CTEST-ARGUMENT…]
#   DIRECTORY  the chroot, which is made if it does not exist, and kept (default: a temporary one)
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "tests/debian13.sh: a chroot needs root: run this script with sudo." >&2; exit 1; }
if ! command -v debootstrap >/dev/null; then
  apt-get update -q
  apt-get install -y -q --no-install-recommends debootstrap
fi
case ${1:-} in
  '' | -*)
    root=$(mktemp -d /var/tmp/pi-brain-debian13.XXXXXX)
    trap 'rm -rf --one-file-system "$root"' EXIT
    trap 'exit 1' HUP INT TERM
    ;;
  *)
    root=$1
    shift
    ;;
esac
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
[ -e "$root/usr/bin/apt-get" ] || debootstrap --variant=minbase trixie "$root" "$mirror"

# Copies the work tree as it is now, without builds.
rm -rf "$root/src/pi-brain.new"
mkdir -p "$root/src/pi-brain"
find "$root/src/pi-brain" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
tar -c --exclude=./build --exclude=./.git . | tar -x -C "$root/src/pi-brain"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"

# The shell does not exec the tests: it is the first process of its namespace, and reaps orphans. The
# directory becomes the root by pivot_root, since tests that enter a mount namespace would leave a chroot.
inside='
  mount --make-rprivate /
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
  mount -t tmpfs run "$1/run"
  mkdir "$1/run/before"
  cd "$1"
  shift
  pivot_root . run/before
  umount -l run/before
  /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 PIBRAIN_TEST_FULL="${PIBRAIN_TEST_FULL:-1}" PIBRAIN_TEST_SEED="${PIBRAIN_TEST_SEED:-1}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -euc "
      cd /src/pi-brain
      deploy/install-build-deps.sh --test
      cmake --preset release
      cmake --build --preset release
      exec ctest --preset release -j \"\$(nproc)\" \"\$@\"" sh "$@"'
# A pid namespace of its own, so that no process outlives it.
unshare --mount --pid --fork sh -euc "$inside" sh "$root" "$@"
