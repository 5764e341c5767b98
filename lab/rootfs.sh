# shellcheck shell=bash
# The Debian roots that the hosts share as the read-only lower layers of their disks.

SUITES=(bullseye bookworm trixie)
DEFAULT_SUITE=bookworm

# choose_suites: LAB_DEBIAN, one suite or several with commas between them, of which the hosts take one each in turn; without it what
# the lab has. A disk goes with the root that it was made on.
choose_suites() {
  local before wanted suite
  before=$(cat "$STATE/debian" 2>/dev/null || true)
  wanted=${LAB_DEBIAN:-${before:-$DEFAULT_SUITE}}
  for suite in ${wanted//,/ }; do
    [[ " ${SUITES[*]} " == *" $suite "* ]] || usage_error "LAB_DEBIAN is \"$wanted\", and there is no suite \"$suite\", the suites are ${SUITES[*]}"
  done
  [[ -z $before || $before == "$wanted" ]] ||
    usage_error "LAB_DEBIAN is \"$wanted\", and the disks of this lab were made on \"$before\"; npm run lab -- down --purge first"
  printf '%s' "$wanted" >"$STATE/debian"
}

# choose_packages: LAB_PACKAGES, packages of Debian with commas between them that the hosts have on top of the standard ones; without it
# what the lab has. A disk goes with the root that it was made on.
choose_packages() {
  local before wanted
  before=$(cat "$STATE/packages" 2>/dev/null || true)
  wanted=${LAB_PACKAGES:-$before}
  [[ -z $wanted ]] || require_value LAB_PACKAGES "$wanted" '^[a-z0-9][a-z0-9.+-]+(,[a-z0-9][a-z0-9.+-]+)*$' \
    "be names of Debian packages with commas between them"
  [[ ! -e $STATE/packages || $before == "$wanted" ]] ||
    usage_error "LAB_PACKAGES is \"$wanted\", and the disks of this lab were made with \"$before\"; npm run lab -- down --purge first"
  printf '%s' "$wanted" >"$STATE/packages"
}

# suites: those of this lab.
suites() { tr ',' '\n' <"$STATE/debian"; }

# suite_of HOST
suite_of() {
  local suites=()
  mapfile -t suites < <(suites)
  printf '%s' "${suites[(10#${1#etcd} - 1) % ${#suites[@]}]}"
}

# ensure_rootfs SUITE: sets ROOTFS to the directory of its root.
ensure_rootfs() {
  local key packages
  packages=$(cat "$STATE/packages")
  key=$(printf '%s %s %s %s\n' "$1" "$ARCH" "${LAB_DEBIAN_MIRROR:-}" "$packages" |
    digest "$LAB_SOURCE/build/rootfs.sh" -)
  cached rootfs "$key" "making a root of Debian $1 with debootstrap" \
    bash "$LAB_SOURCE/build/rootfs.sh" "$1" "$packages" ||
    die "no root of Debian $1 for the hosts; LAB_DEBIAN_MIRROR can name another package mirror"
  ROOTFS=$ENTRY
}

ensure_roots() {
  local suite
  for suite in $(suites); do ensure_rootfs "$suite"; done
}
