#!/usr/bin/env bash
# What a change of the etcd release needs beside new binaries: a snapshot first, and the cluster's consent to go down a minor
# series (etcd docs, «Upgrading etcd clusters» and «Downgrading etcd clusters»). Part of the steps «member» and «health».

# On the host that took it, until the roll is through: «FROM TO PATH» of the snapshot before the roll.
VERSION_SNAPSHOT=$STATE/version-snapshot
# Snapshots before rolls that a host keeps; final ones are never removed.
KEPT_SNAPSHOTS=5
# The leader looks every four seconds whether the cluster version can change, each member whether its data can.
SETTLE_SECONDS=60

# minor VERSION: its series; «3.6» of 3.6.16.
minor() { cut -d . -f 1,2 <<<"$1"; }

# lower A B: whether series A is older than series B.
lower() { [ "$(minor "$1")" != "$(minor "$2")" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# ask CERTIFICATE URL: what a member answers over HTTPS; for what etcdctl does not show.
ask() {
  local certificate=$PKI/$1.pem key=$PKI/$1-key.pem
  if command -v curl >/dev/null; then
    # The peer port offers HTTP/2 and does not speak it.
    curl --fail --silent --http1.1 --noproxy '*' --max-time 5 --cacert "$PKI/ca.pem" --cert "$certificate" --key "$key" "$2"
  else
    wget --quiet --no-proxy --tries 1 --timeout 5 --output-document - \
      --ca-certificate "$PKI/ca.pem" --certificate "$certificate" --private-key "$key" "$2"
  fi
}

# cluster_version, storage_version: the series that the cluster speaks, and the one whose format this member's data has.
# Empty when the member does not answer; 3.5 tells no storage version.
cluster_version() { ask client "$LOCAL/version" | sed -n 's/.*"etcdcluster":"\([0-9]*\.[0-9]*\)\..*/\1/p'; }
storage_version() { ask client "$LOCAL/version" | sed -n 's/.*"storage":"\([0-9]*\.[0-9]*\)\..*/\1/p'; }

# downgrading: whether the cluster is on its way down a series. Members tell each other on their peer ports, 3.5 as well.
downgrading() {
  local address answer
  address=$(awk -v node="$NODE" '$1 == node { print $2 }' "$STATE/nodes")
  answer=$(ask peer "$(url "$address" 2380)/downgrade/enabled") && [ "$answer" = true ]
}

# running_versions: the releases of all members, one a line, without repetition. Fails when one does not answer.
running_versions() {
  local status
  status=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 10s endpoint status --cluster --write-out fields 2>/dev/null) ||
    return 1
  sed -n 's/^"Version" : "\([^"]*\)"$/\1/p' <<<"$status" | sort -u
}

# change_version FROM REVISION ID: everything that must be so before this member may be given VERSION.
change_version() {
  local from=$1 running
  may_follow "$from" ||
    fail "runs etcd $from, which $VERSION cannot follow: it follows $(paste -sd ' ' - <<<"$PREDECESSORS") and later patches of these"
  running=$(running_versions) || fail "not restarted, because not every member tells its version; bring it back first"
  # The first of a roll finds all members alike. «unsaved» says that nobody has a snapshot of a roll that was begun.
  if [ "$(wc -l <<<"$running")" -eq 1 ] || [[ $2 == unsaved* ]]; then snapshot_before "$from"; fi
  if lower "$VERSION" "$from"; then
    go_down "$from"
  elif lower "$from" "$VERSION"; then
    cancel_downgrade
    settle "$(minor "$from")"
    if has_old_entries; then shed_old_entries "$from" "$3"; fi
  fi
}

# may_follow FROM: PREDECESSORS has the oldest patch of each series that VERSION can follow.
may_follow() {
  local first
  while read -r first; do
    if [ "$(minor "$first")" = "$(minor "$1")" ] && [ "${1##*.}" -ge "${first##*.}" ]; then return 0; fi
  done <<<"$PREDECESSORS"
  return 1
}

# save_snapshot FILE: FILE exists afterwards only if it verifies; says why when it does not.
save_snapshot() {
  local words
  (umask 077 && install -d -m 0700 "$BACKUPS" && rm -f "$BACKUPS"/*.part)
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

snapshot_before() {
  local cluster file words old
  cluster=$(status_field "$LOCAL" ClusterID) || fail "etcd runs on this host but does not answer its client"
  file=$BACKUPS/$NODE-$cluster-$(date -u +%Y%m%dT%H%M%SZ)-before-$VERSION-from-$1.db
  words=$(save_snapshot "$file") ||
    fail "not restarted, because the snapshot before the change to $VERSION failed: $words"
  printf '%s %s %s\n' "$1" "$VERSION" "$file" | put 0600 root:root "$VERSION_SNAPSHOT"
  say "snapshot before version $1 to $VERSION: $file"
  find "$BACKUPS" -maxdepth 1 -name "$NODE-$cluster-*-before-*.db" | sort -r | tail -n "+$((KEPT_SNAPSHOTS + 1))" |
    while read -r old; do rm -f "$old"; done
}

# go_down FROM: an older series starts only after the cluster agreed to it and this member's data is back in the older format.
# Where a member of the older series runs, the cluster speaks that series already.
go_down() {
  local target deadline=$((SECONDS + SETTLE_SECONDS)) words=
  target=$(minor "$VERSION")
  until [ "$(cluster_version)" = "$target" ] && [ "$(storage_version)" = "$target" ] && agreed "$target"; do
    if ! agreed "$target" && etcdctl_as_client --endpoints "$LOCAL" downgrade validate "$target" >/dev/null 2>&1; then
      words=$(etcdctl_as_client --endpoints "$LOCAL" downgrade enable "$target" 2>&1) ||
        fail "not restarted, because etcd does not allow the downgrade to $target: $words"
      say "downgrade of the cluster from $(minor "$1") to $target enabled"
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "not restarted, because after $SETTLE_SECONDS s the cluster speaks $(cluster_version) and the data here is $(storage_version), not $target; set etcd:version back to $1 to go back up"
    fi
    sleep 0.5
  done
}

# agreed SERIES: a downgrade is under way, or a member runs SERIES.
agreed() { downgrading || running_versions | cut -d . -f 1,2 | grep -qxF "$1"; }

# cancel_downgrade: whoever goes up has changed their mind about going down. 3.5's etcdctl has no word for it, VERSION's has.
cancel_downgrade() {
  local words
  if ! downgrading; then return 0; fi
  words=$("$RELEASES/v$VERSION/etcdctl" --cacert "$PKI/ca.pem" --cert "$PKI/client.pem" --key "$PKI/client-key.pem" \
    --endpoints "$LOCAL" downgrade cancel 2>&1) || ! downgrading || fail "the downgrade under way cannot be cancelled: $words"
  say "the downgrade under way is cancelled"
}

# has_old_entries: etcd 3.7 ends at once when its log has an entry in the format of v2, which 3.5 wrote at each start of a member
# and change of the cluster version; 3.6 reads it. Such a path may also stand in somebody's key: then a restart is in vain.
has_old_entries() {
  [ "$(minor "$VERSION")" = 3.7 ] && grep -qaF -e /0/members/ -e /0/version "$DATA"/member/wal/*.wal 2>/dev/null
}

# shed_old_entries FROM ID: a start reads the log from the newest disk snapshot of raft on, and 3.6 takes one every --snapshot-count
# entries. So it runs with the smallest count until there is one behind all entries that this member has applied by now. The
# drop-in is lost at a reboot, and a run that was killed is made good by the next one (remove_overrides).
shed_old_entries() {
  local applied override=/run/systemd/system/etcd.service.d/snapshot-count.conf deadline
  applied=$(status_field "$LOCAL" RaftAppliedIndex) || fail "etcd runs on this host but does not answer its client"
  hand_over "$2"
  say "restarting etcd $1 first, to put entries of etcd 3.5 in its log, which $VERSION cannot read, behind a snapshot of raft"
  {
    printf '[Service]\nExecStart=\n'
    sed -n '/^ExecStart=/,/[^\\]$/p' "$UNIT" | sed '$s/$/ --snapshot-count=1/'
  } | put 0644 root:root "$override"
  systemctl daemon-reload
  begin_restart
  wait_until_ready "$READY_SECONDS"
  retry 30 healthy "$LOCAL" >/dev/null || fail "not healthy after a restart with --snapshot-count=1; see $override"
  deadline=$((SECONDS + SETTLE_SECONDS))
  until [ "$(snapshot_index)" -ge "$applied" ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "not restarted with $VERSION, because etcd $1 took no snapshot of raft in $SETTLE_SECONDS s although it runs with --snapshot-count=1"
    fi
    sleep 0.25
  done
  unput "$override"
  rmdir "$(dirname "$override")" 2>/dev/null || true
  systemctl daemon-reload
}

# snapshot_index: the entry up to which this member's newest disk snapshot of raft goes; files are named TERM-INDEX.snap.
snapshot_index() {
  local name newest=0
  for name in "$DATA"/member/snap/*-*.snap; do
    name=${name##*-}
    name=${name%.snap}
    if [[ $name =~ ^[0-9a-f]{16}$ ]] && [ "$((16#$name))" -gt "$newest" ]; then newest=$((16#$name)); fi
  done
  printf '%s' "$newest"
}

# settled SERIES: the cluster speaks it and is not on its way down.
settled() { [ "$(cluster_version)" = "$1" ] && ! downgrading; }

# settle SERIES: waits until it is settled.
settle() {
  local deadline=$((SECONDS + SETTLE_SECONDS))
  until settled "$1"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      if downgrading; then fail "after $SETTLE_SECONDS s the cluster's downgrade is still under way"; fi
      fail "after $SETTLE_SECONDS s the cluster still speaks $(cluster_version), not $1"
    fi
    sleep 0.25
  done
}
