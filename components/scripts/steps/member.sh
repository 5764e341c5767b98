#!/usr/bin/env bash
# Step "member": this host's etcd starts, joins, moves, and restarts when it must.
# Takes NODE ADDRESS VERSION PREDECESSORS WANTED PKI TOKEN TRUST (names of the CAs in CA_PEM) CA_PEM ENVIRONMENT UNIT_TEXT; the neighbours are read from the list that the step install has left,
# so that adding a node changes no input of the members that exist. What the modes mean: docs/protocol.md.
export STEP_RECEIPTS=member STEP_MODES="bootstrap uninspected join:rebuilt? start-unchecked move rebuild:member recover:cluster:snapshot?:of? join-recovered:cluster snapshot-first change repair renew"

# As wait.sh takes them.
export READY_SECONDS=90 WAIT_LIMIT=3300
# For a learner that applies nothing more to be taken for one in sync all the same.
PROMOTE_SECONDS=90

apply() {
  read_revision "$1"
  refuse_misplaced
  doing "starting its member's step"
  # For the program's next inspection: a run that was killed may have come further here than the program's state knows.
  install_file 0644 root:root "$STATE/wanted" <<<"$WANTED"
  # For the inspection of another stack, which would cut this host off with certificates of its own CA.
  install_file 0644 root:root "$STATE/token" <<<"$TOKEN"
  remove_overrides
  if mode recover join-recovered; then recover; fi
  if mode rebuild; then rebuild; fi
  guard_data
  # Of a removal that was interrupted: the node stays.
  rm -f "$LEFT"
  if [ ! -d "$DATA/member/wal" ] || first_start_is_stale || first_start_is_ruined; then
    install_files
    first_start
  elif [ -e "$FORMED" ] && address_changes; then
    move
  elif [ "$(unit_property ActiveState)" != active ]; then
    start_again
  elif needs_restart; then
    if trust_has_expired; then revive; else restart; fi
  else
    install_files
  fi
  doing "finishing its member's step"
  install_file 0644 root:root "$TRUST_MARK" <<<"$TRUST"
  settle_gateway
  leave_other_directories
  promote_own
  settle_alarms
  receipt member "$1" "$DATA" "$TRUST_MARK" "$PKI/ca.pem" /etc/etcd.env "$UNIT" /usr/local/bin/etcd /usr/local/bin/etcdctl /usr/local/bin/etcdutl
}

# configured_cluster: the initial-cluster value of all configured nodes.
configured_cluster() {
  awk 'NF == 2 { print $1 "=https://" ($2 ~ /:/ ? "[" $2 "]" : $2) ":2380" }' "$STATE/nodes" | paste -sd , -
}

# A first start that never got ready and was meant for another set of nodes: its data holds nothing and is started over.
first_start_is_stale() {
  [ ! -e "$FORMED" ] && [ -e "$FIRST_START" ] &&
    grep -qx 'ETCD_INITIAL_CLUSTER_STATE=new' "$FIRST_START" &&
    ! grep -qxF -e "ETCD_INITIAL_CLUSTER=$(configured_cluster)" "$FIRST_START"
}

# first_start_is_ruined: of a member that joins, whose data went away before it was ever ready: etcd counts on what a member has once
# acknowledged, and ends at each start from then on. There is nothing in it that the others have not.
first_start_is_ruined() {
  [ ! -e "$FORMED" ] && [ -e "$FIRST_START" ] &&
    grep -qx 'ETCD_INITIAL_CLUSTER_STATE=existing' "$FIRST_START" &&
    [ "$(unit_property ActiveState)" != active ] && [ -n "$(unusable_data)" ]
}

# write_first_start STATE CLUSTER: etcd looks at these on a start without data only. The ExecStartPost of the unit removes
# them once the member is ready; what stays is the unit's own "existing", with which an emptied host starts nothing.
write_first_start() {
  install_file 0644 root:root "$FIRST_START" <<END
ETCD_INITIAL_CLUSTER_STATE=$1
ETCD_INITIAL_CLUSTER=$2
ETCD_INITIAL_CLUSTER_TOKEN=$TOKEN
END
}

# first_start: on a host without data. Whether a cluster exists was seen by the program, on all hosts at once; the mode
# "bootstrap" is good for an hour only, so that a step which runs again much later cannot bootstrap a second cluster.
first_start() {
  local others words list=""
  doing "starting its member for the first time"
  systemctl stop etcd.service
  if [ -e "$FORMED" ] || ! may_bootstrap; then
    others=$(reachable_others)
    if [ -n "$others" ]; then list=$(retry 15 members "$others") || true; fi
    if [ -n "$list" ]; then
      words=$(one_cluster "$others") || fail "not joined, because $words; one of them is faulty or compromised: inspect etcd there"
      join "$others" "$list"
      return
    fi
    if [ -e "$FORMED" ] || ! mode uninspected; then fail "$ALONE"; fi
  fi
  empty_data
  write_first_start new "$(configured_cluster)"
  # Not waited for: a member of a new cluster is ready only when others are, and they may start after this step.
  systemctl start --no-block etcd.service
  record_loaded_config
}

ALONE="has no data, and the cluster has no quorum; refusing to bootstrap a second cluster. Start the other members first"

may_bootstrap() {
  local seen
  mode bootstrap && seen=$(date -d "${REVISION[time]}" +%s 2>/dev/null) && [ $(($(date +%s) - seen)) -lt 3600 ]
}

# Only ever called for data that belongs to no member of a living cluster; each caller says why. A database without a journal
# that no first start of ours left may still be worth something to somebody; what is not below member/ is somebody else's.
empty_data() {
  if [ ! -e "$FIRST_START" ] && [ -d "$DATA/member" ] && [ -n "$(below_member ! -type d -print -quit)" ]; then set_aside orphaned; fi
  rm -f "$IDENTITY"
  delete_data
}

# join ENDPOINTS LIST: as a learner first, which cannot harm the quorum, promoted when it has caught up (etcd docs,
# "Runtime reconfiguration" and "Learner"). A half-added member of an earlier run is found by its peer URL and used again.
join() {
  local endpoints=$1 list=$2 peer own id name peers learner started
  doing "joining the cluster"
  peer=$(url "$ADDRESS" 2380)
  refuse_unauthorised "$endpoints"
  own=$(own_member "$list")
  read -r id name peers learner started <<<"${own:-- - - - -}"
  # One that has a place elsewhere in the list was a member with data, started since its last address or not.
  if [ "$started" = yes ] || { [ "$id" != - ] && [ "$peers" != "$peer" ]; }; then
    guard "$list" "$id $name"
    info "the host was rebuilt: its old member $id is removed"
    retry 15 remove_member "$endpoints" "$id" >/dev/null ||
      etcd_refuses "$endpoints" "remove the old member $id of this host"
    id=-
  fi
  if [ "$id" = - ]; then
    remove_blockers "$endpoints"
    transfer_from_corrupt_leader "$endpoints" "$list"
    retry 15 add_learner "$endpoints" "$peer" >/dev/null ||
      etcd_refuses "$endpoints" "add this host as a learner"
    list=$(retry 10 members "$endpoints") || fail "was added to the cluster, but $NO_QUORUM"
    id=$(awk -v peer="$peer" '$3 == peer && $5 == "no" { print $1 }' <<<"$list")
    [ -n "$id" ] || fail "the member that was added at $peer is not in the member list; another run is changing this cluster: wait until it is done"
    learner=true
  fi
  empty_data
  rm -f "$FORMED"
  # Nobody is let in while the cluster is on its way down a series (etcd's isCompatibleWithCluster).
  if [ "$(status_field "${endpoints%%,*}" DowngradeEnabled)" = true ]; then
    etcdctl_as_client --endpoints "$endpoints" downgrade cancel >/dev/null || fail "cannot cancel the downgrade in progress"
    info "the downgrade in progress was cancelled"
  fi
  # An added member that has not started has no name in the list yet; only this host's can be one, nodes join one at a time.
  write_first_start existing "$(awk -v node="$NODE" '{ print ($2 == "-" ? node : $2) "=" $3 }' <<<"$list" | paste -sd , -)"
  systemctl start --no-block etcd.service
  record_loaded_config
  wait_until_ready
  if [ "$learner" = true ]; then promote "$endpoints" "$id"; fi
}

# add_learner ENDPOINTS PEER_URL: one whose answer got lost is in the list all the same, and etcd adds no second one.
add_learner() {
  local output
  output=$(etcdctl_as_client --endpoints "$1" member add "$NODE" --learner --peer-urls "$2" 2>&1) || case $output in
    *"Peer URLs already exists"*) ;;
    *)
      printf '%s\n' "$output"
      return 1
      ;;
  esac
}

# promote ENDPOINTS ID: through a voter, until the learner is in sync.
promote() {
  local output
  # etcd is content with nine tenths. Where every voter is needed, one that has not got the rest holds up all writes.
  begin_wait
  until caught_up "$1" || ! may_wait 30 learner_moves "$1"; do sleep 0.25; done
  begin_wait
  until output=$(etcdctl_as_client --endpoints "$1" member promote "$2" 2>&1); do
    case $output in
      *"which is in sync with leader"*) ;;
      *"can only promote a learner member"*) break ;;
    esac
    may_wait "$PROMOTE_SECONDS" learner_moves "$1" || fail "learner $2 could not be promoted, $(waited): $output"
    sleep 0.25
  done
  info "member $2 joined as a learner and was promoted"
}

# learner_moves ENDPOINTS: for may_wait: this host's learner applies what the cluster has.
learner_moves() {
  local applied last
  applied=$(status_field "$LOCAL" RaftAppliedIndex) || return 0
  last=$(status_field "${1%%,*}" RaftIndex) || last=""
  sees "$applied" "catching up with the cluster: entry $applied${last:+ of $last} applied"
}

# caught_up ENDPOINTS: this host's learner has applied all that the first of them knows of, but for what came in meanwhile.
caught_up() {
  local there here
  there=$(status_field "${1%%,*}" RaftIndex) && here=$(status_field "$LOCAL" RaftAppliedIndex) || return 0
  [ "$((there - here))" -lt 100 ]
}

# start_again: etcd was stopped. A release of another series must not come in by this door: the member starts as it was,
# and is rolled then.
start_again() {
  local installed others
  doing "starting etcd"
  systemctl reset-failed etcd.service 2>/dev/null || true
  installed=$(basename "$(dirname "$(readlink /usr/local/bin/etcd || true)")")
  if [ -e "$FORMED" ] && [[ $installed == v* ]] && [ "$(minor "${installed#v}")" != "$(minor "$VERSION")" ]; then
    systemctl start --no-block etcd.service
    wait_until_ready
    retry 30 healthy "$LOCAL" >/dev/null || fail "was stopped, started again as etcd ${installed#v}, and is not healthy"
    restart
    return
  fi
  install_files
  if mode start-unchecked; then
    start_unchecked
    return
  fi
  # One that hangs in its start with other files would never see the right ones.
  if needs_restart; then systemctl restart --no-block etcd.service; else systemctl start --no-block etcd.service; fi
  record_loaded_config
  # A member that was ready before needs no more than a quorum; one that never was waits for its neighbours' first start, but after
  # a recovery they wait for it. Without a quorum it waits for nobody: others may be started, or get new certificates, by their own
  # steps after this one.
  others=$(reachable_others)
  if [ ! -e "$FORMED" ]; then
    if [ -e "$RECOVERED" ]; then wait_until_ready; fi
  elif [ -n "$others" ] && [ -n "$(members "$others")" ]; then
    wait_until_ready
  fi
}

# trust_has_expired: so has every CA that the process has loaded. No handshake with it succeeds any more, nobody's.
trust_has_expired() {
  local end last=0
  save_last_good
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
  info "restarting etcd: the CA that it trusts has expired"
  install_files
  systemctl restart --no-block etcd.service
  record_loaded_config
}
