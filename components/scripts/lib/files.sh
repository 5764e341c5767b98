#!/usr/bin/env bash
# The leaf certificates and their keys. Everything arrives on standard input, nothing is printed.
# Takes NODE ADDRESS PKI ISSUER CLIENT_PEM CLIENT_KEY SERVER_PEM SERVER_KEY PEER_PEM PEER_KEY, GATEWAY_PEM and GATEWAY_KEY or nothing in both.
# etcd reads leaves anew at every handshake, so nothing here restarts it; the CA bundle,
# the environment and the unit are the member's step's, because they take effect at a restart only.

# leaf_files: their paths, for the claim, the receipt and the removal.
leaf_files() {
  local name
  for name in client client-key server server-key peer peer-key; do printf '%s/%s.pem\n' "$PKI" "$name"; done
  if [ -n "${GATEWAY_PEM:-}" ]; then printf '%s\n' "$PKI/gateway.pem" "$PKI/gateway-key.pem"; fi
}

# install_leaves REVISION
install_leaves() {
  local name moves=no waits=no
  local -a paths
  mapfile -t paths < <(leaf_files)
  mkdir -p "$STATE"
  claim "${paths[@]}"
  doing "installing the certificates in $PKI"
  make_directories
  if [ -e "$FORMED" ] && etcd_moves && leaves_last; then moves=yes waits=yes; fi
  if server_waits; then waits=yes; fi
  # Between the renames of a key and its certificate a handshake fails and is tried again; a renewal keeps the key.
  install_file 0600 root:root "$PKI/client-key.pem" <<<"$CLIENT_KEY"
  install_file 0644 root:root "$PKI/client.pem" <<<"$CLIENT_PEM"
  install_file 0600 etcd:etcd "$PKI/server-key.pem" <<<"$SERVER_KEY"
  if [ -n "$GATEWAY_KEY" ]; then
    install_file 0600 etcd:etcd "$PKI/gateway-key.pem" <<<"$GATEWAY_KEY"
    install_leaf gateway "$moves" <<<"$GATEWAY_PEM"
  fi
  install_leaf server "$waits" <<<"$SERVER_PEM"
  install_file 0600 etcd:etcd "$PKI/peer-key.pem" <<<"$PEER_KEY"
  install_leaf peer "$moves" <<<"$PEER_PEM"
  setpriv --reuid etcd --regid etcd --init-groups test -r "$PKI/server-key.pem" ||
    fail "the etcd user cannot read $PKI/server-key.pem; give it search (x) permission on the parent directories"
  # Last: until then some leaf may still be of the CA before.
  if [ "$moves" = yes ] || { [ -e "$FORMED" ] && [ "$(pki_in_use)" != "$PKI" ]; }; then
    install_file 0644 root:root "$ISSUER_MARK.next" <<<"$ISSUER"
  else
    remove_file "$ISSUER_MARK.next"
    install_file 0644 root:root "$ISSUER_MARK" <<<"$ISSUER"
  fi
  paths=("$PKI" "${paths[@]}" "$ISSUER_MARK")
  # Of a certificate that is held back the receipt says what it is to be.
  for name in "${!paths[@]}"; do
    if [ -e "${paths[name]}.next" ]; then paths[name]=${paths[name]}.next; fi
  done
  receipt files "$1" "${paths[@]}"
  sed -i 's|\.next$||' "$STATE/receipts/files"
}

# install_leaf NAME HELD_BACK: standard input is the certificate. One that is held back comes with the member's turn.
install_leaf() {
  local path=$PKI/$1.pem
  if [ "$2" = yes ]; then path=$path.next; else remove_file "$path.next"; fi
  install_file 0644 root:root "$path"
}

# Directories that do not exist yet are ours, to give a mode to and to remove later; those that exist stay as they are.
make_directories() {
  local path=$PKI missing=()
  while [ ! -d "$path" ]; do
    missing=("$path" "${missing[@]}")
    path=$(dirname "$path")
  done
  mkdir -p "$STATE"
  for path in "${missing[@]}"; do
    append "$path" "$MADE_DIRECTORIES"
    mkdir -m 0755 "$path"
  done
  if grep -qxF -e "$PKI" "$MADE_DIRECTORIES" 2>/dev/null; then
    chmod 0750 "$PKI"
    chown root:etcd "$PKI"
  fi
}

remove_leaves() {
  doing "removing the certificates from $PKI"
  local path paths
  mapfile -t paths < <(leaf_files)
  give_up "${paths[@]}" "$PKI/gateway.pem" "$PKI/gateway-key.pem"
  remove_file "$PKI/server.pem.next" "$PKI/peer.pem.next" "$PKI/gateway.pem.next"
  leave_other_directories
  if [ -e "$MADE_DIRECTORIES" ]; then
    sort -ru "$MADE_DIRECTORIES" | while read -r path; do rmdir "$path" 2>/dev/null || true; done
    rm -f "$MADE_DIRECTORIES"
  fi
  remove_file "$ISSUER_MARK" "$ISSUER_MARK.next"
  rm -f "$STATE/receipts/files"
}
