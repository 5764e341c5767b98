#!/usr/bin/env bash
# build/etcd.sh VERSION DIRECTORY: fills DIRECTORY with an etcd release: the official tarball and
# SHA256SUMS where they can be downloaded, else the same three programs built from the module
# proxy and packed the same way; and the programs themselves in bin/.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$LAB_SOURCE/download.sh"

version=$1
target=$2
name=etcd-v$version-linux-$ARCH

download_release() {
  local url=${LAB_RELEASE_URL:-https://github.com/etcd-io/etcd/releases/download}/v$version
  fetch "$url/SHA256SUMS" "$target/SHA256SUMS" || return 1
  fetch "$url/$name.tar.gz" "$target/$name.tar.gz" || return 1
  grep " $name.tar.gz\$" "$target/SHA256SUMS" | (cd "$target" && sha256sum --check --strict -)
}

# The committed module files pin every dependency of the releases the project itself uses; for
# any other release the same files are worked out on the spot.
write_module() {
  local pinned=$LAB_SOURCE/toolchain/etcd/$version
  if [[ -d $pinned ]]; then
    cp "$pinned/go.mod" "$pinned/go.sum" "$1/"
    return
  fi
  printf 'module etcd-lab/etcd\n\ngo 1.24\n' >"$1/go.mod"
  (cd "$1" && go get -tool "go.etcd.io/etcd/server/v3@v$version" \
    "go.etcd.io/etcd/etcdctl/v3@v$version" "go.etcd.io/etcd/etcdutl/v3@v$version")
}

build_release() {
  local work=$target/.work program module
  require_go
  mkdir -p "$work/$name"
  write_module "$work"
  for program in etcd etcdctl etcdutl; do
    module=$program
    [[ $program == etcd ]] && module=server
    (cd "$work" && go_build "$name/$program" "go.etcd.io/etcd/$module/v3")
  done
  # Names, times and owners are fixed so that one compiler always gives one digest.
  tar -C "$work" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - "$name" |
    gzip -n >"$target/$name.tar.gz"
  (cd "$target" && sha256sum "$name.tar.gz" >SHA256SUMS)
  rm -rf "$work"
}

if download_release; then
  echo "downloaded $name.tar.gz"
else
  rm -f "$target/SHA256SUMS" "$target/$name.tar.gz"
  build_release
fi
mkdir "$target/bin"
tar -xzf "$target/$name.tar.gz" -C "$target/bin" --strip-components=1 \
  "$name/etcd" "$name/etcdctl" "$name/etcdutl"
