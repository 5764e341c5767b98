#!/usr/bin/env bash
# Whose data lies on this host. A member is known by its ID and its cluster's, never by a name or an address: both stand at the head
# of every segment of etcd's journal, and the gate keeps them for this host when all is well.

# Of this host's own member, "CLUSTER MEMBER" in hexadecimal.
export IDENTITY=$STATE/identity
# Peer URLs of all members as the gate saw them last, one a line: who is left when nobody can be asked.
export KNOWN_MEMBERS=$STATE/members
# ID of the cluster that was given up for the one of this host's member (recovery.sh).
export RECOVERED=$STATE/recovered
# ID of the member of this host that its own step took out of the cluster (depart.sh): etcd, which was stopped by then, has not said so in its
# journal.
export LEFT=$STATE/left

# data_identity: "CLUSTER MEMBER" of the data on this disk, without asking etcd; nothing when there is no journal. A segment begins
# with two records, each behind 8 bytes of length: its checksum, then as data of the second the two IDs (etcd's walpb and
# etcdserverpb.Metadata, both protobuf).
data_identity() {
  local name newest="" position value member cluster
  local -a bytes
  # The names are hexadecimal and of one length.
  while read -r name; do
    if [[ $name =~ ^[0-9a-f]+-[0-9a-f]+\.wal$ ]]; then newest=$name; fi
  done < <(data_files member/wal '*.wal')
  [ -n "$newest" ] || return 0
  read -ra bytes < <(as_etcd head -c 128 "$DATA/member/wal/$newest" 2>/dev/null | od -An -v -t u1 -w128 -N 128) || true
  [ "${#bytes[@]}" -ge 64 ] || return 0
  position=0
  skip_record
  position=$((position + 8))
  # Type 1, metadata; its checksum; a length; then field 1, the member, and field 2, the cluster.
  take_varint 8 && [ "$value" -eq 1 ] && take_varint 16 && take_varint 26 || return 0
  take_varint 8 || return 0
  member=$value
  take_varint 16 || return 0
  cluster=$value
  printf '%x %x' "$cluster" "$member"
}

# skip_record: of "bytes", from "position" on; the highest byte of its length tells by how much it is filled up to 8.
skip_record() {
  local length=$((bytes[position] + bytes[position + 1] * 256)) fill=${bytes[position + 7]}
  if [ "$fill" -ge 128 ]; then length=$((length + (fill & 7))); fi
  position=$((position + 8 + length))
}

# take_varint TAG: the field with this tag at "position" goes to "value".
take_varint() {
  local shift=0 byte
  [ "${bytes[position]:-0}" -eq "$1" ] || return 1
  position=$((position + 1))
  value=0
  while byte=${bytes[position]:-}; do
    [ -n "$byte" ] && [ "$shift" -lt 70 ] || return 1
    value=$((value | (byte & 127) << shift))
    shift=$((shift + 7))
    position=$((position + 1))
    if [ "$byte" -lt 128 ]; then return 0; fi
  done
}

# guard_data: before anything is done with a member that has data. Data of this host's own member passes; of a member that was
# removed, it is moved aside, and the host rejoins; anybody else's stays as it is, and nothing is started on it.
guard_data() {
  local found cluster member own
  found=$(data_identity)
  [ -n "$found" ] || return 0
  read -r cluster member <<<"$found"
  if is_nobodys; then fail "has data in $DATA of member $member of cluster $cluster, which this program did not create. $ASIDE"; fi
  # What a first start has not finished holds nothing yet.
  if [ ! -e "$FORMED" ] && [ -e "$FIRST_START" ]; then return 0; fi
  if [ -f "$IDENTITY" ] && own=$(<"$IDENTITY") && [ "$own" != "$found" ]; then
    fail "has data in $DATA of member $member of cluster $cluster; its own member is ${own#* } of cluster ${own% *}. $ASIDE. If it was restored by hand and is correct, remove $IDENTITY instead"
  fi
  [ "$(unit_property ActiveState)" != active ] || return 0
  ask_about "$cluster" "$member"
}

# ask_about CLUSTER MEMBER: what each of the others, asked by itself, says of this host's member. Data of a member that some list still
# has is started; it is moved aside when as many hosts say that it was removed as its removal took.
ask_about() {
  local endpoint list answering at listed=no elsewhere="" gone="" count=0 needed
  while read -r endpoint; do
    if ! answers "$endpoint" || ! list=$(members "$endpoint") || [ -z "$list" ] || ! answering=$(status_field "$endpoint" ClusterID); then continue; fi
    at=$(awk -v id="$2" '$1 == id { print $3 }' <<<"$list")
    if [ "$answering" != "$1" ]; then
      elsewhere="${elsewhere:+$elsewhere, }$endpoint is in cluster $answering"
    elif [ -z "$at" ]; then
      gone="${gone:+$gone, }$endpoint" count=$((count + 1))
    elif configured_elsewhere "$at"; then
      fail "has data in $DATA of member $2, which is the member at $at; two members with one ID would corrupt the cluster. $ASIDE"
    else
      listed=yes
    fi
  done < <(endpoints_of_others)
  if [ "$listed" = yes ]; then return; fi
  if [ "$count" -gt 0 ]; then
    needed=$(words_needed "$2")
    if [ "$count" -lt "$needed" ]; then
      fail "member $2 is no longer in the member list, but only $gone reports this, and $needed hosts must. Nothing was started or moved aside; start the other members, or inspect etcd there"
    fi
    info "member $2 was removed from the cluster while this host was down: the host rejoins"
    set_aside "removed-$2"
  elif [ -n "$elsewhere" ]; then
    fail "has data in $DATA of member $2 of cluster $1, but $elsewhere. $ASIDE"
  fi
}

# words_needed MEMBER: a removal took more than half of the others that the gate saw last, or of those that there are now
# (components/plan/data-identity.ts). One's word is enough where this host has seen to the removal itself.
words_needed() {
  local others known
  if is_left "$1"; then
    echo 1
    return
  fi
  others=$(endpoints_of_others | wc -l)
  if [ -s "$KNOWN_MEMBERS" ]; then
    known=$(($(wc -l <"$KNOWN_MEMBERS") - 1))
    if [ "$known" -lt "$others" ]; then others=$known; fi
  fi
  echo $((others / 2 + 1))
}

# is_left MEMBER: a removal of it was through, and was interrupted before it had cleaned up.
is_left() { [ -f "$LEFT" ] && [ "$(<"$LEFT")" = "$1" ]; }

ASIDE="It was neither used nor deleted. Move it away (mv $DATA/member $DATA/member.foreign), and the next pulumi up rejoins this host"

# is_nobodys: no first start and no recovery of ours is under way, no member was ever ready here.
is_nobodys() { [ ! -e "$FORMED" ] && [ ! -e "$FIRST_START" ] && [ ! -e "$IDENTITY" ] && [ ! -e "$RECOVERED" ]; }

# configured_elsewhere PEER_URL: it belongs to another node of the configuration.
configured_elsewhere() {
  local name address
  while read -r name address; do
    if [ "$name" != "$NODE" ] && [ "$(url "$address" 2380)" = "$1" ]; then return 0; fi
  done <"$STATE/nodes"
  return 1
}

# keep_identity CLUSTER LIST: the gate saw this host's member in this cluster, among these.
keep_identity() {
  local found
  found=$(data_identity)
  if [ "${found% *}" != "$1" ]; then return; fi
  if [ "$found" != "$(cat "$IDENTITY" 2>/dev/null || true)" ]; then install_file 0600 root:root "$IDENTITY" <<<"$found"; fi
  awk '{ print $3 }' <<<"$2" | sort | install_file 0600 root:root "$KNOWN_MEMBERS"
}
