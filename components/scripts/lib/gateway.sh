#!/usr/bin/env bash
# Which certificate etcd's JSON gateway dials its own member with: server.pem, unless etcd was told --client-cert-file at its start. The
# files are read at every handshake, so what the running process dials with stays good until it has been restarted. Part of the steps
# "install", which brings what the next start needs, and "member", which takes away what the last one needed.

# A server certificate without client auth, until nobody dials with server.pem any more.
HELD_BACK=server.pem.next

# gateway_dials_with: "own" pair, "server" certificate, or nothing when etcd does not run.
gateway_dials_with() {
  local pid words
  pid=$(unit_property MainPID)
  [ -e "/proc/${pid:-0}/cmdline" ] || return 0
  words=$(tr '\0' '\n' <"/proc/$pid/cmdline")
  if grep -q '^--client-cert-file=' <<<"$words"; then echo own; else echo server; fi
}

# server_waits: whether the new server certificate would break the running gateway. One of a CA that goes is worth less than that.
server_waits() {
  [ -n "$GATEWAY_PEM" ] && [ "$(gateway_dials_with)" = server ] &&
    [ "$(cat "$ISSUER_MARK" 2>/dev/null)" = "$ISSUER" ] && leaves_last
}

# settle_gateway: after the member's turn.
settle_gateway() {
  local now
  if [ ! -e "$PKI/$HELD_BACK" ] && [ ! -e "$PKI/gateway.pem" ] && [ ! -e "$PKI/gateway-key.pem" ]; then return; fi
  now=$(gateway_dials_with)
  if [ -e "$PKI/$HELD_BACK" ] && [ "$now" != server ]; then mv -fT "$PKI/$HELD_BACK" "$PKI/server.pem"; fi
  if ! grep -q '^  --client-cert-file=' <<<"$UNIT_TEXT" && [ "$now" != own ]; then
    remove_file "$PKI/gateway.pem" "$PKI/gateway-key.pem"
  fi
}
