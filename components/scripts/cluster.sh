#!/usr/bin/env bash
# What a host can ask of the cluster: the live member list, who leads, who is healthy. Used by the steps that change it.

LOCAL=https://127.0.0.1:2379

# own_address: ADDRESS as the kernel spells it, if one of this host's interfaces has it; else nothing.
# shellcheck disable=SC2153 # ADDRESS is a value, address a neighbour's
own_address() { ip -o route get "$ADDRESS" 2>/dev/null | sed -n 's/^local \([^ ]*\) .*/\1/p' || true; }

# endpoints_of_others: client endpoints of the configured neighbours, one a line.
endpoints_of_others() {
  local name address
  while read -r name address; do
    if [ -n "$name" ] && [ "$name" != "$NODE" ]; then url "$address" 2379; echo; fi
  done <"$STATE/nodes"
}

# answers ENDPOINT: does anything accept connections there? Refused or silent within a second: no.
answers() {
  local host=${1#https://}
  host=${host%:*}
  host=${host#[}
  timeout 1 bash -c ": </dev/tcp/${host%]}/${1##*:}" 2>/dev/null
}

# reachable_others: those of the neighbours' endpoints that accept connections, comma separated; empty when none does.
reachable_others() {
  local endpoint found=
  while read -r endpoint; do
    if answers "$endpoint"; then found=${found:+$found,}$endpoint; fi
  done < <(endpoints_of_others)
  printf '%s' "$found"
}

# members ENDPOINTS: the live list, a line each: ID NAME PEER_URLS LEARNER STARTED. NAME is «-» where the list has none,
# STARTED is yes or no: a member publishes its client URLs when it is up for the first time.
# Fails when no quorum answers: the list is read through the leader.
members() {
  etcdctl_as_client --endpoints "$1" --command-timeout 5s member list 2>/dev/null |
    awk -F ', ' '{ print $1, ($3 == "" ? "-" : $3), $4, $6, ($5 == "" ? "no" : "yes") }'
}

# status_field ENDPOINT FIELD: one value of the endpoint's status as etcdctl prints it with --write-out fields; IDs in hex.
# Fails when the endpoint does not answer.
status_field() {
  local value
  value=$(etcdctl_as_client --endpoints "$1" --command-timeout 3s endpoint status --write-out fields 2>/dev/null |
    sed -n "s/^\"$2\" : \"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p")
  [ -n "$value" ] || return 1
  case $2 in
    *ID | Leader) printf '%x' "$value" ;;
    *) printf '%s' "$value" ;;
  esac
}

# healthy ENDPOINT: a linearizable read through this member succeeds and it reports no alarm.
healthy() {
  etcdctl_as_client --endpoints "$1" --command-timeout 3s endpoint health >/dev/null 2>&1
}

# client_url PEER_URLS: the client endpoint of the member with these peer URLs (ports are fixed in this program).
client_url() {
  local first=${1%%,*}
  printf '%s:2379' "${first%:*}"
}

# sick_others ENDPOINTS ID: peer URLs and names of voters other than ID that are not healthy, one a line.
sick_others() {
  local id name peers learner started
  members "$1" | while read -r id name peers learner started; do
    if [ "$id" = "$2" ] || [ "$learner" = true ]; then continue; fi
    [ "$started" = yes ] && healthy "$(client_url "$peers")" || printf '%s (%s)\n' "$name" "$peers"
  done
}

# hand_over ID: if member ID leads, another voter takes over first, so that the cluster has one short election at most.
hand_over() {
  if [ "$(status_field "$LOCAL" Leader)" != "$1" ]; then return; fi
  move_lead "$LOCAL" < <(successors "$1")
}

# move_lead ENDPOINT: from the leader there to the first member on standard input, a line «ID NAME» each, that takes it over.
move_lead() {
  local id name words=
  while read -r id name; do
    if words=$(etcdctl_as_client --endpoints "$1" move-leader "$id" 2>&1 </dev/null); then
      say "leadership handed over to $name"
      return
    fi
  done
  # etcd tries once more by itself when it stops.
  if [ -n "$words" ]; then say "nobody took over the leadership: $words"; fi
}

# successors ID: started voters other than ID, in the order in which the nodes are worked on: a roll has reached the first ones.
successors() {
  members "$LOCAL" | awk -v self="$1" '
    NR == FNR { turn[$1] = FNR; next }
    $1 != self && $4 != "true" && $5 == "yes" { print ($2 in turn ? turn[$2] : 99), $1, $2 }' "$STATE/nodes" - |
    sort -n | cut -d ' ' -f 2-
}

# remove_member ENDPOINTS ID: a removal that another run was quicker with, or whose answer got lost, is as good.
remove_member() {
  local output
  output=$(etcdctl_as_client --endpoints "$1" member remove "$2" 2>&1) || case $output in
    *"member not found"*) ;;
    *)
      printf '%s\n' "$output"
      return 1
      ;;
  esac
}

# retry SECONDS COMMAND...: until it succeeds; etcd refuses membership changes for five seconds after a disturbance
# (--strict-reconfig-check). The last refusal goes to standard error.
retry() {
  local deadline=$((SECONDS + $1)) output
  shift
  until output=$("$@" 2>&1); do
    if [ "$SECONDS" -ge "$deadline" ]; then
      printf '%s\n' "$output" >&2
      return 1
    fi
    sleep 0.25
  done
  printf '%s\n' "$output"
}

# process_of PID: what a running etcd was told, one a line: its flags, and what it takes from its environment beside them.
# What etcd reads on a first start alone is no part of it.
process_of() {
  local word
  while IFS= read -r -d '' word; do printf '%s\n' "$word"; done <"/proc/$1/cmdline"
  while IFS= read -r -d '' word; do
    case $word in
      ETCD_INITIAL_*) ;;
      ETCD_* | GO*) printf '%s\n' "$word" ;;
    esac
  done <"/proc/$1/environ"
}

# process_differences PID BINARY: in which words the running etcd differs from the one that the last start by this program made
# ready: somebody started it with other files since. Its binary is BINARY, or that of a release that was installed anew since.
process_differences() {
  local word release
  local -A told=() given=()
  [ -e "$PROCESS" ] && [ -e "/proc/$1/exe" ] || return 0
  while IFS= read -r word; do told["$word"]=yes; done <"$PROCESS"
  while IFS= read -r word; do given["$word"]=yes; done < <(process_of "$1" 2>/dev/null)
  # It ended just now, which shows elsewhere.
  [ "${#given[@]}" -gt 0 ] || return 0
  for word in "${!given[@]}"; do [ -n "${told[$word]-}" ] || echo "etcd runs with $word"; done
  for word in "${!told[@]}"; do [ -n "${given[$word]-}" ] || echo "etcd runs without $word"; done
  if [ ! "/proc/$1/exe" -ef "$2" ]; then
    release=$(dirname "$(readlink "/proc/$1/exe")")
    case $release in
      "$RELEASES"/v*) ;;
      *) echo "etcd runs from $release"; return ;;
    esac
    if [ -e "$release/manifest" ] && ! grep -qs " $(stat -L -c 'size-%s-changed-%Y' "/proc/$1/exe") " "$release/manifest"; then
      echo "etcd runs from a binary that was replaced"
    fi
  fi
}

unit_property() { systemctl show --property "$1" --value etcd.service; }

# begin_restart: returns when the old process is gone, whose unit would pass for the new one that is waited for next. A stop that
# takes longer is waited for there.
begin_restart() {
  local before deadline=$((SECONDS + 15))
  before=$(unit_property InvocationID)
  systemctl restart --no-block etcd.service
  until [ "$(unit_property InvocationID)" != "$before" ] || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.1; done
}

# wait_until_ready SECONDS: Type=notify turns the unit active when the member has a quorum and serves clients.
wait_until_ready() {
  local begin=$SECONDS idle=$SECONDS restarts active spun=no
  restarts=$(unit_property NRestarts)
  until active=$(unit_property ActiveState) && [ "$active" = active ]; do
    if [ "$SECONDS" -ge "$((begin + $1))" ]; then
      fail "etcd is not ready after $1 s (unit $active); its last lines:"$'\n'"$(journal)"
    fi
    # Inactive also between «start --no-block» and the job's beginning, and in a restart between the stop, which clients that
    # watch hold up for seven seconds, and the start.
    if [ "$active" != inactive ]; then idle=$SECONDS; fi
    if [ "$SECONDS" -ge "$((idle + 5))" ]; then
      fail "etcd is not running; its last lines:"$'\n'"$(journal)"
    fi
    if [ "$(unit_property NRestarts)" -gt "$((restarts + 1))" ]; then
      fail "etcd does not start; its last lines:"$'\n'"$(journal)"
    fi
    if [ "$spun" = no ] && [ "$SECONDS" -ge "$((begin + 20))" ] && spins; then
      spun=yes
      say "restarting etcd, which does not get past the leader's snapshot"
      begin_restart
    fi
    sleep 0.1
  done
}

# spins: etcd that was given the leader's snapshot may never get past it, and asks in vain to be published as often as it can (seen
# with 3.6.16 on a busy machine). The snapshot is on its disk by then: started again, it reads it from there.
spins() { [ "$(journal 10 | grep -c '"failed to publish local member.*too many requests')" -eq 10 ]; }
