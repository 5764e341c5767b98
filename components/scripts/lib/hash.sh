#!/usr/bin/env bash
# Whether the members have the same data: each hashes all of its keys up to one revision (etcdctl endpoint hashkv). What etcd's own
# check at each compaction misses until then, the gate finds. Part of the steps "member" and "health", and of the inspection.

# A hash goes over all data and holds up the member's writes meanwhile, so one member is asked after the other.
HASH_TIMEOUT=60s

# differing LIST: lines "ID NAME" of the started members whose data differs from that of most; "0 -" when there is no most of them.
# Nothing when all have the same. Fails when they cannot be compared. What differs, differs twice: at another revision too.
differing() {
  local first second
  first=$(differing_now "$1") || return 1
  [ -n "$first" ] || return 0
  sleep 1
  second=$(differing_now "$1") || return 1
  if [ "$first" = "$second" ]; then printf '%s\n' "$first"; fi
}

# differing_now LIST: hashes can only be compared from the same compaction on, which reaches the members one after the other.
differing_now() {
  local hashes
  for _ in 1 2 3 4 5; do
    if hashes=$(hashes "$1") && [ "$(awk '{ print $2 }' <<<"$hashes" | sort -u | wc -l)" -eq 1 ]; then
      awk '
        { count[$1]++; hash[NR] = $1; line[NR] = $3 " " $4 }
        END {
          for (each in count) { if (count[each] * 2 > NR) most = each; groups++ }
          if (groups > 1 && most == "") print "0 -"
          else for (i = 1; i <= NR; i++) if (hash[i] != most) print line[i]
        }' <<<"$hashes"
      return
    fi
    sleep 1
  done
  return 1
}

# hashes LIST: a line "HASH COMPACTION ID NAME" for each started member, all up to the last revision that each of them has.
hashes() {
  local id name peers started revision least="" answer
  while read -r id name peers _ started; do
    if [ "$started" != yes ]; then continue; fi
    revision=$(status_field "$(client_url "$peers")" Revision) || return 1
    if [ -z "$least" ] || [ "$revision" -lt "$least" ]; then least=$revision; fi
  done <<<"$1"
  [ -n "$least" ] || return 1
  while read -r id name peers _ started; do
    if [ "$started" != yes ]; then continue; fi
    answer=$(hash_at "$(client_url "$peers")" "$least") || return 1
    printf '%s %s %s\n' "$answer" "$id" "$name"
  done <<<"$1"
}

# hash_at ENDPOINT REVISION: "HASH COMPACTION" of the member there, up to that revision.
hash_at() {
  local answer
  answer=$(etcdctl_as_client --endpoints "$1" --command-timeout "$HASH_TIMEOUT" \
    endpoint hashkv --rev "$2" --write-out json 2>/dev/null </dev/null) || return 1
  hash_in "$answer"
}

# hash_in ANSWER: likewise, of an answer of etcdctl.
hash_in() {
  [[ $1 =~ \"hash\":([0-9]+) ]] || return 1
  printf '%s ' "${BASH_REMATCH[1]}"
  if [[ $1 =~ \"compact_revision\":(-?[0-9]+) ]]; then printf '%s\n' "${BASH_REMATCH[1]}"; else echo 0; fi
}
