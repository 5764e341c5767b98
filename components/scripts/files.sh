#!/usr/bin/env bash
# Step «files»: the leaf certificates and their keys. Everything arrives on standard input, nothing is printed.
# Takes NODE PKI ISSUER CLIENT_PEM CLIENT_KEY SERVER_PEM SERVER_KEY PEER_PEM PEER_KEY.
# Names and directory are the article's. etcd reads leaves anew at every handshake, so nothing here restarts it; the CA bundle,
# the environment and the unit are the member's step's, because they take effect at a restart only.

# leaf_files: the six names, for the receipt and for the removal.
leaf_files() {
  local name
  for name in client client-key server server-key peer peer-key; do printf '%s/%s.pem\n' "$PKI" "$name"; done
}

apply() {
  getent passwd etcd >/dev/null || fail "has no etcd user; run the host step first"
  make_directories
  # Between the renames of a key and its certificate a handshake fails and is tried again; a renewal keeps the key.
  put 0600 root:root "$PKI/client-key.pem" <<<"$CLIENT_KEY"
  put 0644 root:root "$PKI/client.pem" <<<"$CLIENT_PEM"
  put 0600 etcd:etcd "$PKI/server-key.pem" <<<"$SERVER_KEY"
  put 0644 root:root "$PKI/server.pem" <<<"$SERVER_PEM"
  put 0600 etcd:etcd "$PKI/peer-key.pem" <<<"$PEER_KEY"
  put 0644 root:root "$PKI/peer.pem" <<<"$PEER_PEM"
  setpriv --reuid etcd --regid etcd --init-groups test -r "$PKI/server-key.pem" ||
    fail "the etcd user cannot read $PKI/server-key.pem; let it pass through the directories above"
  # Last: until then some leaf may still be of the CA before.
  put 0644 root:root "$ISSUER_MARK" <<<"$ISSUER"
  local paths
  mapfile -t paths < <(leaf_files)
  receipt files "$1" "$PKI" "${paths[@]}" "$ISSUER_MARK"
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
    printf '%s\n' "$path" >>"$STATE/made-directories"
    mkdir -m 0755 "$path"
  done
  if grep -qxF "$PKI" "$STATE/made-directories" 2>/dev/null; then
    chmod 0750 "$PKI"
    chown root:etcd "$PKI"
  fi
}

remove() {
  local path
  while read -r path; do unput "$path"; done < <(leaf_files)
  if [ -e "$STATE/made-directories" ]; then
    sort -ru "$STATE/made-directories" | while read -r path; do rmdir "$path" 2>/dev/null || true; done
    rm -f "$STATE/made-directories"
  fi
  unput "$ISSUER_MARK"
  rm -f "$STATE/receipts/files"
}
