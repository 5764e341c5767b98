#!/usr/bin/env bash
# Members that the configuration has no longer, or whose hosts are lost, are taken out through the others.

# take_out LIST SURPLUS: only if what stays has a quorum; the leader goes last, and only after another one leads.
take_out() {
  local id name peers learner started
  guard "$1" "$2"
  while read -r id name peers learner started; do
    if [ "$id" = "$(status_field "$LOCAL" Leader)" ]; then hand_over_from "$(client_url "$peers")" "$1" "$2"; fi
    retry 20 remove_member "$LOCAL" "$id" >/dev/null || fail "etcd refuses to remove $name, member $id"
    say "$name, member $id, was removed from the cluster"
  done < <(leader_last "$2")
}

# members_at LIST: the members of the list whose peer URL belongs to one of the addresses on standard input.
members_at() {
  local urls
  urls=$(peer_urls)
  awk 'NR == FNR { at[$1]; next } $3 in at' <(printf '%s\n' "$urls") <(printf '%s\n' "$1")
}

# members_not_at LIST: the others.
members_not_at() {
  local urls
  urls=$(peer_urls)
  awk 'NR == FNR { at[$1]; next } NF && !($3 in at)' <(printf '%s\n' "$urls") <(printf '%s\n' "$1")
}

# peer_urls: of the addresses on standard input.
peer_urls() {
  local address
  while read -r address; do
    if [ -n "$address" ]; then url "$address" 2380; echo; fi
  done
}

# guard LIST SURPLUS: what stays must have a quorum of healthy voters.
guard() {
  local id name peers learner started voters=0 well=0 sick=
  while read -r id name peers learner started; do
    if [ "$learner" = true ] || grep -q "^$id " <<<"$2"; then continue; fi
    voters=$((voters + 1))
    if [ "$started" = yes ] && healthy "$(client_url "$peers")"; then well=$((well + 1)); else sick="$sick $name"; fi
  done <<<"$1"
  if [ "$well" -le $((voters / 2)) ]; then
    fail "removing $(awk '{ print $2 }' <<<"$2" | paste -sd ' ' -) would leave $well healthy of $voters voters, no quorum; refused. Bring back:$sick"
  fi
}

leader_last() {
  local leader
  # Without a leader the order does not matter, but nobody may be left out.
  leader=$(status_field "$LOCAL" Leader) || leader=-
  grep -v "^$leader " <<<"$1" || true
  grep "^$leader " <<<"$1" || true
}

# hand_over_from ENDPOINT LIST SURPLUS: from the leader there to the first started voter that stays.
hand_over_from() {
  local id name peers learner started
  while read -r id name peers learner started; do
    if [ "$learner" = true ] || [ "$started" = no ] || grep -q "^$id " <<<"$3"; then continue; fi
    if etcdctl_as_client --endpoints "$1" move-leader "$id" >/dev/null 2>&1; then
      say "leadership handed over to $name"
      return
    fi
  done <<<"$2"
}
