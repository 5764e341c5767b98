#!/usr/bin/env bash
# Step "health": the gate. Waits until this host's member is ready, then says on standard output how it sees the cluster;
# the program compares the views of all members. Takes MARK NODE PKI VERSION, and of the step install NODES FIREWALL CLIENT_NETWORKS
# MANAGE_HOSTS METRICS_PORTS: members that have left are no longer let in.

export STEP_RECEIPTS="" STEP_MODES="gate?"
# As wait.sh takes them.
export READY_SECONDS=60 WAIT_LIMIT=480
# For a member that was cut off a moment ago to be heard again, and told who leads: etcd's peers give a dead connection five seconds.
AGREE_SECONDS=15

apply() {
  local status alarms learners list surplus
  read_revision "$1"
  doing "waiting for its member"
  wait_until_ready
  trap report_if_stopped EXIT
  doing "checking the cluster as its member sees it"
  list=$(retry 15 members "$LOCAL") || fail "$NO_QUORUM"
  surplus=$(surplus_members "$list")
  if [ -n "$surplus" ]; then
    if is_coordinator; then take_out "$list" "$surplus"; fi
    list=$(members "$LOCAL") || true
  fi
  # A member that has just become ready publishes itself a moment later.
  begin_wait
  until [ -n "$list" ] && [[ $list$'\n' != *" no"$'\n'* ]] && as_configured "$list"; do
    if ! may_wait "$READY_SECONDS" list_moves; then
      fail "the member list is not the configured one, with every member started: $(awk '{ print $2, $3, ($5 == "no" ? "unstarted" : "started") }' <<<"$list" | paste -sd ';' -)"
    fi
    sleep 0.1
    list=$(members "$LOCAL") || list=
  done
  if is_coordinator; then
    settle_corrupt "$list"
    refuse_differing "$list"
  fi
  # The member that speaks for all may be at it.
  alarms=$(retry "$AGREE_SECONDS" no_alarm "$list" 2>&1) || fail "$alarms"
  accepts_writes
  learners=$(awk '$4 == "true" { print $2 }' <<<"$list")
  if [ -n "$learners" ]; then fail "$learners is still a learner; run pulumi up again, which promotes it"; fi
  if [ "$FIREWALL" = yes ]; then
    doing "removing former members from the packet filter"
    narrow_firewall
    doing "checking the cluster as its member sees it"
  fi
  # Also one that has moved publishes where its clients find it a moment later.
  status=$(retry "$AGREE_SECONDS" agreed_status 2>&1) || fail "$status; check etcd and the network there, and run pulumi up again"
  if [ "$(status_values Version)" != "$VERSION" ]; then fail "runs etcd $(status_values Version), expected $VERSION"; fi
  version_settled
  keep_process
  rm -f "$STATE/changing"
  keep_host
  keep_identity "$(printf %x "$(status_values ClusterID)")" "$list"
  begin_first_backup
  begin_answer
  printf 'cluster %x\nversion %s\n' "$(status_values ClusterID)" "$VERSION"
  awk '{ print "peer", $1, $2, $3 }' <<<"$list" | sort
  end_answer
  trap - EXIT
}

# report_if_stopped: of a gate that fails because its own member ended meanwhile: what failed is only that nobody answers.
report_if_stopped() {
  local active
  active=$(unit_property ActiveState)
  if [ "$active" != active ]; then
    info "etcd was ready on this host and has stopped since (unit $active); find the reason and run pulumi up again; its last lines:"$'\n'"$(why etcd.service)"
  fi
}

# list_moves: for may_wait.
list_moves() { sees "$list"; }

# no_alarm LIST: says what is raised, and fails.
no_alarm() {
  local raised corrupt
  raised=$(alarms "$LOCAL") || { echo "cannot read the alarms, because $NO_QUORUM" && return 1; }
  [ -n "$raised" ] || return 0
  corrupt=$(live_corrupt "$raised" "$1")
  if [ -n "$corrupt" ]; then
    rebuild_words "$corrupt" "$1"
  else
    echo "the alarm $(alarm_words "$raised" "$1") is still raised; run pulumi up again when all members are healthy and have the configured quota"
  fi
  return 1
}

# refuse_differing LIST: one hashes for all. Data that cannot be compared now is no reason to fail.
refuse_differing() {
  local differs
  if [ "$(wc -l <<<"$1")" -gt 1 ] && differs=$(differing "$1") && [ -n "$differs" ]; then
    fail "$(rebuild_words "$(cut -d ' ' -f 1 <<<"$differs")" "$1")"
  fi
}

# accepts_writes: a lease is written as a key is, and leaves none.
accepts_writes() {
  local words lease
  words=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 10s lease grant 60 2>&1) ||
    fail "its member does not accept writes: $(tail -n 1 <<<"$words"); run pulumi up again, which clears an alarm whose cause is gone"
  lease=$(sed -n 's/^lease \([0-9a-f]*\) granted.*/\1/p' <<<"$words")
  if [ -n "$lease" ]; then etcdctl_as_client --endpoints "$LOCAL" --command-timeout 10s lease revoke "$lease" >/dev/null 2>&1 || true; fi
}

# version_settled: the cluster speaks the series that all members run. At the end of a downgrade etcd leaves that mode within
# seconds by itself; from 3.6 on it can be told to, and one that is left over from a change of mind must be.
version_settled() {
  local series
  series=$(minor "$VERSION")
  if ! settled "$series"; then
    if [ "$series" != 3.5 ] && downgrading && is_coordinator; then end_downgrade "$series"; fi
    settle "$series"
  fi
  rm -f "$VERSION_SNAPSHOT"
}

# end_downgrade SERIES: all members run it.
end_downgrade() {
  local target
  target=$(status_field "$LOCAL" DowngradeTargetVersion) || target=
  if [ "$target" != "" ] && [ "$(minor "$target")" = "$1" ]; then
    cancel_downgrade "the downgrade to $1 is complete"
  else
    cancel_downgrade "$CHANGE_OF_MIND"
  fi
}

# keep_process: what this host's etcd was told, once it has proved itself; a start by somebody else does not count.
keep_process() {
  local pid
  pid=$(unit_property MainPID)
  if [ ! -e "$PROCESS" ] && [ -e "/proc/$pid/exe" ]; then process_of "$pid" | install_file 0600 root:root "$PROCESS"; fi
}

configured_addresses() { awk 'NF == 2 { print $2 }' <<<"$NODES"; }

as_configured() {
  [ "$(awk '{ print $3 }' <<<"$1" | sort)" = "$(configured_addresses | peer_urls | sort)" ]
}

# is_coordinator: of the configured members the first healthy one speaks for all; the others wait for what it does.
is_coordinator() {
  local name peers
  while read -r name peers; do
    if [ "$name" = "$NODE" ]; then return 0; fi
    if healthy "$(client_url "$peers")"; then return 1; fi
  done < <(members_at "$(members "$LOCAL" | sort)" < <(configured_addresses) | awk '{ print $2, $3 }')
  return 1
}

# status_values NAME: the values of a field of the status, one for each member, without repetition.
status_values() {
  local line value seen=$'\n'
  while IFS= read -r line; do
    case $line in "\"$1\" : "*) ;; *) continue ;; esac
    value=${line#* : }
    value=${value#\"}
    value=${value%\"}
    case $seen in *$'\n'"$value"$'\n'*) ;; *) seen=$seen$value$'\n' ;; esac
  done <<<"$status"
  seen=${seen#$'\n'}
  printf '%s' "${seen%$'\n'}"
}

# agreed_status: the status of every member, when all say the same of the cluster; else it says why not, and fails.
agreed_status() {
  local status
  if ! status=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 10s endpoint status --cluster --write-out fields 2>&1); then
    echo "cannot ask every member for its status: $(grep -vE '^("|\{|$)' <<<"$status" | paste -sd ' ' -)"
    return 1
  fi
  status_agrees ClusterID "cluster ID" && status_agrees Leader leader && status_agrees Version version && printf '%s\n' "$status"
}

# status_agrees NAME WORDS: all members agree on a field of the status.
status_agrees() {
  local values
  values=$(status_values "$1")
  if [ -z "$values" ] || [ "$values" = 0 ] || [[ $values == *$'\n'* ]]; then
    echo "the members disagree about the $2: $(sort <<<"$values" | paste -sd ' ' -)"
    return 1
  fi
}
