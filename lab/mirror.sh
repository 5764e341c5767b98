# shellcheck shell=bash
# The release mirror on the operator's address.

MIRROR_PORT=8080

mirror_is_up() { find_part mirror; }

# Files under the run state's mirror/ come before the cached releases of the same path.
start_mirror() {
  end_group "etcd-lab-$LAB_ID/mirror" || die "an earlier mirror does not end"
  mkdir -p "$STATE/mirror" "$RELEASES"
  spawn mirror "$STATE/logs/mirror.log" env -i PATH="$PATH" HOME="$HOME" \
    nsenter --net="/proc/$OPERATOR_PID/ns/net" -- \
    node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$LAB_SOURCE/mirror.ts" \
    "$OPERATOR_ADDRESS" "$MIRROR_PORT" "$STATE/mirror" "$RELEASES"
}

await_mirror() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    # shellcheck disable=SC2016 # the inner shell's own arguments
    in_operator bash -c ': <"/dev/tcp/$1/$2"' - "$OPERATOR_ADDRESS" "$MIRROR_PORT" 2>/dev/null && return 0
    mirror_is_up || break
    sleep 0.05
  done
  die "the release mirror does not answer, see $STATE/logs/mirror.log"
}
