# shellcheck shell=bash
# What every part of the lab shares: paths, identity, messages and timing.

LAB_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(dirname "$LAB_SOURCE")
LAB_NAME=${LAB_NAME:-dev}
CACHE=${LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/etcd-on-pulumi}

die() {
  printf 'lab: %s\n' "$*" >&2
  exit 1
}

# A mistake of the caller's: exit status 2 tells it from a failure of the lab.
usage_error() {
  printf 'lab: %s\n' "$*" >&2
  exit 2
}

note() { printf 'lab: %s\n' "$*" >&2; }

# Milliseconds since the epoch; `date` would cost a process at every call.
now_ms() { printf '%s' "$((${EPOCHREALTIME/[.,]/} / 1000))"; }

seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# quietly LABEL LOG COMMAND...: announces LABEL, keeps the command's output in LOG and shows
# its tail only on failure. Returns the command's status.
quietly() {
  local label=$1 log=$2 start status=0
  shift 2
  mkdir -p "$(dirname "$log")"
  start=$(now_ms)
  note "$label ..."
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [[ $status -eq 0 ]]; then
    note "$label: done in $(seconds_since "$start")"
  else
    note "$label: failed after $(seconds_since "$start"), the end of $log:"
    tail -n 20 "$log" | sed 's/^/    /' >&2
  fi
  return "$status"
}

require_value() {
  [[ $2 =~ $3 ]] || usage_error "$1 is \"$2\", it must $4"
}

require_value LAB_NAME "$LAB_NAME" '^[a-z][a-z0-9-]{0,23}$' \
  "be 1 to 24 lower-case letters, digits and dashes and start with a letter"

STATE=$CHECKOUT/.lab/$LAB_NAME
# Two checkouts may use the same lab name: the identity of a lab is both together, short enough
# for host names (64 bytes) and safe in paths.
LAB_ID=$(printf '%s\n%s\n' "$CHECKOUT" "$LAB_NAME" | sha256sum)
LAB_ID=${LAB_ID:0:8}
RUN_ROOT=/run/etcd-lab
RUN_DIR=$RUN_ROOT/$LAB_ID

case $(uname -m) in
  x86_64) ARCH=amd64 ;;
  aarch64) ARCH=arm64 ;;
  *) ARCH=$(uname -m) ;;
esac
