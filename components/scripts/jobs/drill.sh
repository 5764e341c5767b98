#!/usr/bin/env bash
# Job "drill": a backup is worth what comes back of it. The newest snapshot of the repository is restored into a member of its own that meets
# nobody, read back, and thrown away; on one host that does not lead, within bounds that leave the host's own member what it needs.
# Takes NODE PKI TOKEN VERSION and what lib/repository.sh takes.

export JOB_SCRIPT=drill

# The snapshot, and the data of the member that it is restored into.
DRILL=$STATE/drill
DRILL_MEMBER=etcd-drill-member.service
DRILL_PEER=http://127.0.0.1:2380
# Seconds until the restored member serves, and after which systemd ends it whatever becomes of this job.
DRILL_START=300
DRILL_LIFE=900
# MiB that the restored member may have beside twice the size of its database, and that must stay free on the host beside that.
DRILL_MEMORY=256
# Percent of the disk that must stay free.
DRILL_FREE=10

run() {
  local facts words cluster id time revision size release hash keys
  clean_up
  wait_for_up
  doing "finding out on which host the drill is"
  if ! drills_here; then return; fi
  cluster=$(status_field "$LOCAL" ClusterID) || fail "its member does not answer on $LOCAL; check journalctl --unit etcd"
  doing "looking for the newest snapshot in the repository"
  # One that was just recovered has none yet.
  facts=$(latest_snapshot "$cluster") ||
    facts=$(latest_snapshot "$(paste -sd , - <<<"$cluster"$'\n'"$(clusters_before)")") ||
    fail "the repository $(repository_name): $facts"
  read -r id time revision size cluster release hash <<<"$facts"
  refuse_short "$size"
  doing "fetching the snapshot $id of $time"
  mkdir -m 0700 "$DRILL"
  words=$(fetch_snapshot "$id" "$DRILL/snapshot.db") || fail "the repository $(repository_name): $words"
  # An up waits for what comes now, not for the download.
  begin_job
  start_restored "$id" "$release"
  compare_restored "$id" "$revision" "$cluster"
  clean_up
  end_job
  info "snapshot $id of $time was restored and read back: revision $revision, $keys keys"
  job_result ok "$revision" "$size" "$hash" "$id"
}

# drills_here: the first voter by name that serves and does not lead; the leader where it is alone.
drills_here() {
  local id peers learner started leader own chosen=""
  if [ ! -e "$FORMED" ]; then
    info "nothing to do: there is no member on this host yet"
    return 1
  fi
  if ! leader=$(status_field "$LOCAL" Leader) || ! own=$(status_field "$LOCAL" MemberID); then
    info "nothing to do: its member does not answer on $LOCAL"
    return 1
  fi
  while read -r id _ peers learner started; do
    if [ "$learner" = true ] || [ "$started" = no ]; then continue; fi
    if [ "$id" = "$leader" ] || ! healthy "$(client_url "$peers")"; then continue; fi
    chosen=$id
    break
  done < <(members "$LOCAL" | sort -k 2)
  if [ "${chosen:-$leader}" != "$own" ]; then
    info "nothing to do: the drill is on the host of the member ${chosen:-$leader}, and this host's is $own"
    return 1
  fi
}

# refuse_short SIZE: beside a member that is short of memory or disk nothing is restored.
refuse_short() {
  local needed=$((2 * $1 / 1048576 + DRILL_MEMORY)) available free total mount
  available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
  if [ "$available" -lt "$((needed + DRILL_MEMORY))" ]; then
    fail "not begun: the host has $available MiB of memory available, and the restored member may need $needed MiB of it, beside which $DRILL_MEMORY MiB must stay free"
  fi
  # The snapshot, the data, and the journal that etcd begins.
  needed=$((2 * $1 / 1048576 + LEAST_FREE))
  read -r total free mount < <(df --block-size 1M --output=size,avail,target -- "$STATE" | sed '1d')
  if [ "$((free - needed))" -lt "$((total * DRILL_FREE / 100))" ]; then
    fail "not begun: the restored snapshot would need $needed MiB of the $free MiB that are free on $mount, the disk of $STATE, and less than $DRILL_FREE % of it would stay free; free some space or enlarge the disk"
  fi
}

# start_restored ID RELEASE: a member of its own cluster, in a network of its own.
start_restored() {
  local words memory pki
  doing "restoring the snapshot $1"
  words=$(timeout --kill-after 5 "$DRILL_START" /usr/local/bin/etcdutl snapshot restore "$DRILL/snapshot.db" --data-dir "$DRILL/data" --name drill \
    --initial-cluster "drill=$DRILL_PEER" --initial-advertise-peer-urls "$DRILL_PEER" 2>&1) ||
    fail "etcdutl cannot restore the snapshot $1, which etcd $2 made: $(tail -n 1 <<<"$words" | printable)"
  memory=$((2 * $(stat -c %s "$DRILL/snapshot.db") / 1048576 + DRILL_MEMORY))
  chown -hR etcd:etcd "$DRILL/data"
  # The etcd user passes through, and sees nothing else of it.
  chmod 0711 "$DRILL"
  pki=$(pki_in_use)
  doing "starting a member with the snapshot $1"
  words=$(timeout --kill-after 5 "$((DRILL_START + 10))" systemd-run --quiet --collect --unit "$DRILL_MEMBER" \
    --property "Description=etcd with a restored backup (drill)" --property Type=notify --property NotifyAccess=main \
    --property User=etcd --property Group=etcd --property PrivateNetwork=yes --property PrivateTmp=yes --property PrivateDevices=yes \
    --property ProtectSystem=strict --property ProtectHome=yes --property NoNewPrivileges=yes --property "ReadWritePaths=$DRILL/data" \
    --property "MemoryMax=${memory}M" --property MemorySwapMax=0 --property CPUWeight=10 --property IOWeight=10 --property Nice=15 \
    --property OOMScoreAdjust=500 --property "TimeoutStartSec=$DRILL_START" --property "RuntimeMaxSec=$DRILL_LIFE" \
    /usr/local/bin/etcd --name drill --data-dir "$DRILL/data" --logger zap --log-level error \
    --listen-client-urls "$LOCAL" --advertise-client-urls "$LOCAL" --client-cert-auth \
    --cert-file "$pki/server.pem" --key-file "$pki/server-key.pem" --trusted-ca-file "$pki/ca.pem" \
    --listen-peer-urls "$DRILL_PEER" --initial-advertise-peer-urls "$DRILL_PEER" 2>&1) ||
    fail "etcd does not start with the restored snapshot $1: $(journal 3 "$DRILL_MEMBER" | tac | paste -sd ' ' - | printable) $(tail -n 1 <<<"$words" | printable)"
}

# ask_restored ARGUMENT...: etcdctl in the network of the restored member, which knows who asks by the client certificate, as the cluster does
# when etcd's authentication is enabled. A unit of its own: who waits for it over D-Bus would need more rights than this job has.
ask_restored() {
  local pki
  pki=$(pki_in_use)
  rm -f "$DRILL/answer" "$DRILL/words"
  timeout --kill-after 5 120 systemd-run --quiet --collect --property Type=oneshot --property TimeoutStartSec=110 --property PrivateNetwork=yes \
    --property "JoinsNamespaceOf=$DRILL_MEMBER" --property CapabilityBoundingSet=CAP_DAC_READ_SEARCH --property NoNewPrivileges=yes --property ProtectSystem=strict \
    --property "StandardOutput=file:$DRILL/answer" --property "StandardError=file:$DRILL/words" \
    /usr/local/bin/etcdctl --cacert "$pki/ca.pem" --cert "$pki/client.pem" --key "$pki/client-key.pem" \
    --endpoints "$LOCAL" --command-timeout 100s "$@" </dev/null >/dev/null 2>&1 || return 1
  head -c 65536 "$DRILL/answer"
}

# words_of_restored: why ask_restored has failed.
words_of_restored() { tail -n 1 "$DRILL/words" 2>/dev/null | printable | cut -c 1-300; }

# compare_restored ID REVISION CLUSTER: with what the repository's tags say, and with what this host's member has at that revision, where it is of
# that cluster and has not compacted it. Leaves the number of keys in "keys".
compare_restored() {
  local answer hash live
  doing "reading the restored snapshot $1 back"
  answer=$(ask_restored endpoint hashkv --rev "$2" --write-out json) || fail "the member with the restored snapshot $1 does not answer: $(words_of_restored)"
  if ! [[ $answer =~ \"revision\":([0-9]{1,19}) ]] || [ "${BASH_REMATCH[1]}" -lt "$2" ]; then
    fail "the restored snapshot $1 goes up to revision ${BASH_REMATCH[1]:-unknown}, and it was taken at revision $2"
  fi
  hash=$(hash_in "$answer") || fail "the member with the restored snapshot $1 does not say what it hashes to"
  keys=$(keys_at "$2" ask_restored) || fail "the keys of the restored snapshot $1 cannot be counted: $(words_of_restored)"
  if [ "$(status_field "$LOCAL" ClusterID || true)" != "$3" ]; then return; fi
  # Hashes can only be compared from the same compaction on.
  if live=$(hash_at "$LOCAL" "$2") && [ "${live#* }" = "${hash#* }" ] && [ "$live" != "$hash" ]; then
    fail "the restored snapshot $1 hashes to ${hash% *} at revision $2, and this host's member to ${live% *}: their data differs"
  fi
  if live=$(keys_at "$2" etcdctl_as_client --endpoints "$LOCAL" --command-timeout 60s) && [ "$live" != "$keys" ]; then
    fail "the restored snapshot $1 has $keys keys at revision $2, and this host's member $live"
  fi
}

# keys_at REVISION COMMAND...: how many keys there were; fails where the revision was compacted.
keys_at() {
  local answer revision=$1
  shift
  answer=$("$@" get "" --prefix --count-only --rev "$revision" --write-out fields 2>/dev/null) || return 1
  [[ $answer =~ \"Count\"\ :\ ([0-9]{1,19}) ]] && printf '%s' "${BASH_REMATCH[1]}"
}

# clean_up: also of a drill that was killed.
clean_up() {
  doing "removing the restored member"
  systemctl stop "$DRILL_MEMBER" 2>/dev/null || true
  systemctl reset-failed "$DRILL_MEMBER" 2>/dev/null || true
  rm -rf "$DRILL"
}
