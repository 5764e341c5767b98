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

await_mirror() { await_server mirror "$MIRROR_PORT"; }
