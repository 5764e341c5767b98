#!/usr/bin/env bash
# What a change of the etcd release needs beside new binaries: a snapshot first, and the cluster's consent to go down a minor
# series (etcd docs, "Upgrading etcd clusters" and "Downgrading etcd clusters"). Part of the steps "member" and "health".

# On the host that took it, until the roll is through: "FROM TO PATH" of the snapshot before the roll.
VERSION_SNAPSHOT=$STATE/version-snapshot
# While old entries are put behind a snapshot of raft (force_raft_snapshot).
SNAPSHOT_COUNT_DROP_IN=/run/systemd/system/etcd.service.d/snapshot-count.conf
# Snapshots before rolls that a host keeps; final ones are never removed.
KEPT_SNAPSHOTS=5
# The leader looks every four seconds whether the cluster version can change, each member whether its data can.
SETTLE_SECONDS=60

# minor VERSION: its series; "3.6" of 3.6.14.
minor() { cut -d . -f 1,2 <<<"$1"; }

# lower A B: whether series A is older than series B.
lower() { [ "$(minor "$1")" != "$(minor "$2")" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# https_get CERTIFICATE URL: what a member answers over HTTPS; for what etcdctl does not show.
https_get() {
  local pki certificate key
  pki=$(pki_in_use)
  certificate=$pki/$1.pem key=$pki/$1-key.pem
  if command -v curl >/dev/null; then
    # The peer port offers HTTP/2 and does not speak it.
    curl --fail --silent --http1.1 --noproxy '*' --max-time 5 --cacert "$pki/ca.pem" --cert "$certificate" --key "$key" "$2"
  else
    wget --quiet --no-proxy --tries 1 --timeout 5 --output-document - \
      --ca-certificate "$pki/ca.pem" --certificate "$certificate" --private-key "$key" "$2"
  fi
}

# cluster_version, storage_version: the series that the cluster speaks, and the one whose format this member's data has.
# Empty when the member does not answer; 3.5 tells no storage version.
cluster_version() { https_get client "$LOCAL/version" | sed -n 's/.*"etcdcluster":"\([0-9]*\.[0-9]*\)\..*/\1/p'; }
storage_version() { https_get client "$LOCAL/version" | sed -n 's/.*"storage":"\([0-9]*\.[0-9]*\)\..*/\1/p'; }

# downgrading: whether the cluster is on its way down a series. Members tell each other on their peer ports, 3.5 as well.
downgrading() {
  local address answer
  address=$(awk -v node="$NODE" '$1 == node { print $2 }' "$STATE/nodes")
  answer=$(https_get peer "$(url "$address" 2380)/downgrade/enabled") && [ "$answer" = true ]
}

# running_versions: the releases of all members, one a line, without repetition. Fails when one does not answer.
running_versions() {
  local status
  status=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 10s endpoint status --cluster --write-out fields 2>/dev/null) ||
    return 1
  sed -n 's/^"Version" : "\([^"]*\)"$/\1/p' <<<"$status" | sort -u
}

# change_version FROM ID: everything that must be so before this member may be given VERSION.
change_version() {
  local from=$1 running
  doing "preparing the change of etcd $1 to $VERSION"
  may_follow "$from" ||
    fail "runs etcd $from, which $VERSION cannot follow: it follows only $(paste -sd ' ' - <<<"$PREDECESSORS") and later patches of these"
  running=$(running_versions) || fail "not restarted, because not every member reports its version; start the missing ones first"
  # The first of a roll finds all members alike. A roll that was begun may have no snapshot on any host.
  if [ "$(wc -l <<<"$running")" -eq 1 ] || mode snapshot-first; then snapshot_before "$from"; fi
  if lower "$VERSION" "$from"; then
    go_down "$from"
  elif lower "$from" "$VERSION"; then
    cancel_downgrade "$CHANGE_OF_MIND"
    settle "$(minor "$from")"
    if has_old_entries; then force_raft_snapshot "$from" "$2"; fi
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

snapshot_before() {
  local cluster file words old
  cluster=$(status_field "$LOCAL" ClusterID) || fail "$NO_ANSWER"
  file=$BACKUPS/$NODE-$cluster-$(date -u +%Y%m%dT%H%M%SZ)-before-$VERSION-from-$1.db
  words=$(save_snapshot "$file") ||
    fail "not restarted, because the snapshot before the change to $VERSION failed: $words"
  printf '%s %s %s\n' "$1" "$VERSION" "$file" | install_file 0600 root:root "$VERSION_SNAPSHOT"
  info "snapshot before version $1 to $VERSION: $file"
  push_beside "$file" "$cluster" "$1" "before-$VERSION"
  find "$BACKUPS" -maxdepth 1 -name "$NODE-$cluster-*-before-*.db" | sort -r | tail -n "+$((KEPT_SNAPSHOTS + 1))" |
    while read -r old; do rm -f "$old"; done
}

# go_down FROM: an older series starts only after the cluster agreed to it and this member's data is back in the older format.
# Where a member of the older series runs, the cluster speaks that series already.
go_down() {
  local target words=
  target=$(minor "$VERSION")
  begin_wait
  until [ "$(cluster_version)" = "$target" ] && [ "$(storage_version)" = "$target" ] && agreed "$target"; do
    if ! agreed "$target" && etcdctl_as_client --endpoints "$LOCAL" downgrade validate "$target" >/dev/null 2>&1; then
      words=$(etcdctl_as_client --endpoints "$LOCAL" downgrade enable "$target" 2>&1) ||
        fail "not restarted, because etcd does not allow the downgrade to $target: $words"
      info "downgrade of the cluster from $(minor "$1") to $target enabled"
    fi
    if ! may_wait "$SETTLE_SECONDS" versions_move; then
      fail "not restarted, because for $((SECONDS - MOVED)) s the cluster version has been $(cluster_version) and the storage version here $(storage_version), not $target; set etcd:version back to $1 to cancel the downgrade"
    fi
    sleep 0.5
  done
}

# versions_move: for may_wait.
versions_move() { sees "$(cluster_version) $(storage_version)"; }

# agreed SERIES: a downgrade is under way, or a member runs SERIES.
agreed() { downgrading || running_versions | cut -d . -f 1,2 | grep -qxF -e "$1"; }

CHANGE_OF_MIND="the downgrade in progress was cancelled"

# cancel_downgrade WORDS: an upgrade means that the downgrade is not wanted any more. At the end of a downgrade it takes the same
# command. 3.5's etcdctl has no word for it, VERSION's has.
cancel_downgrade() {
  local words pki
  if ! downgrading; then return 0; fi
  pki=$(pki_in_use)
  words=$("$RELEASES/v$VERSION/etcdctl" --cacert "$pki/ca.pem" --cert "$pki/client.pem" --key "$pki/client-key.pem" \
    --endpoints "$LOCAL" downgrade cancel 2>&1) || ! downgrading || fail "cannot cancel the downgrade in progress: $words"
  info "$1"
}

# override_with FLAG: a drop-in that starts etcd with one flag more, which decides over an earlier one of its name.
override_with() {
  printf '[Service]\nExecStart=\n'
  sed -n '/^ExecStart=/,/[^\\]$/p' "$UNIT" | awk -v flag="$1" 'NR > 1 { print line } { line = $0 } END { print line " " flag }'
}

# has_old_entries: etcd 3.7 ends at once when its log has an entry in the format of v2, which 3.5 wrote at each start of a member
# and change of the cluster version; 3.6 reads it. Such a path may also stand in somebody's key: then a restart is in vain.
has_old_entries() {
  [ "$(minor "$VERSION")" = 3.7 ] || return 1
  [ -n "$(AS_ETCD_SECONDS=60 as_etcd find "$DATA/member/wal" -maxdepth 1 -type f -name '*.wal' \
    -exec grep -laF -D skip -e /0/members/ -e /0/version {} + 2>/dev/null | head -c 1)" ]
}

# force_raft_snapshot FROM ID: a start reads the log from the newest disk snapshot of raft on, and 3.6 takes one every --snapshot-count
# entries. So it runs with the smallest count until there is one behind all entries that this member has applied by now. The
# drop-in is lost at a reboot, and a run that was killed is made good by the next one (remove_overrides).
force_raft_snapshot() {
  local applied override=$SNAPSHOT_COUNT_DROP_IN
  applied=$(status_field "$LOCAL" RaftAppliedIndex) || fail "$NO_ANSWER"
  transfer_leadership_if_leader "$2"
  info "restarting etcd $1 first: forcing a raft snapshot so that $VERSION need not replay v2 entries written by 3.5"
  override_with --snapshot-count=1 | install_file 0644 root:root "$override"
  systemctl daemon-reload
  begin_restart
  wait_until_ready
  retry 30 healthy "$LOCAL" >/dev/null || fail "not healthy after a restart with --snapshot-count=1; see $override"
  begin_wait
  until [ "$(snapshot_index)" -ge "$applied" ]; do
    if ! may_wait "$SETTLE_SECONDS" snapshots_move; then
      fail "not restarted with $VERSION, because etcd $1 has taken no raft snapshot for $((SECONDS - MOVED)) s although it runs with --snapshot-count=1"
    fi
    sleep 0.25
  done
  remove_file "$override"
  rmdir "$(dirname "$override")" 2>/dev/null || true
  systemctl daemon-reload
}

# snapshots_move: for may_wait.
snapshots_move() { sees "$(snapshot_index)"; }

# settled SERIES: the cluster speaks it and is not on its way down.
settled() { [ "$(cluster_version)" = "$1" ] && ! downgrading; }

# settle SERIES: waits until it is settled.
settle() {
  begin_wait
  until settled "$1"; do
    if ! may_wait "$SETTLE_SECONDS" versions_move; then
      if downgrading; then fail "after $((SECONDS - MOVED)) s the cluster's downgrade is still in progress"; fi
      fail "after $((SECONDS - MOVED)) s the cluster version is still $(cluster_version), not $1"
    fi
    sleep 0.25
  done
}
