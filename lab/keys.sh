# shellcheck shell=bash
# The operator's SSH key and the hosts' own: made once per lab, kept over new disks.

ensure_keys() {
  local host public
  [[ -s $STATE/ssh/known_hosts ]] && return 0
  (
    umask 077
    mkdir -p "$STATE/ssh"
    [[ -s $STATE/ssh/id_ed25519.pub ]] || new_key "$STATE/ssh/id_ed25519" "operator"
    for host in "${HOSTS[@]}"; do
      mkdir -p "$STATE/ssh/host-keys/$host"
      public=$STATE/ssh/host-keys/$host/ssh_host_ed25519_key.pub
      [[ -s $public ]] || new_key "${public%.pub}" "$host"
    done
    for host in "${HOSTS[@]}"; do
      public=$(cut -d' ' -f1,2 "$STATE/ssh/host-keys/$host/ssh_host_ed25519_key.pub")
      printf '%s %s\n' "$(host_address "$host")" "$public" "$host" "$public"
    done >"$STATE/ssh/known_hosts.new"
    mv "$STATE/ssh/known_hosts.new" "$STATE/ssh/known_hosts"
  )
}

new_key() {
  rm -f "$1" "$1.pub"
  ssh-keygen -q -t ed25519 -N "" -C "$2" -f "$1"
}
