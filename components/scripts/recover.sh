#!/usr/bin/env bash
# A cluster that has lost its quorum for good begins anew (etcd docs, «Disaster recovery»): one node forms a new cluster with what
# it has, or with a snapshot; the others join it afresh. Nothing of before is deleted. Part of the step «member»; the revision says
# which part this host has: «recover first CLUSTER [SNAPSHOT], TIME» or «recover join CLUSTER, TIME», where CLUSTER is the one given up.

# Beside the data, on the same disk: copies that are worked on, so that what there was stays as it is.
REPLAY=$DATA.replay
RESTORED=$DATA.restored

recover() {
  local role lost snapshot
  read -r _ role lost snapshot <<<"${1%%,*}"
  # The revision stays that of the recovery when the step runs again for another reason.
  if [ "$(cat "$RECOVERED" 2>/dev/null || true)" = "$lost" ]; then return; fi
  install_files
  case $role in
    first) begin_anew "$lost" "$snapshot" ;;
    join) join_recovered "$lost" ;;
  esac
}

# begin_anew CLUSTER SNAPSHOT: the new cluster has another token, so another ID: whoever is left of the old one is a stranger to it.
# Revisions go up by a thousand million, so that no watcher sees one again that the lost members may have given out already.
begin_anew() {
  local file=$2 peer endpoint words own=
  while read -r endpoint; do
    if answers "$endpoint" && [ -n "$(members "$endpoint")" ]; then
      fail "a quorum of the cluster answers at $endpoint, so there is nothing to recover; take etcd:recover out of the configuration"
    fi
  done < <(echo "$LOCAL"; endpoints_of_others)
  systemctl stop etcd.service
  systemctl reset-failed etcd.service 2>/dev/null || true
  if [ -z "$file" ]; then
    file=$BACKUPS/recovery-$1.db own=--skip-hash-check
    if [ ! -e "$file" ]; then replay "$file"; fi
  fi
  peer=$(url "$ADDRESS" 2380)
  rm -rf "$RESTORED"
  words=$("$RELEASES/v$VERSION/etcdutl" snapshot restore "$file" ${own:+"$own"} --data-dir "$RESTORED" --name "$NODE" \
    --initial-cluster "$NODE=$peer" --initial-advertise-peer-urls "$peer" --initial-cluster-token "$TOKEN-$1" \
    --bump-revision 1000000000 --mark-compacted 2>&1) ||
    fail "etcdutl cannot restore $file: $(tail -n 1 <<<"$words"); the data in $DATA is as it was"
  if [ -d "$DATA/member" ]; then set_aside before-recovery; fi
  mv -T "$RESTORED/member" "$DATA/member"
  rm -rf "$RESTORED"
  chown -R etcd:etcd "$DATA"
  rm -f "$FIRST_START" "$IDENTITY" "$KNOWN_MEMBERS"
  # From here on the recovery is done, whatever becomes of this run.
  put 0600 root:root "$RECOVERED" <<<"$1"
  systemctl start --no-block etcd.service
  started
  wait_until_ready "$READY_SECONDS"
  say "a new cluster begins with $file, instead of cluster $1"
}

# replay FILE: all that this host's member knew to be committed becomes FILE. Its database alone lacks what was acknowledged
# in the moments before a power cut: that stands in the journal. So etcd goes through the journal of a copy, as a cluster of one, in
# a network of its own where it meets nobody.
replay() {
  local words
  rm -rf "$REPLAY"
  install -d -m 0700 -o etcd -g etcd "$REPLAY"
  cp -a --reflink=auto "$DATA/member" "$REPLAY/member"
  words=$(unshare --net bash -c "$(declare -f replay_alone); replay_alone \"\$@\"" - "$RELEASES/v$VERSION/etcd" "$REPLAY" "$NODE" 2>&1) ||
    fail "etcd cannot go through the journal of this host's member; the data in $DATA is as it was; its words:"$'\n'"$(tail -n 10 <<<"$words")"
  (umask 077 && install -d -m 0700 "$BACKUPS" && cp "$REPLAY/member/snap/db" "$1.part")
  mv -T "$1.part" "$1"
  rm -rf "$REPLAY"
}

# replay_alone ETCD DIRECTORY NAME: runs by itself, with nothing of the other functions.
replay_alone() {
  local pid turn
  set -eu
  ip link set lo up
  runuser -u etcd -- "$1" --name "$3" --data-dir "$2" --force-new-cluster \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 >"$2/log" 2>&1 &
  pid=$!
  for ((turn = 0; turn < 1200; turn++)); do
    # A full database does not matter here.
    if timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/2379 && printf "GET /health?exclude=NOSPACE HTTP/1.0\r\n\r\n" >&3 && grep -q "\"health\":\"true\"" <&3' 2>/dev/null; then
      kill "$pid"
      wait "$pid" || true
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  cat "$2/log"
  return 1
}

# join_recovered CLUSTER: what is left of the old cluster here gives way to the new one.
join_recovered() {
  local endpoint list="" cluster found
  while read -r endpoint; do
    if answers "$endpoint" && list=$(members "$endpoint") && [ -n "$list" ] && cluster=$(status_field "$endpoint" ClusterID) && [ "$cluster" != "$1" ]; then break; fi
    list=
  done < <(endpoints_of_others)
  [ -n "$list" ] || fail "the recovered cluster does not answer; run the up again when its first member runs"
  found=$(data_identity)
  if [ "${found% *}" != "$cluster" ]; then
    systemctl stop etcd.service
    if [ -d "$DATA/member" ]; then set_aside before-recovery; fi
    rm -f "$FORMED" "$FIRST_START" "$IDENTITY" "$KNOWN_MEMBERS"
  fi
  put 0600 root:root "$RECOVERED" <<<"$1"
  if [ "${found% *}" != "$cluster" ]; then join "$endpoint" "$list" "join"; fi
}
