#!/usr/bin/env bash
# Step "files": the leaf certificates and their keys. Everything arrives on standard input, nothing is printed.
# Takes NODE PKI ISSUER CLIENT_PEM CLIENT_KEY SERVER_PEM SERVER_KEY PEER_PEM PEER_KEY, GATEWAY_PEM and GATEWAY_KEY or nothing in both.
# etcd reads leaves anew at every handshake, so nothing here restarts it; the CA bundle,
# the environment and the unit are the member's step's, because they take effect at a restart only.

export STEP=files STEP_MODES="create repair renew"

# leaf_files: their paths, for the claim, the receipt and the removal.
leaf_files() {
  local name
  for name in client client-key server server-key peer peer-key; do printf '%s/%s.pem\n' "$PKI" "$name"; done
  if [ -n "${GATEWAY_PEM:-}" ]; then printf '%s\n' "$PKI/gateway.pem" "$PKI/gateway-key.pem"; fi
}

apply() {
  read_revision "$1"
  take_back
  getent passwd etcd >/dev/null || fail "has no etcd user; run the host step first"
  local paths
  mapfile -t paths < <(leaf_files)
  mkdir -p "$STATE"
  claim "${paths[@]}"
  doing "installing the certificates in $PKI"
  make_directories
  # Between the renames of a key and its certificate a handshake fails and is tried again; a renewal keeps the key.
  install_file 0600 root:root "$PKI/client-key.pem" <<<"$CLIENT_KEY"
  install_file 0644 root:root "$PKI/client.pem" <<<"$CLIENT_PEM"
  install_file 0600 etcd:etcd "$PKI/server-key.pem" <<<"$SERVER_KEY"
  if [ -n "$GATEWAY_KEY" ]; then
    install_file 0600 etcd:etcd "$PKI/gateway-key.pem" <<<"$GATEWAY_KEY"
    install_file 0644 root:root "$PKI/gateway.pem" <<<"$GATEWAY_PEM"
  fi
  if server_waits; then
    install_file 0644 root:root "$PKI/$HELD_BACK" <<<"$SERVER_PEM"
  else
    remove_file "$PKI/$HELD_BACK"
    install_file 0644 root:root "$PKI/server.pem" <<<"$SERVER_PEM"
  fi
  install_file 0600 etcd:etcd "$PKI/peer-key.pem" <<<"$PEER_KEY"
  install_file 0644 root:root "$PKI/peer.pem" <<<"$PEER_PEM"
  setpriv --reuid etcd --regid etcd --init-groups test -r "$PKI/server-key.pem" ||
    fail "the etcd user cannot read $PKI/server-key.pem; give it search (x) permission on the parent directories"
  # Last: until then some leaf may still be of the CA before.
  install_file 0644 root:root "$ISSUER_MARK" <<<"$ISSUER"
  # Of a certificate that is held back the receipt says what server.pem is to be.
  if [ -e "$PKI/$HELD_BACK" ]; then paths=("${paths[@]/#"$PKI/server.pem"/"$PKI/$HELD_BACK"}"); fi
  receipt files "$1" "$PKI" "${paths[@]}" "$ISSUER_MARK"
  if [ -e "$PKI/$HELD_BACK" ]; then sed -i 's|/server\.pem\.next$|/server.pem|' "$STATE/receipts/files"; fi
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

# A member whose own step cannot remove it still needs this: the host's step, the last, takes all of it then.
remove() {
  if ! member_is_here; then remove_files; fi
}

remove_files() {
  doing "removing the certificates from $PKI"
  local path paths
  mapfile -t paths < <(leaf_files)
  give_up "${paths[@]}" "$PKI/gateway.pem" "$PKI/gateway-key.pem"
  remove_file "$PKI/$HELD_BACK"
  leave_other_directories
  if [ -e "$MADE_DIRECTORIES" ]; then
    sort -ru "$MADE_DIRECTORIES" | while read -r path; do rmdir "$path" 2>/dev/null || true; done
    rm -f "$MADE_DIRECTORIES"
  fi
  remove_file "$ISSUER_MARK"
  rm -f "$STATE/receipts/files"
}
