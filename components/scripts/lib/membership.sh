#!/usr/bin/env bash
# Which members of the live list are this host's, and which the configuration has no longer; those are taken out through the
# others. Takes NODE ADDRESS NODES where a function says so.

# take_out LIST SURPLUS: only if what stays has a quorum; the leader goes only after another one leads.
take_out() {
  local id name peers learner started
  refuse_unauthorised "$LOCAL"
  guard "$1" "$2"
  while read -r id name peers learner started; do
    if [ "$id" = "$(status_field "$LOCAL" Leader)" ]; then transfer_from "$(client_url "$peers")" "$1" "$2"; fi
    retry 20 remove_member "$LOCAL" "$id" >/dev/null || etcd_refuses "$LOCAL" "remove $name, member $id"
    info "$name, member $id, was removed from the cluster"
  done < <(removal_order "$2")
}

# members_at LIST: the members of the list whose peer URL belongs to one of the addresses on standard input.
members_at() {
  local urls
  urls=$(peer_urls)
  awk 'NR == FNR { at[$1]; next } $3 in at' <(printf '%s\n' "$urls") <(printf '%s\n' "$1")
}

# own_member LIST: this host's line of the list: that of the process, which cannot be mistaken, or that with ADDRESS, or that with
# the name NODE, which is another host's with data of its own only if the configuration gave it away. Nothing when there is none.
own_member() {
  local id=
  if [ "$(unit_property ActiveState)" = active ]; then id=$(status_field "$LOCAL" MemberID) || id=; fi
  # shellcheck disable=SC2153 # ADDRESS is a value, address one of a list
  awk -v id="$id" -v peer="$(url "$ADDRESS" 2380)" -v node="$NODE" '
    $1 == id { running = $0 }
    $3 == peer { here = $0 }
    $2 == node { named = $0 }
    END { line = running != "" ? running : here != "" ? here : named; if (line != "") print line }' <<<"$1"
}

# surplus_members LIST: those that NODES has no longer. One of a configured name is on its way to its configured address, unless
# that is taken by another member; one that never started takes nothing from it, and is surplus itself.
surplus_members() {
  awk '
    NR == FNR { if (NF == 2) { url = "https://" ($2 ~ /:/ ? "[" $2 "]" : $2) ":2380"; at[url] = $1; place[$1] = url } next }
    NF { line[++count] = $0; name[count] = $2; peer[count] = $3; new[count] = $5 == "no" }
    NF && $5 != "no" { taken[$3]; if (!($3 in at) || at[$3] != $2) elsewhere[$2] }
    END {
      for (i = 1; i <= count; i++) {
        squats = new[i] && (peer[i] in at) && (at[peer[i]] in elsewhere)
        away = !(peer[i] in at) && (!(name[i] in place) || place[name[i]] in taken)
        if (squats || away) print line[i]
      }
    }' <(printf '%s\n' "$NODES") <(printf '%s\n' "$1")
}

# transfer_from_leaving_leader LIST: a leader that is to leave does not know the hosts that join: its own packet filter stays as it was, and
# shuts them out. So one that stays leads before anybody joins. All hosts ask at once, for the same one.
transfer_from_leaving_leader() {
  local surplus leader id name peers learner started
  surplus=$(surplus_members "$1")
  leader=$(status_field "$LOCAL" Leader) || return 0
  read -r id name peers learner started < <(awk -v id="$leader" '$1 == id' <<<"$surplus") || return 0
  transfer_from "$(client_url "$peers")" "$1" "$surplus"
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
    if [ "$learner" = true ] || has_member "$2" "$id"; then continue; fi
    voters=$((voters + 1))
    if [ "$started" = yes ] && healthy "$(client_url "$peers")"; then well=$((well + 1)); else sick="$sick $name"; fi
  done <<<"$1"
  if [ "$well" -le $((voters / 2)) ]; then
    fail "removing $(awk '{ print $2 }' <<<"$2" | paste -sd ' ' -) would leave $well healthy of $voters voters, which is no quorum; refused${sick:+. Start first:$sick}"
  fi
}

# has_member LIST ID
has_member() { [[ $'\n'$1 == *$'\n'"$2 "* ]]; }

# removal_order SURPLUS: who does not answer goes first, which costs nobody the quorum; the leader last.
removal_order() {
  local leader id name peers rest turn
  # Without a leader the order does not matter, but nobody may be left out.
  leader=$(status_field "$LOCAL" Leader) || leader=-
  while read -r id name peers rest; do
    if [ "$id" = "$leader" ]; then
      turn=2
    elif healthy "$(client_url "$peers")"; then
      turn=1
    else
      turn=0
    fi
    printf '%s %s %s %s %s\n' "$turn" "$id" "$name" "$peers" "$rest"
  done <<<"$1" | sort --stable --numeric-sort --key 1,1 | cut -d ' ' -f 2-
}

# transfer_from ENDPOINT LIST SURPLUS: from the leader there to the first started voter that stays.
transfer_from() { move_leader "$1" < <(staying "$2" "$3"); }

# staying LIST SURPLUS: started voters that stay, a line "ID NAME" each.
staying() {
  local id name peers learner started
  while read -r id name peers learner started; do
    if [ "$learner" = true ] || [ "$started" = no ] || has_member "$2" "$id"; then continue; fi
    printf '%s %s\n' "$id" "$name"
  done <<<"$1"
}
