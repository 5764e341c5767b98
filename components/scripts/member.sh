#!/usr/bin/env bash
# Step «member»: this host's etcd starts, joins, restarts when it must, and leaves.
# Takes NODE ADDRESS VERSION PREDECESSORS WANTED PKI TOKEN SNAPSHOT TRUST (names of the CAs in CA_PEM) CA_PEM ENVIRONMENT UNIT_TEXT; the neighbours are read from the host step's list,
# so that adding a node changes no input of the members that exist. The first word of the revision says what the program saw:
# «new» no formed cluster on any host, «join» one, «unseen» that it did not look, «unsaved» that a change of the release is half done
# and no host has a snapshot from before it.

READY_SECONDS=90

apply() {
  # For the program's next look: a run that was killed may have come further here than the program's state knows.
  put 0644 root:root "$STATE/wanted" <<<"$WANTED"
  # For the look of another stack, which would cut this host off with certificates of its own CA.
  put 0644 root:root "$STATE/token" <<<"$TOKEN"
  remove_overrides
  case $1 in recover*) recover "$1" ;; esac
  guard_data
  if [ ! -d "$DATA/member/wal" ] || first_start_is_stale; then
    install_files
    first_start "$1"
  elif [ -e "$FORMED" ] && address_changes "$1"; then
    move "$1"
  elif [ "$(unit_property ActiveState)" != active ]; then
    start_again "$1"
  elif loaded_else; then
    # An alarm counts as sick, and nothing restarts beside a sick member.
    clear_alarms
    if trust_has_expired; then revive; else restart "$1"; fi
  else
    install_files
  fi
  put 0644 root:root "$TRUST_MARK" <<<"$TRUST"
  promote_own
  clear_alarms
  receipt member "$1" "$DATA" "$TRUST_MARK" "$PKI/ca.pem" /etc/etcd.env "$UNIT" /usr/local/bin/etcd /usr/local/bin/etcdctl /usr/local/bin/etcdutl
}

# clear_alarms: a full database is read-only until it is compacted, defragmented and disarmed (etcd docs, «Maintenance»).
# A corrupt one is for a person to look at.
clear_alarms() {
  local alarms revision
  if [ ! -e "$FORMED" ] || ! alarms=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 5s alarm list 2>/dev/null) || [ -z "$alarms" ]; then return; fi
  case $alarms in *CORRUPT*) fail "the cluster has an alarm that no program should clear: $alarms" ;; esac
  say "clearing the alarm: $(paste -sd ' ' - <<<"$alarms")"
  revision=$(status_field "$LOCAL" Revision)
  etcdctl_as_client --endpoints "$LOCAL" compaction --physical "$revision" >/dev/null 2>&1 || true
  etcdctl_as_client --endpoints "$LOCAL" --command-timeout 120s defrag >/dev/null || fail "the database could not be defragmented"
  etcdctl_as_client --endpoints "$LOCAL" alarm disarm >/dev/null || fail "the alarm could not be disarmed"
}

# configured_cluster: the initial-cluster value of all configured nodes.
configured_cluster() {
  awk 'NF == 2 { print $1 "=https://" ($2 ~ /:/ ? "[" $2 "]" : $2) ":2380" }' "$STATE/nodes" | paste -sd , -
}

# A first start that never got ready and was meant for another set of nodes: its data holds nothing and is started over.
first_start_is_stale() {
  [ ! -e "$FORMED" ] && [ -e "$FIRST_START" ] &&
    grep -qx 'ETCD_INITIAL_CLUSTER_STATE=new' "$FIRST_START" &&
    ! grep -qxF "ETCD_INITIAL_CLUSTER=$(configured_cluster)" "$FIRST_START"
}

# write_first_start STATE CLUSTER: etcd looks at these on a start without data only. The ExecStartPost of the unit removes
# them once the member is ready; what stays is the unit's own «existing», with which an emptied host starts nothing.
write_first_start() {
  put 0644 root:root "$FIRST_START" <<END
ETCD_INITIAL_CLUSTER_STATE=$1
ETCD_INITIAL_CLUSTER=$2
ETCD_INITIAL_CLUSTER_TOKEN=$TOKEN
END
}

# first_start REVISION: on a host without data. Whether a cluster exists was seen by the program, on all hosts at once; its word
# «new» is good for an hour only, so that a step which runs again much later cannot bootstrap a second cluster.
first_start() {
  local others list=
  systemctl stop etcd.service
  if [ -e "$FORMED" ] || ! may_be_new "$1"; then
    others=$(reachable_others)
    if [ -n "$others" ]; then list=$(retry 15 members "$others") || true; fi
    if [ -n "$list" ]; then
      join "$others" "$list" "$1"
      return
    fi
    case $1 in
      unseen*) [ ! -e "$FORMED" ] || fail "$ALONE" ;;
      *) fail "$ALONE" ;;
    esac
  fi
  empty_data
  write_first_start new "$(configured_cluster)"
  # Not waited for: a member of a new cluster is ready only when others are, and they may start after this step.
  systemctl start --no-block etcd.service
  started
}

ALONE="has no data, and no quorum of the cluster answers; refusing to form a second cluster. Start the other members first"

may_be_new() {
  local stamp
  case $1 in new*) ;; *) return 1 ;; esac
  stamp=$(date -d "${1##*, }" +%s 2>/dev/null) && [ $(($(date +%s) - stamp)) -lt 3600 ]
}

# Only ever called for data that belongs to no member of a living cluster; each caller says why. A database without a journal
# that no first start of ours left may still be worth something to somebody.
empty_data() {
  if [ -e "$DATA/member/snap/db" ] && [ ! -e "$FIRST_START" ]; then set_aside orphaned; fi
  rm -f "$IDENTITY"
  find "$DATA" -mindepth 1 -delete 2>/dev/null || true
}

# join ENDPOINTS LIST REVISION: as a learner first, which cannot harm the quorum, promoted when it has caught up (etcd docs,
# «Runtime reconfiguration» and «Learner»). A half-added member of an earlier run is found by its peer URL and used again.
join() {
  local endpoints=$1 list=$2 peer own id name peers learner started
  peer=$(url "$ADDRESS" 2380)
  own=$(own_member "$list")
  read -r id name peers learner started <<<"${own:-- - - - -}"
  # One that has a place elsewhere in the list was a member with data, started since its last address or not.
  if [ "$started" = yes ] || { [ "$id" != - ] && [ "$peers" != "$peer" ]; }; then
    guard "$list" "$id $name"
    say "the host was rebuilt: its old member $id is removed"
    retry 15 remove_member "$endpoints" "$id" >/dev/null ||
      fail "etcd refuses to remove the old member $id of this host"
    id=-
  fi
  if [ "$id" = - ]; then
    make_way "$endpoints" "$3"
    retry 15 etcdctl_as_client --endpoints "$endpoints" member add "$NODE" --learner --peer-urls "$peer" >/dev/null ||
      fail "etcd refuses to add this host as a learner"
    list=$(retry 10 members "$endpoints") || fail "no quorum of the cluster answers after this host was added"
    id=$(awk -v peer="$peer" '$3 == peer { print $1 }' <<<"$list")
    learner=true
  fi
  empty_data
  rm -f "$FORMED"
  # Nobody is let in while the cluster is on its way down a series (etcd's isCompatibleWithCluster).
  if [ "$(status_field "${endpoints%%,*}" DowngradeEnabled)" = true ]; then
    etcdctl_as_client --endpoints "$endpoints" downgrade cancel >/dev/null || fail "the downgrade under way cannot be cancelled"
    say "the downgrade under way is cancelled"
  fi
  # An added member that has not started has no name in the list yet; only this host's can be one, nodes join one at a time.
  write_first_start existing "$(awk -v node="$NODE" '{ print ($2 == "-" ? node : $2) "=" $3 }' <<<"$list" | paste -sd , -)"
  systemctl start --no-block etcd.service
  started
  wait_until_ready "$READY_SECONDS"
  if [ "$learner" = true ]; then promote "$endpoints" "$id"; fi
}

# promote ENDPOINTS ID: through a voter, until the learner is in sync. A retry may find it promoted already.
promote() {
  local deadline=$((SECONDS + 120)) output
  # etcd is content with nine tenths. Where every voter is needed, one that has not got the rest holds up all writes.
  until caught_up "$1" || [ "$SECONDS" -ge "$((deadline - 90))" ]; do sleep 0.25; done
  until output=$(etcdctl_as_client --endpoints "$1" member promote "$2" 2>&1); do
    case $output in
      *"which is in sync with leader"*) ;;
      *"can only promote a learner member"*) break ;;
    esac
    if [ "$SECONDS" -ge "$deadline" ]; then fail "learner $2 could not be promoted: $output"; fi
    sleep 0.25
  done
  say "member $2 joined as a learner and was promoted"
}

# caught_up ENDPOINTS: this host's learner has applied all that the first of them knows of, but for what came in meanwhile.
caught_up() {
  local there here
  there=$(status_field "${1%%,*}" RaftIndex) && here=$(status_field "$LOCAL" RaftAppliedIndex) || return 0
  [ "$((there - here))" -lt 100 ]
}

# start_again REVISION: etcd was stopped. A release of another series must not come in by this door: the member starts as it was,
# and is rolled then.
start_again() {
  local installed others
  systemctl reset-failed etcd.service 2>/dev/null || true
  installed=$(basename "$(dirname "$(readlink /usr/local/bin/etcd || true)")")
  if [ -e "$FORMED" ] && [[ $installed == v* ]] && [ "$(minor "${installed#v}")" != "$(minor "$VERSION")" ]; then
    systemctl start --no-block etcd.service
    wait_until_ready "$READY_SECONDS"
    retry 30 healthy "$LOCAL" >/dev/null || fail "was stopped, started again as etcd ${installed#v}, and is not healthy"
    restart "$1"
    return
  fi
  install_files
  # One that hangs in its start with other files would never see the right ones.
  if loaded_else; then systemctl restart --no-block etcd.service; else systemctl start --no-block etcd.service; fi
  started
  # A member that was ready before needs no more than a quorum; one that never was waits for its neighbours' first start, but after
  # a recovery they wait for it. Without a quorum it waits for nobody: others may be started, or get new certificates, by their own
  # steps after this one.
  others=$(reachable_others)
  if [ ! -e "$FORMED" ]; then
    if [ -e "$RECOVERED" ]; then wait_until_ready "$READY_SECONDS"; fi
  elif [ -n "$others" ] && [ -n "$(members "$others")" ]; then
    wait_until_ready "$READY_SECONDS"
  fi
}

# trust_has_expired: so has every CA that the process has loaded. No handshake with it succeeds any more, nobody's.
trust_has_expired() {
  local end last=0
  keep_good
  cmp -s "$GOOD/running" "$STATE/running" || return 1
  while read -r end; do
    end=$(date -d "$end" +%s)
    if [ "$end" -gt "$last" ]; then last=$end; fi
  done < <(openssl crl2pkcs7 -nocrl -certfile "$GOOD/ca.pem" 2>/dev/null |
    openssl pkcs7 -print_certs -text -noout 2>/dev/null | sed -n 's/^ *Not After *: *\([A-Z].*\)/\1/p')
  [ "$last" -gt 0 ] && [ "$last" -le "$(date +%s)" ]
}

# revive: no service is left to protect, and no quorum to wait for before the others have been restarted too.
revive() {
  say "restarting etcd: the CA that it trusts has expired"
  install_files
  systemctl restart --no-block etcd.service
  started
}

remove() {
  refuse_if_held
  if [ -e "$FORMED" ] && [ ! -e "$STATE/abandon" ]; then leave; fi
  systemctl --quiet disable etcd.service 2>/dev/null || true
  systemctl stop etcd.service 2>/dev/null || true
  systemctl reset-failed etcd.service 2>/dev/null || true
  # After leave this data belongs to no member any more; without FORMED it never did.
  rm -rf "$DATA"
  rm -f "$FORMED" "$FIRST_START" "$STATE/running" "$PROCESS" "$STATE/abandon" "$STATE/wanted" "$STATE/token" "$VERSION_SNAPSHOT" "$MOVING" \
    "$IDENTITY" "$KNOWN_MEMBERS" "$RECOVERED"
  unput "$TRUST_MARK"
  rm -rf "$GOOD"
  unput "$PKI/ca.pem" /etc/etcd.env "$UNIT"
  rm -f "$STATE/receipts/member"
  systemctl daemon-reload
}

# Out of the cluster: by ID, through the others, and only if those that stay have a quorum of healthy voters.
leave() {
  local peer endpoints list id peers learner started voters=0 well=0
  if was_removed; then return; fi
  endpoints=$LOCAL
  list=$(retry 5 members "$endpoints") || {
    endpoints=$(reachable_others)
    list=$([ -z "$endpoints" ] || retry 15 members "$endpoints") || true
  }
  if [ -z "$list" ]; then
    fail "cannot leave: no quorum of the cluster answers, so nothing was removed. Start its members again; or, if they have taken this one out already or the cluster and its data are to be given up, make the file $STATE/abandon on this host; and repeat"
  fi
  read -r id _ peer _ < <(own_member "$list") || return 0
  if [ "$(wc -l <<<"$list")" -eq 1 ]; then
    if [ "$SNAPSHOT" = yes ]; then final_snapshot; fi
    return
  fi
  while read -r _ _ peers learner started; do
    if [ "$peers" = "$peer" ] || [ "$learner" = true ]; then continue; fi
    voters=$((voters + 1))
    if [ "$started" = yes ] && healthy "$(client_url "$peers")"; then well=$((well + 1)); fi
  done <<<"$list"
  if [ "$well" -le $((voters / 2)) ]; then
    fail "cannot leave: of the $voters voters that would stay only $well are healthy; bring the others back first"
  fi
  if [ "$endpoints" = "$LOCAL" ]; then hand_over "$id"; fi
  endpoints=$(reachable_others)
  retry 20 remove_member "$endpoints" "$id" >/dev/null || fail "etcd refuses to remove member $id"
  say "member $id left the cluster"
}

# was_removed: the others took this member out, and its etcd has said so in its journal before it ended: it applied the removal of
# its own ID, or was turned away as one that is no member any more. Nobody lets this host in then, so there is nobody to ask.
was_removed() {
  journal 5000 | awk '
    match($0, /"local-member-id":"[0-9a-f]+"/) { own = substr($0, RSTART + 19, RLENGTH - 20) }
    /"msg":"removed member"/ && match($0, /"removed-remote-peer-id":"[0-9a-f]+"/) { gone[substr($0, RSTART + 26, RLENGTH - 27)] }
    /"msg":"server error".*permanently removed from the cluster/ { gone[own] }
    END { exit !(own != "" && own in gone) }'
}

final_snapshot() {
  local cluster file words
  cluster=$(status_field "$LOCAL" ClusterID)
  file=$BACKUPS/$NODE-$cluster-$(date -u +%Y%m%dT%H%M%SZ).db
  words=$(save_snapshot "$file") ||
    fail "the final snapshot failed: $words; nothing was removed. Set etcd:destroy.snapshot to false to do without"
  say "final snapshot: $file"
}
