#!/usr/bin/env bash
# Whose data lies on this host. A member is known by its ID and its cluster's, never by a name or an address: both stand at the head
# of every segment of etcd's journal, and the gate keeps them for this host when all is well.

# Of this host's own member, «CLUSTER MEMBER» in hexadecimal.
export IDENTITY=$STATE/identity
# Peer URLs of all members as the gate saw them last, one a line: who is left when nobody can be asked.
export KNOWN_MEMBERS=$STATE/members
# ID of the cluster that was given up for the one of this host's member (recover.sh).
export RECOVERED=$STATE/recovered

# data_identity: «CLUSTER MEMBER» of the data on this disk, without asking etcd; nothing when there is no journal. A segment begins
# with two records, each behind 8 bytes of length: its checksum, then as data of the second the two IDs (etcd's walpb and
# etcdserverpb.Metadata, both protobuf).
data_identity() {
  local segment newest="" position value member cluster
  local -a bytes
  for segment in "$DATA"/member/wal/*.wal; do newest=$segment; done
  [ -f "$newest" ] || return 0
  read -ra bytes < <(od -An -v -t u1 -w128 -N 128 "$newest") || true
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

# skip_record: of «bytes», from «position» on; the highest byte of its length tells by how much it is filled up to 8.
skip_record() {
  local length=$((bytes[position] + bytes[position + 1] * 256)) fill=${bytes[position + 7]}
  if [ "$fill" -ge 128 ]; then length=$((length + (fill & 7))); fi
  position=$((position + 8 + length))
}

# take_varint TAG: the field with this tag at «position» goes to «value».
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
# removed, it is put aside, and the host joins afresh; anybody else's stays as it is, and nothing is started on it.
guard_data() {
  local found cluster member own endpoint list answering at
  found=$(data_identity)
  [ -n "$found" ] || return 0
  read -r cluster member <<<"$found"
  if is_nobodys; then fail "has data in $DATA of member $member of cluster $cluster, which no start by this program made. $ASIDE"; fi
  # What a first start has not finished holds nothing yet.
  if [ ! -e "$FORMED" ] && [ -e "$FIRST_START" ]; then return 0; fi
  if [ -f "$IDENTITY" ] && own=$(<"$IDENTITY") && [ "$own" != "$found" ]; then
    fail "has data in $DATA of member $member of cluster $cluster; its own member is ${own#* } of cluster ${own% *}. $ASIDE. If it was restored by hand and is right, remove $IDENTITY instead"
  fi
  [ "$(unit_property ActiveState)" != active ] || return 0
  while read -r endpoint; do
    if answers "$endpoint" && list=$(members "$endpoint") && [ -n "$list" ] && answering=$(status_field "$endpoint" ClusterID); then break; fi
    list=
  done < <(endpoints_of_others)
  [ -n "${list:-}" ] || return 0
  if [ "$answering" != "$cluster" ]; then
    fail "has data in $DATA of member $member of cluster $cluster, but $endpoint is of cluster $answering. $ASIDE"
  fi
  at=$(awk -v id="$member" '$1 == id { print $3 }' <<<"$list")
  if [ -z "$at" ]; then
    say "member $member was removed from the cluster while this host was away: the host joins afresh"
    set_aside "removed-$member"
  elif configured_elsewhere "$at"; then
    fail "has data in $DATA of member $member, which is the one at $at; two of one ID would spoil the cluster. $ASIDE"
  fi
}

ASIDE="Nothing was started or deleted. Move it away (mv $DATA $DATA.foreign), and the next up lets this host join afresh"

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

# set_aside WHY: data that may be the only copy is never deleted.
set_aside() {
  local aside
  aside=$DATA.$1-$(date -u +%Y%m%dT%H%M%SZ)
  systemctl stop etcd.service
  install -d -m 0700 "$aside"
  mv -T "$DATA/member" "$aside/member"
  rm -f "$IDENTITY"
  say "the data of before is kept in $aside; remove it when nobody needs it"
}

# keep_identity CLUSTER LIST: the gate saw this host's member in this cluster, among these.
keep_identity() {
  local found
  found=$(data_identity)
  if [ "${found% *}" != "$1" ]; then return; fi
  if [ "$found" != "$(cat "$IDENTITY" 2>/dev/null || true)" ]; then put 0600 root:root "$IDENTITY" <<<"$found"; fi
  awk '{ print $3 }' <<<"$2" | sort | put 0600 root:root "$KNOWN_MEMBERS"
}
