#!/usr/bin/env bash
# Step «files»: certificates and keys, /etc/etcd.env, the unit. Everything arrives on standard input, nothing is printed.
# Takes NODE PKI CA_PEM CLIENT_PEM CLIENT_KEY SERVER_PEM SERVER_KEY PEER_PEM PEER_KEY ENVIRONMENT UNIT_TEXT.
# The seven files under PKI and their names are the article's. etcd reads leaves anew at every handshake; the CA bundle, the
# environment and the unit take effect at the restart that the member's step decides on.

# pki_files: the seven names, for the receipt and for the removal.
pki_files() {
  local name
  for name in ca client client-key server server-key peer peer-key; do printf '%s/%s.pem\n' "$PKI" "$name"; done
}

apply() {
  getent passwd etcd >/dev/null || fail "has no etcd user; run the host step first"
  make_directories
  # Keys before certificates would fail a handshake between the two renames, as the other order would: etcd loads both anew
  # for each connection and a client tries again.
  put 0644 root:root "$PKI/ca.pem" <<<"$CA_PEM"
  put 0600 root:root "$PKI/client-key.pem" <<<"$CLIENT_KEY"
  put 0644 root:root "$PKI/client.pem" <<<"$CLIENT_PEM"
  put 0600 etcd:etcd "$PKI/server-key.pem" <<<"$SERVER_KEY"
  put 0644 root:root "$PKI/server.pem" <<<"$SERVER_PEM"
  put 0600 etcd:etcd "$PKI/peer-key.pem" <<<"$PEER_KEY"
  put 0644 root:root "$PKI/peer.pem" <<<"$PEER_PEM"
  put 0644 root:root /etc/etcd.env <<<"$ENVIRONMENT"
  put 0644 root:root "$UNIT" <<<"$UNIT_TEXT"
  systemctl daemon-reload
  local paths
  mapfile -t paths < <(pki_files)
  receipt files "$1" "$PKI" "${paths[@]}" /etc/etcd.env "$UNIT"
}

# The directories above PKI that do not exist yet are ours to remove later; those that exist stay as they are.
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
  chmod 0750 "$PKI"
  chown root:etcd "$PKI"
}

remove() {
  local path
  while read -r path; do rm -f "$path"; done < <(pki_files)
  rm -f /etc/etcd.env "$UNIT"
  systemctl daemon-reload
  if [ -e "$STATE/made-directories" ]; then
    sort -ru "$STATE/made-directories" | while read -r path; do rmdir "$path" 2>/dev/null || true; done
    rm -f "$STATE/made-directories"
  fi
  rm -f "$STATE/receipts/files"
}
