#!/usr/bin/env bash
# Step «health»: the gate. Waits until this host's member is ready, then says on standard output how it sees the cluster;
# the program compares the views of all members. Takes NODE PKI VERSION and the host step's NODES FIREWALL CLIENT_NETWORKS
# MANAGE_HOSTS: members that have left are no longer let in.

READY_SECONDS=60
# For a member that was cut off a moment ago to be heard again, and told who leads: etcd's peers give a dead connection five seconds.
AGREE_SECONDS=15

apply() {
  local status alarms learners list surplus deadline=$((SECONDS + READY_SECONDS))
  wait_until_ready "$READY_SECONDS"
  list=$(retry 15 members "$LOCAL") || fail "no quorum of the cluster answers"
  surplus=$(surplus_members "$list")
  if [ -n "$surplus" ]; then
    if in_the_chair; then take_out "$list" "$surplus"; fi
    list=$(members "$LOCAL") || true
  fi
  # A member that has just become ready publishes itself a moment later.
  until [ -n "$list" ] && [[ $list$'\n' != *" no"$'\n'* ]] && as_configured "$list"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "the members are not the configured ones, all of them started: $(awk '{ print $2, $3, ($5 == "no" ? "never started" : "started") }' <<<"$list" | paste -sd ';' -)"
    fi
    sleep 0.1
    list=$(members "$LOCAL") || list=
  done
  alarms=$(etcdctl_as_client --endpoints "$LOCAL" alarm list) || fail "cannot read the alarms"
  if [ -n "$alarms" ]; then
    fail "the cluster has an alarm: $alarms; see https://etcd.io/docs on how to clear it"
  fi
  learners=$(awk '$4 == "true" { print $2 }' <<<"$list")
  if [ -n "$learners" ]; then fail "$learners is still a learner"; fi
  if [ "$FIREWALL" = yes ]; then narrow_firewall; fi
  # Also one that has moved publishes where its clients find it a moment later.
  status=$(retry "$AGREE_SECONDS" agreed_status 2>&1) || fail "$status"
  if [ "$(field Version)" != "$VERSION" ]; then fail "runs etcd $(field Version), expected $VERSION"; fi
  version_settled
  keep_process
  rm -f "$STATE/changing"
  keep_identity "$(printf %x "$(field ClusterID)")" "$list"
  printf 'cluster %x\nversion %s\n' "$(field ClusterID)" "$VERSION"
  awk '{ print "peer", $1, $2, $3 }' <<<"$list" | sort
}

# version_settled: the cluster speaks the series that all members run. At the end of a downgrade etcd leaves that mode within
# seconds by itself; from 3.6 on it can be told to, and one that is left over from a change of mind must be.
version_settled() {
  local series
  series=$(minor "$VERSION")
  if ! settled "$series"; then
    if [ "$series" != 3.5 ] && downgrading && in_the_chair; then cancel_downgrade; fi
    settle "$series"
  fi
  rm -f "$VERSION_SNAPSHOT"
}

# keep_process: what this host's etcd was told, once it has proved itself; a start by somebody else does not count.
keep_process() {
  local pid
  pid=$(unit_property MainPID)
  if [ ! -e "$PROCESS" ] && [ -e "/proc/$pid/exe" ]; then process_of "$pid" | put 0600 root:root "$PROCESS"; fi
}

configured_addresses() { awk 'NF == 2 { print $2 }' <<<"$NODES"; }

as_configured() {
  [ "$(awk '{ print $3 }' <<<"$1" | sort)" = "$(configured_addresses | peer_urls | sort)" ]
}

# in_the_chair: of the configured members the first healthy one speaks for all; the others wait for what it does.
in_the_chair() {
  local name peers
  while read -r name peers; do
    if [ "$name" = "$NODE" ]; then return 0; fi
    if healthy "$(client_url "$peers")"; then return 1; fi
  done < <(members_at "$(members "$LOCAL" | sort)" < <(configured_addresses) | awk '{ print $2, $3 }')
  return 1
}

# field NAME: the values of a field of the status, one for each member, without repetition.
field() {
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
  one ClusterID "cluster ID" && one Leader leader && one Version version && printf '%s\n' "$status"
}

# one NAME WORDS: all members agree on a field of the status.
one() {
  local values
  values=$(field "$1")
  if [ -z "$values" ] || [ "$values" = 0 ] || [[ $values == *$'\n'* ]]; then
    echo "the members disagree about the $2: $(sort <<<"$values" | paste -sd ' ' -)"
    return 1
  fi
}

# Nothing was left behind, so nothing is to be taken away.
remove() { :; }
