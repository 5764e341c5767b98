#!/usr/bin/env bash
# A snapshot of this host's member.

# save_snapshot FILE: FILE exists afterwards only if it verifies; says why when it does not.
save_snapshot() {
  local words
  (umask 077 && mkdir -p "$BACKUPS" && rm -f "$BACKUPS/$NODE"-*.part)
  if ! words=$(umask 077 && etcdctl_as_client --endpoints "$LOCAL" --command-timeout 300s snapshot save "$1.part" 2>&1); then
    tail -n 1 <<<"$words"
    return 1
  fi
  if ! words=$(/usr/local/bin/etcdutl snapshot status "$1.part" 2>&1); then
    printf '%s does not verify: %s\n' "$1.part" "$(tail -n 1 <<<"$words")"
    return 1
  fi
  mv -T "$1.part" "$1"
}
