#!/bin/sh
# Build the static agents for x86_64 and aarch64 Linux, on either of the two, with Debian's compilers
# and libraries. The same source on the same Debian gives the same bytes, in whatever directory.
#
# usage: deploy/build-agents.sh [DIRECTORY]
#   DIRECTORY  the directory for the agents (default: build/release/lib/pi-brain, where
#              build/release/bin/pi-brain, 'cmake --install' and the package look for them)
set -eu
out=${1:-}
case $out in
  '' | /*) ;;
  *) out=$PWD/$out ;;
esac
cd "$(dirname "$0")/.."
out=${out:-$PWD/build/release/lib/pi-brain}

install() {
  missing=
  for package in "$@"; do
    state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Packages are missing, and installing them needs root or sudo:$missing" >&2; exit 1; }
    as_root=sudo
  fi
  echo "Installing with apt:$missing"
  for foreign in amd64 arm64; do
    dpkg --print-architecture | grep -qx $foreign || $as_root dpkg --add-architecture $foreign
  done
  $as_root apt-get update -q
  # shellcheck disable=SC2086 # a list of words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}

build() {
  architecture=$1 debian=$2 triplet=$3
  packages="cmake ninja-build pkg-config capnproto"
  for library in capnp rsync b2 zstd xxhash seccomp; do packages="$packages lib$library-dev:$debian"; done
  if [ "$(dpkg --print-architecture)" = "$debian" ]; then
    packages="$packages g++"
  else
    packages="$packages g++-$(echo "$triplet" | tr _ -)"
  fi
  # shellcheck disable=SC2086 # a list of words
  install $packages
  PKG_CONFIG_LIBDIR=/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig \
    cmake -S . -B "build/agents/$architecture" -G Ninja --log-level=WARNING -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$architecture" -DCMAKE_C_COMPILER="$triplet-gcc" \
    -DCMAKE_CXX_COMPILER="$triplet-g++" -DPIBRAIN_AGENT_ONLY=ON -DPIBRAIN_STATIC_AGENT=ON \
    -DPIBRAIN_STATIC_LIBRARIES=ON
  cmake --build "build/agents/$architecture"
  mkdir -p "$out"
  cp "build/agents/$architecture/bin/pi-brain-agent" "$out/.new"
  mv "$out/.new" "$out/pi-brain-agent-$architecture"
}

build x86_64 amd64 x86_64-linux-gnu
build aarch64 arm64 aarch64-linux-gnu
sha256sum "$out"/pi-brain-agent-*
