# shellcheck shell=bash
# etcd releases the lab can serve to its hosts.

DEFAULT_RELEASE=${LAB_ETCD_VERSION:-3.6.14}
# The mirror serves every release in the cache, laid out like the official download folder.
RELEASES=$CACHE/releases-$ARCH

# ensure_release VERSION: sets RELEASE to the release's directory: the tarball, SHA256SUMS and
# the programs themselves in bin/.
ensure_release() {
  local version=${1#v}
  [[ $version =~ ^3\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$ ]] ||
    usage_error "there is no etcd release \"$1\", a release looks like 3.6.14"
  cached "releases-$ARCH" "v$version" "getting etcd $version" \
    bash "$LAB_SOURCE/build/etcd.sh" "$version" ||
    die "etcd $version can neither be downloaded nor built from its Go modules"
  RELEASE=$ENTRY
}

# The tarball's, of the release that ensure_release found last.
release_digest() {
  sed -n "s/^\([0-9a-f]\{64\}\)  etcd-v[0-9a-z.-]*-linux-$ARCH\.tar\.gz\$/\1/p" "$RELEASE/SHA256SUMS"
}
