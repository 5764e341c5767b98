#!/usr/bin/env bash
# Certificates of a member that moves name its new address only: until it has arrived there nobody believes them. So the step "install"
# puts them beside those in use, which etcd reads at every handshake, and the member's step takes them when it has etcd move.
# Takes ADDRESS PKI.

# etcd_moves: what etcd was last told here is another address.
etcd_moves() {
  local told
  told=$(sed -n 's/^PRIVATE_IP=//p' /etc/etcd.env 2>/dev/null)
  # shellcheck disable=SC2153 # a value of the step
  [ -n "$told" ] && [ "$told" != "$ADDRESS" ] && [ "$told" != "[$ADDRESS]" ]
}

# leaves_last: those in use have not expired: such are worth less than what holding back is for.
leaves_last() { openssl x509 -in "$PKI/server.pem" -noout -checkend 0 >/dev/null 2>&1; }

# held_back: where they are, and the mark with the CA that signed them.
held_back() { printf '%s\n' "$PKI"/{server,peer,gateway}.pem "$ISSUER_MARK"; }

# take_held_back: before etcd is started with other files; twice is once. Those of before stay beside the files that it would be rolled
# back to. The mark waits also where etcd has the certificates of another directory yet; a server certificate that the gateway waits for
# comes later (gateway.sh).
take_held_back() {
  local path
  while read -r path; do
    if [ ! -e "$path.next" ] || { [ "$path" != "$ISSUER_MARK" ] && ! etcd_moves; }; then continue; fi
    if [ -d "$GOOD" ] && [ -e "$path" ] && [ ! -e "$GOOD/${path##*/}" ]; then cp -a "$path" "$GOOD/${path##*/}"; fi
    mv -fT "$path.next" "$path"
  done < <(held_back)
}

# give_leaves_back: etcd goes back to the address that it had. What take_held_back took waits again.
give_leaves_back() {
  local path
  while read -r path; do
    [ -e "$GOOD/${path##*/}" ] || continue
    if [ -e "$path" ]; then cp -a "$path" "$path.next"; fi
    install_file 0644 root:root "$path" <"$GOOD/${path##*/}"
  done < <(held_back)
}
