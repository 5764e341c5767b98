# shellcheck shell=bash
# The Debian root that all hosts share as the read-only lower layer of their disks.

# Sets ROOTFS to the directory of the root.
ensure_rootfs() {
  local key
  key=$(printf '%s %s\n' "$ARCH" "${LAB_DEBIAN_MIRROR:-}" |
    digest "$LAB_SOURCE/build/rootfs.sh" -)
  cached rootfs "$key" "making a Debian root with debootstrap" \
    bash "$LAB_SOURCE/build/rootfs.sh" ||
    die "no Debian root for the hosts; LAB_DEBIAN_MIRROR can name another package mirror"
  ROOTFS=$ENTRY
}
