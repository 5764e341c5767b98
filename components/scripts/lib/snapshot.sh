#!/usr/bin/env bash
# A snapshot of this host's member, and what a file says of itself.

# save_snapshot FILE: FILE exists afterwards only if it verifies; says why when it does not.
save_snapshot() {
  (umask 077 && mkdir -p "$BACKUPS" && rm -f "$BACKUPS/$NODE"-*.part)
  take_snapshot "$1.part" && mv -T "$1.part" "$1"
}

# take_snapshot FILE: likewise, under this name.
take_snapshot() {
  local words
  if ! words=$(umask 077 && etcdctl_as_client --endpoints "$LOCAL" --command-timeout 300s snapshot save "$1" 2>&1); then
    tail -n 1 <<<"$words"
    return 1
  fi
  words=$(snapshot_facts "$1") || {
    printf '%s does not verify: %s\n' "$1" "$words"
    return 1
  }
}

# Seconds; a tool goes over the whole database.
VERIFY_SECONDS=600

# snapshot_facts FILE: "REVISION HASH SIZE" of a snapshot that is whole; when it is not, the reason instead. The hash is the one that etcdutl
# snapshot status prints. etcd has put a digest behind the database, which nobody but a restore compares.
snapshot_facts() {
  local words revision="" hash=""
  if ! words=$(etcdutl_in_time snapshot status "$1" --write-out json 2>&1); then
    tail -n 1 <<<"$words"
    return 1
  fi
  if [[ $words =~ \"hash\":([0-9]{1,10}), ]]; then hash=${BASH_REMATCH[1]}; fi
  if [[ $words =~ \"revision\":([0-9]{1,19}), ]]; then revision=${BASH_REMATCH[1]}; fi
  if [ -z "$hash" ] || [ -z "$revision" ]; then
    echo "etcdutl does not say what is in it"
    return 1
  fi
  if [ "$(head -c -32 "$1" | sha256sum | cut -d ' ' -f 1)" != "$(tail -c 32 "$1" | od -A n -v -t x1 | tr -d ' \n')" ]; then
    echo "its digest is not that of its content"
    return 1
  fi
  printf '%s %x %s\n' "$revision" "$hash" "$(stat -c %s "$1")"
}

# etcdutl_in_time ARGUMENT...: the one in ETCDUTL where that is not the installed one.
etcdutl_in_time() { timeout --kill-after 5 "$VERIFY_SECONDS" "${ETCDUTL:-/usr/local/bin/etcdutl}" "$@"; }
