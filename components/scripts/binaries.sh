#!/usr/bin/env bash
# Step «binaries»: the etcd release, verified, in a directory of its version. Switching to it is the member's step.
# Takes NODE VERSION DOWNLOAD_URL SHA256_AMD64 SHA256_ARM64 (a digest may be empty: then the mirror's SHA256SUMS decides).

apply() {
  local directory=$RELEASES/v$VERSION
  if ! complete "$directory"; then download "$directory"; fi
  # A first installation has nothing to switch from; later the member's step moves the links when it restarts etcd.
  local name
  for name in etcd etcdctl etcdutl; do
    if [ ! -e "/usr/local/bin/$name" ]; then point "$directory/$name" "/usr/local/bin/$name"; fi
  done
  receipt binaries "$1" "$directory/etcd" "$directory/etcdctl" "$directory/etcdutl"
}

# The manifest is the last thing written into a release's directory and lists what its binaries looked like.
complete() {
  [ -f "$1/manifest" ] && [ "$(describe "$1/etcd" "$1/etcdctl" "$1/etcdutl")" = "$(cat "$1/manifest")" ]
}

fetch() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 3 --retry-connrefused --connect-timeout 10 --max-time 600 \
      --output "$2" "$1"
  else
    wget --quiet --tries 3 --timeout 30 --output-document "$2" "$1"
  fi
}

download() {
  local directory=$1 architecture expected actual name work
  case $(uname -m) in
    x86_64) architecture=amd64 expected=$SHA256_AMD64 ;;
    aarch64) architecture=arm64 expected=$SHA256_ARM64 ;;
    *) fail "is a $(uname -m) machine; etcd is supported on amd64 and arm64" ;;
  esac
  name=etcd-v$VERSION-linux-$architecture
  mkdir -p "$RELEASES"
  find "$RELEASES" -maxdepth 1 -name '.new.*' -exec rm -rf {} +
  work=$(mktemp -d "$RELEASES/.new.XXXXXX")
  # shellcheck disable=SC2064 # the path is meant to be fixed now
  trap "rm -rf '$work'" EXIT
  fetch "$DOWNLOAD_URL/v$VERSION/$name.tar.gz" "$work/$name.tar.gz" ||
    fail "cannot download $DOWNLOAD_URL/v$VERSION/$name.tar.gz; check etcd:downloadUrl and etcd:version"
  if [ -z "$expected" ]; then
    fetch "$DOWNLOAD_URL/v$VERSION/SHA256SUMS" "$work/SHA256SUMS" ||
      fail "cannot download $DOWNLOAD_URL/v$VERSION/SHA256SUMS; put the digest of $name.tar.gz into etcd:sha256 instead"
    expected=$(awk -v name="$name.tar.gz" '$2 == name || $2 == "*" name { print $1 }' "$work/SHA256SUMS")
    [ -n "$expected" ] || fail "$DOWNLOAD_URL/v$VERSION/SHA256SUMS does not list $name.tar.gz"
  fi
  actual=$(sha256sum "$work/$name.tar.gz" | cut -d ' ' -f 1)
  [ "$actual" = "$expected" ] ||
    fail "$name.tar.gz has sha256 $actual, expected $expected; nothing was installed"
  mkdir "$work/release"
  tar -xzf "$work/$name.tar.gz" -C "$work/release" --no-same-owner --strip-components=1 \
    "$name/etcd" "$name/etcdctl" "$name/etcdutl"
  chmod 0755 "$work/release" "$work/release/etcd" "$work/release/etcdctl" "$work/release/etcdutl"
  rm -rf "$directory"
  mv -T "$work/release" "$directory"
  # A member must find its release whole after a power cut. Where none was ever ready there is none to come back: an installation
  # that lost a part is seen by its size then, and repeated, so that nobody waits for slow disks here.
  if [ -e "$FORMED" ]; then sync "$directory" "$directory/etcd" "$directory/etcdctl" "$directory/etcdutl"; fi
  describe "$directory/etcd" "$directory/etcdctl" "$directory/etcdutl" | put 0644 root:root "$directory/manifest"
}

remove() {
  local name
  for name in etcd etcdctl etcdutl; do
    case $(readlink "/usr/local/bin/$name" || true) in
      "$RELEASES"/v*) rm -f "/usr/local/bin/$name" ;;
    esac
  done
  rm -rf "$RELEASES"
  rm -f "$STATE/receipts/binaries"
}
