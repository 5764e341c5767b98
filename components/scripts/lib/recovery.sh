#!/usr/bin/env bash
# A cluster that has permanently lost its quorum is restored (etcd docs, "Disaster recovery"): one node forms a new cluster with what
# it has, or with a snapshot; the others join it without data. Nothing of before is deleted. Part of the step "member"; the mode says
# which part this host has, "recover" or "join-recovered"; "cluster" is the one that is discarded, "snapshot" a path, or "latest" or an ID in
# the repository, where it must be one "of" these clusters.

recover() {
  local lost=${REVISION[cluster]}
  # The revision stays that of the recovery when the step runs again for another reason.
  if [ "$(cat "$RECOVERED" 2>/dev/null || true)" = "$lost" ]; then return; fi
  install_files
  if mode recover; then bootstrap_recovered "$lost" "${REVISION[snapshot]}" "${REVISION[of]}"; else join_recovered "$lost"; fi
}

# bootstrap_recovered CLUSTER SNAPSHOT OF: the new cluster has another token, so another ID: a member that is left of the old one cannot join it.
# Revisions go up by a thousand million, so that no watcher sees one again that the lost members may have given out already.
bootstrap_recovered() {
  local file=$2 peer endpoint words own=""
  # On the disk of the data: a copy that is worked on, so that what there was stays as it is.
  RESTORED=$(beside restored)
  doing "bootstrapping the recovered cluster"
  while read -r endpoint; do
    if answers "$endpoint" && [ -n "$(members "$endpoint")" ]; then
      fail "the cluster has a quorum (asked at $endpoint), so there is nothing to recover; remove etcd:recover from the configuration"
    fi
  done < <(echo "$LOCAL"; endpoints_of_others)
  case $file in
    "" | /*) ;;
    *)
      words=$(fetch_to_recover "$file" "$3") || fail "not recovered, because the snapshot $file cannot be had from the repository: ${words##*$'\n'}; the data in $DATA is unchanged"
      file=$words
      ;;
  esac
  systemctl stop etcd.service
  systemctl reset-failed etcd.service 2>/dev/null || true
  if [ -z "$file" ]; then
    file=$BACKUPS/recovery-$1.db own=--skip-hash-check
    if [ ! -e "$file" ]; then replay "$file"; fi
  fi
  peer=$(url "$ADDRESS" 2380)
  # While root writes into it nobody else puts anything there.
  chown root:root "$DATA"
  discard "$RESTORED"
  words=$("$RELEASES/v$VERSION/etcdutl" snapshot restore "$file" ${own:+"$own"} --data-dir "$RESTORED" --name "$NODE" \
    --initial-cluster "$NODE=$peer" --initial-advertise-peer-urls "$peer" --initial-cluster-token "$TOKEN-$1" \
    --bump-revision 1000000000 --mark-compacted 2>&1) ||
    {
      chown etcd:etcd "$DATA"
      fail "etcdutl cannot restore $file: $(tail -n 1 <<<"$words"); the data in $DATA is unchanged"
    }
  # Nobody else can reach into it while it changes hands; then it is for that user alone to put it where that user may put anything.
  chmod 0700 "$RESTORED"
  chown -hR etcd:etcd "$RESTORED/member"
  chown etcd:etcd "$RESTORED"
  chown etcd:etcd "$DATA"
  if [ -d "$DATA/member" ]; then set_aside before-recovery; fi
  AS_ETCD_SECONDS=$((WAIT_LIMIT - SECONDS)) as_etcd mv -T "$RESTORED/member" "$DATA/member" ||
    fail "cannot move the restored data from $RESTORED to $DATA/member; the previous data is kept"
  discard "$RESTORED"
  rm -f "$FIRST_START" "$IDENTITY" "$KNOWN_MEMBERS"
  # From here on the recovery is done, whatever becomes of this run.
  install_file 0600 root:root "$RECOVERED" <<<"$1"
  systemctl start --no-block etcd.service
  record_loaded_config
  wait_until_ready
  info "new cluster bootstrapped from $file, replacing cluster $1"
}

# fetch_to_recover SNAPSHOT CLUSTERS: the file that it is in then, as latest or an ID of one of these clusters; when it fails, the reason.
fetch_to_recover() {
  local facts id cluster release file
  local wanted=$VERSION
  export ETCDUTL=$RELEASES/v$VERSION/etcdutl
  if [ ! -f "$JOB_SETTINGS" ]; then
    echo "this host knows none"
    return 1
  fi
  # shellcheck disable=SC1090 # quoted assignments
  . "$JOB_SETTINGS"
  if ! has_repository; then
    echo "etcd:backup.repository is not set"
    return 1
  fi
  if [ "$1" = latest ]; then facts=$(latest_snapshot "$2"); else facts=$(find_snapshot "$1"); fi || {
    printf '%s\n' "$(repository_name): $facts"
    return 1
  }
  read -r id _ _ _ cluster release _ <<<"$facts"
  if [ "$release" != - ] && [ "$(minor "$release")" != "$(minor "$wanted")" ]; then
    echo "it is of etcd $release, and etcd:version is $wanted: recover with that minor version, and change it afterwards"
    return 1
  fi
  # Of a run that was killed.
  rm -f "$BACKUPS"/restored-*-*.db.part
  file=$BACKUPS/restored-$cluster-$id.db
  export TRANSFER_SECONDS=$((WAIT_LIMIT - SECONDS))
  facts=$(fetch_snapshot "$id" "$file" "$2") || {
    printf '%s\n' "$(repository_name): $facts"
    return 1
  }
  printf '%s\n' "$file"
}

# replay FILE: all that this host's member knew to be committed becomes FILE. Its database alone lacks what was acknowledged
# in the moments before a power cut: that stands in the journal. So etcd goes through the journal of a copy, as a cluster of one, in
# a network of its own where it meets nobody. It tells systemd that it is ready when it has written something itself, which comes
# after all of that.
replay() {
  # As RESTORED.
  REPLAY=$(beside replay)
  local unit=etcd-replay.service file=/run/systemd/system/etcd-replay.service words
  systemctl stop "$unit" 2>/dev/null || true
  discard "$REPLAY"
  # On a disk of its own the copy lies in Data, where root makes nothing.
  if on_own_disk; then as_etcd mkdir -m 0700 "$REPLAY"; else install -d -m 0700 -o etcd -g etcd "$REPLAY"; fi
  AS_ETCD_SECONDS=$((WAIT_LIMIT - SECONDS)) copy_data "$REPLAY" ||
    fail "cannot copy the data in $DATA to $REPLAY; it is unchanged"
  replay_unit | install_file 0644 root:root "$file"
  systemctl daemon-reload
  systemctl start --no-block "$unit"
  if ! words=$(until_ready "$unit"); then
    end_replay "$unit" "$file"
    fail "etcd cannot replay the WAL of this host's member; the data in $DATA is unchanged. On a copy of it: $words"
  fi
  end_replay "$unit" "$file"
  (umask 077 && mkdir -p "$BACKUPS")
  take_database "$REPLAY/member/snap/db" "$1"
  discard "$REPLAY"
}

# discard DIRECTORY: a copy of ours, into which the etcd user may still be writing. First it is put out of that user's reach; where the
# copy lies in Data itself, which is on a disk of its own then, that cannot be done safely, and it may take some tries.
discard() {
  local turn
  if [ -L "$1" ] || [ ! -d "$1" ]; then return 0; fi
  if ! on_own_disk; then
    chown -h root:root "$1"
    chmod 0700 "$1"
    rm -rf "$1"
    return
  fi
  for turn in 1 2 3 4 5; do
    if rm -rf "$1" 2>/dev/null; then return 0; fi
    sleep 0.2
  done
  fail "cannot delete $1 (tried $turn times); another process writes into it"
}

end_replay() {
  systemctl stop "$1" || fail "cannot stop $1, the etcd that replays the WAL of a copy"
  systemctl reset-failed "$1" 2>/dev/null || true
  remove_file "$2"
  systemctl daemon-reload
}

# replay_unit: etcd.service's user and sandbox, for an etcd that talks to nobody.
replay_unit() {
  cat <<END
[Unit]
Description=etcd replaying the WAL of a copy of its data

[Service]
Type=notify
NotifyAccess=main
User=etcd
Group=etcd
UMask=0077
ExecStart=$RELEASES/v$VERSION/etcd --name $NODE --data-dir $REPLAY --force-new-cluster --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380
TimeoutStartSec=infinity
TimeoutStopSec=90s
ReadWritePaths=$REPLAY
PrivateNetwork=yes
END
  awk '
    /^\[/ { service = $0 == "[Service]"; next }
    more || /\\$/ { more = /\\$/; next }
    service && /^[A-Z][A-Za-z]*=/ && !/^(Type|NotifyAccess|User|Group|UMask|Environment|EnvironmentFile|Exec[A-Za-z]*|Restart[A-Za-z]*|Timeout[A-Za-z]*|StateDirectory[A-Za-z]*)=/
  ' <<<"$UNIT_TEXT"
}

# take_database FROM FILE: a database that is the etcd user's becomes FILE, which is not. No more of it is read than it takes on the
# disk, but for the end that etcd reserves.
take_database() {
  local size taken
  size=$(as_etcd find "$1" -maxdepth 0 -type f -printf '%s %b' 2>/dev/null | head -c 50) || size=
  [[ $size =~ ^[0-9]{1,15}\ [0-9]{1,15}$ ]] || fail "$1 is not a database; the data in $DATA is unchanged"
  taken=${size#* } size=${size% *}
  [ "$size" -le "$((taken * 512 + 1073741824))" ] || fail "$1 is not a database: most of its $size bytes are not allocated on disk; the data in $DATA is unchanged"
  if ! (umask 077 && AS_ETCD_SECONDS=$((WAIT_LIMIT - SECONDS)) as_etcd head -c "$size" "$1" >"$2.part") || [ "$(stat -c %s "$2.part")" != "$size" ]; then
    fail "$1 cannot be copied to $2; the data in $DATA is unchanged"
  fi
  mv -T "$2.part" "$2"
}

# quorum_of CLUSTER: a place, this host's own among them, where a member answers that is in a quorum of it; fails when there is none.
# One that has a leader may have lost it just now, so it is asked for something that takes a quorum.
quorum_of() {
  local endpoint leader
  while read -r endpoint; do
    if answers "$endpoint" && [ "$(status_field "$endpoint" ClusterID || true)" = "$1" ] &&
      leader=$(status_field "$endpoint" Leader) && [ "$leader" != 0 ] && [ -n "$(members "$endpoint")" ]; then
      printf '%s' "$endpoint"
      return
    fi
  done < <(echo "$LOCAL"; endpoints_of_others)
  return 1
}

# join_recovered CLUSTER: what is left of the old cluster here gives way to the new one. That the old one was given up is the
# operator's word; that nobody of it is in a quorum is made sure of here: what another host says of it is not enough.
join_recovered() {
  local endpoint list="" cluster="" at="" found other members_there
  if endpoint=$(quorum_of "$1"); then
    fail "cluster $1 has a quorum (asked at $endpoint), so it is not discarded, and nothing was changed here. The host that reported it as discarded is faulty or compromised; to really discard cluster $1, stop its members first (systemctl stop etcd.service)"
  fi
  while read -r endpoint; do
    if ! answers "$endpoint" || ! members_there=$(members "$endpoint") || [ -z "$members_there" ] || ! other=$(status_field "$endpoint" ClusterID) || [ "$other" = "$1" ]; then continue; fi
    if [ -n "$cluster" ] && [ "$other" != "$cluster" ]; then
      fail "not joined: $at is in cluster $cluster, and $endpoint in cluster $other; one of them is not the recovered cluster. Inspect etcd there"
    fi
    list=${list:-$members_there} cluster=$other at=${at:-$endpoint}
  done < <(endpoints_of_others)
  doing "joining the recovered cluster"
  [ -n "$list" ] || fail "the recovered cluster is unavailable; run pulumi up again once its first member is running"
  found=$(data_identity)
  if [ "${found% *}" != "$cluster" ]; then
    systemctl stop etcd.service
    if [ -d "$DATA/member" ]; then set_aside before-recovery; fi
    rm -f "$FORMED" "$FIRST_START" "$IDENTITY" "$KNOWN_MEMBERS"
  fi
  install_file 0600 root:root "$RECOVERED" <<<"$1"
  if [ "${found% *}" != "$cluster" ]; then join "$at" "$list"; fi
}
