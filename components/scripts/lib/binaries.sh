#!/usr/bin/env bash
# The etcd release, verified, in a directory of its version. Switching to it is the member's step.
# Takes NODE VERSION DOWNLOAD_URL SHA256_AMD64 SHA256_ARM64 (a digest may be empty), LISTED_SUMS (yes: then the SHA256SUMS beside
# the tarball decides).

# install_binaries REVISION
install_binaries() {
  local directory=$RELEASES/v$VERSION
  doing "installing etcd $VERSION in $directory"
  # What a killed run left.
  if [ -d "$RELEASES" ]; then find "$RELEASES" -maxdepth 1 -name '.new.*' -exec rm -rf {} +; fi
  if ! complete "$directory"; then download "$directory"; fi
  # A first installation has nothing to switch from; later the member's step moves the links when it restarts etcd.
  local name
  for name in etcd etcdctl etcdutl; do
    if [ ! -e "/usr/local/bin/$name" ]; then symlink "$directory/$name" "/usr/local/bin/$name"; fi
  done
  receipt binaries "$1" "$directory/etcd" "$directory/etcdctl" "$directory/etcdutl"
}

# The manifest is the last thing written into a release's directory and lists what its binaries looked like.
complete() {
  [ -f "$1/manifest" ] && [ "$(describe "$1/etcd" "$1/etcdctl" "$1/etcdutl")" = "$(cat "$1/manifest")" ]
}

discard() { rm -rf "$WORK"; }

download() {
  local directory=$1 architecture expected actual url
  architecture=$(architecture) || fail "is a $(uname -m) machine; etcd is supported on amd64 and arm64"
  case $architecture in
    amd64) expected=$SHA256_AMD64 ;;
    arm64) expected=$SHA256_ARM64 ;;
  esac
  NAME=etcd-v$VERSION-linux-$architecture url=$DOWNLOAD_URL/v$VERSION/$NAME.tar.gz
  if [ -z "$expected" ] && [ "$LISTED_SUMS" != yes ]; then
    fail "is an $architecture machine, and etcd:sha256 has no digest for $architecture; add that of $NAME.tar.gz"
  fi
  mkdir -p "$RELEASES"
  WORK=$(mktemp -d "$RELEASES/.new.XXXXXX")
  trap discard EXIT
  fetch "$url" "$WORK/$NAME.tar.gz" "$TARBALL_KIB" "$DOWNLOAD_SECONDS" "check etcd:downloadUrl and etcd:version"
  if [ -z "$expected" ]; then
    listed_digest "$NAME"
    expected=$LISTED
  fi
  actual=$(sha256sum <"$WORK/$NAME.tar.gz" | cut -d ' ' -f 1)
  [ "$actual" = "$expected" ] ||
    fail "$NAME.tar.gz has sha256 $actual, expected $expected; nothing was installed; check etcd:downloadUrl and etcd:sha256"
  unpack
  look_at "$architecture"
  rm -rf "$directory"
  mv -T "$WORK/release" "$directory"
  # A member must find its release whole after a power cut. Where none was ever ready there is none to come back: an installation
  # that lost a part is seen by its size then, and repeated, so that nobody waits for slow disks here.
  if [ -e "$FORMED" ]; then sync "$directory" "$directory/etcd" "$directory/etcdctl" "$directory/etcdutl"; fi
  describe "$directory/etcd" "$directory/etcdctl" "$directory/etcdutl" | install_file 0644 root:root "$directory/manifest"
}

remove_binaries() {
  doing "removing the releases of etcd in $RELEASES"
  local name
  for name in etcd etcdctl etcdutl; do
    case $(readlink "/usr/local/bin/$name" || true) in
      "$RELEASES"/v*) rm -f "/usr/local/bin/$name" ;;
    esac
  done
  rm -rf "$RELEASES"/v[0-9]* "$RELEASES"/.new.*
  rmdir "$RELEASES" 2>/dev/null || true
  rm -f "$STATE/receipts/binaries"
}
