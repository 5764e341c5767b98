# shellcheck shell=bash
# Official binaries are a short cut that may be missing: downloads fail fast, and what they would
# have brought is then built with Go from the module proxy.

# fetch URL FILE: a refused or silent network costs at most three seconds.
fetch() {
  [[ -n ${LAB_OFFLINE:-} ]] && return 1
  curl --fail --silent --show-error --location --connect-timeout 3 --max-time 600 \
    --speed-limit 10000 --speed-time 10 --output "$2" "$1"
}

require_go() {
  command -v go >/dev/null && return
  PATH=$PATH:/usr/local/go/bin
  command -v go >/dev/null && return
  die "official binaries cannot be downloaded here and building them needs Go 1.26 or newer:" \
    "install it from your distribution or from go.dev and put go on PATH"
}

# go_build OUTPUT PACKAGE [LINKER FLAGS]: in the module of the current directory. What is given
# here overrules a -mod or -buildvcs of the user's GOFLAGS. Go waits for ever for a module proxy
# that stands still; another try goes on from what has come.
go_build() {
  local tries status
  for tries in 1 2 3; do
    status=0
    CGO_ENABLED=0 GOWORK=off timeout --foreground 1200 go build -mod=readonly -buildvcs=false -trimpath \
      -ldflags "-s -w ${3:-}" -o "$1" "$2" || status=$?
    [[ $status -eq 124 ]] || break
    echo "still building $2 after 20 minutes, try $tries of 3"
  done
  return "$status"
}

# pinned_version MODULES MODULE: the version, without its v, that a go.mod in lab/toolchain asks for.
pinned_version() {
  awk -v module="$2" '$1 == module { print substr($2, 2) }' "$LAB_SOURCE/toolchain/$1/go.mod"
}
