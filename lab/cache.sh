# shellcheck shell=bash
# One cache folder for everything expensive. An entry's name says what it was made from, it is
# built beside its place and renamed into it, so an interrupted build never looks complete.

# digest FILE...: a short key of the contents; names do not count, their order does.
digest() { cat -- "$@" | digest_text; }

digest_text() { sha256sum | cut -c1-16; }

# cached KIND KEY LABEL COMMAND...: makes the entry unless it is there. COMMAND gets an empty
# directory as its last argument and fills it. Sets ENTRY to the entry's directory.
cached() {
  local kind=$1 key=$2 label=$3
  shift 3
  ENTRY=$CACHE/$kind/$key
  [[ -d $ENTRY ]] && return 0
  mkdir -p "$CACHE/$kind" "$CACHE/.building" "$CACHE/.locks" "$CACHE/logs"
  local lock=$CACHE/.locks/$kind-$key.lock status=0
  exec {CACHE_LOCK}>"$lock"
  if ! flock -n "$CACHE_LOCK"; then
    note "waiting for another process that makes $kind/$key"
    flock "$CACHE_LOCK"
  fi
  if [[ ! -d $ENTRY ]]; then
    fill_entry "$kind" "$key" "$label" "$@" || status=$?
  fi
  exec {CACHE_LOCK}>&-
  return "$status"
}

fill_entry() {
  local kind=$1 key=$2 label=$3 work
  shift 3
  # Whoever holds the lock is the only builder: what lies here was left by an interrupted one.
  rm -rf --one-file-system "$CACHE/.building/$kind-$key".*
  work=$(mktemp -d "$CACHE/.building/$kind-$key.XXXXXX")
  chmod 755 "$work"
  if quietly "$label" "$CACHE/logs/$kind-$key.log" "$@" "$work"; then
    mv -T "$work" "$ENTRY"
  else
    rm -rf --one-file-system "$work"
    return 1
  fi
}
