#!/usr/bin/env bash
# What a host can ask of the cluster: the live member list, who leads, who is healthy. Used by the steps that change it.

LOCAL=https://127.0.0.1:2379
# For messages.
export NO_QUORUM="the cluster has no quorum; start the members that are down, or restore the network between them (port 2380), and run pulumi up again"
export NO_ANSWER="etcd runs on this host but does not answer on https://127.0.0.1:2379; check journalctl --unit etcd, and run pulumi up again"

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
  # shellcheck disable=SC2016 # the inner shell's own arguments
  timeout 1 bash -p -c ': <"/dev/tcp/$1/$2"' - "${host%]}" "${1##*:}" 2>/dev/null
}

# reachable_others: those of the neighbours' endpoints that accept connections, comma separated; empty when none does.
reachable_others() {
  local endpoint found=
  while read -r endpoint; do
    if answers "$endpoint"; then found=${found:+$found,}$endpoint; fi
  done < <(endpoints_of_others)
  printf '%s' "$found"
}

# members ENDPOINTS: the live list, a line each: ID NAME PEER_URLS LEARNER STARTED. NAME is "-" where the list has none,
# STARTED is yes or no: a member publishes its client URLs when it is up for the first time.
# Fails when no quorum answers: the list is read through the leader. A member that is none this program can handle
# (member-list.sh) ends the whole step, whatever the caller makes of a failure: nobody takes such a list for none.
members() {
  local list foreign
  list=$(member_list "$1") || return 1
  foreign=$(sed -n 's/^foreign //p' <<<"$list")
  [ -z "$foreign" ] || end_step "$foreign"
  printf '%s\n' "$list"
}

# status_field ENDPOINT FIELD: one value of the endpoint's status as etcdctl prints it with --write-out fields; IDs in hex.
# Fails when the endpoint does not answer, or says something else than such a field can be.
status_field() {
  local line value=
  while IFS= read -r line; do
    # The first: a member's own list of errors comes later and may have lines of its own.
    case $line in "\"$2\" : "*) value=${value:-${line#* : }} ;; esac
  done < <(etcdctl_as_client --endpoints "$1" --command-timeout 3s endpoint status --write-out fields 2>/dev/null)
  value=${value#\"}
  value=${value%\"}
  # Callers calculate with it.
  case $2 in
    *Version) [[ $value =~ ^[0-9]{1,5}(\.[0-9]{1,5}){2}([-+][0-9A-Za-z.+-]{1,40})?$ ]] && printf '%s' "$value" ;;
    Is* | *Enabled) [[ $value =~ ^(true|false)$ ]] && printf '%s' "$value" ;;
    *ID | Leader) [[ $value =~ ^[0-9]{1,20}$ ]] && printf '%x' "$value" ;;
    *) [[ $value =~ ^(0|[1-9][0-9]{0,19})$ ]] && printf '%s' "$value" ;;
  esac
}

# one_cluster ENDPOINTS: all of them that have a leader are of one cluster; else it says which are of which, and fails. An empty host joins
# whatever answers, so nobody may be able to pass his own for it.
one_cluster() {
  local endpoint cluster leader first="" at=""
  while read -r endpoint; do
    if ! cluster=$(status_field "$endpoint" ClusterID) || ! leader=$(status_field "$endpoint" Leader) || [ "$leader" = 0 ]; then continue; fi
    if [ -n "$first" ] && [ "$cluster" != "$first" ]; then
      echo "$at is in cluster $first, and $endpoint in cluster $cluster"
      return 1
    fi
    first=$cluster at=${at:-$endpoint}
  done < <(tr , '\n' <<<"$1")
}

# healthy ENDPOINT: a linearizable read through this member succeeds. etcdctl calls nobody healthy while an alarm is raised
# anywhere, and says so after the same read.
healthy() {
  local words
  words=$(etcdctl_as_client --endpoints "$1" --command-timeout 3s endpoint health 2>&1) || [[ $words == *"Active Alarm(s)"* ]]
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

# etcd_refuses ENDPOINTS WORDS: of a change of the members, whose words stand above. It allows none that a member which is down stands in
# the way of.
etcd_refuses() {
  local sick
  sick=$(sick_others "$1" - 2>/dev/null | paste -sd ' ' -) || true
  if [ -n "$sick" ]; then fail "etcd refuses to $2; unhealthy: $sick; start that first, and run pulumi up again"; fi
  fail "etcd refuses to $2; its reason is above: resolve that, and run pulumi up again"
}

# refused_client ENDPOINTS: how it comes that etcd lets this program change no members; nothing when it does. Where somebody has switched
# etcd's own users on, they go by the name in the client certificate. The question writes nothing and asks that member alone.
refused_client() {
  local words
  words=$(etcdctl_as_client --endpoints "$1" --command-timeout 3s get etcd-on-pulumi --consistency s --keys-only 2>&1) || case $words in
    *"permission denied"* | *"user name not found"* | *"user name is empty"*)
      echo "etcd's authentication is enabled, and its user client, whose name is in this program's client certificate, lacks the role root; run npm run etcdctl -- --user root user add client --no-password, and npm run etcdctl -- --user root user grant-role client root (or npm run etcdctl -- --user root auth disable)"
      ;;
  esac
}

# refuse_unauthorised ENDPOINTS: before the members are changed.
refuse_unauthorised() {
  local words
  words=$(refused_client "$1")
  [ -z "$words" ] || fail "nothing was changed, because $words"
}

# transfer_leadership_if_leader ID: if member ID leads, another voter takes over first, so that the cluster has one short election at most.
transfer_leadership_if_leader() {
  if [ "$(status_field "$LOCAL" Leader)" != "$1" ]; then return; fi
  move_leader "$LOCAL" < <(transfer_targets "$1")
}

# move_leader ENDPOINT: from the leader there to the first member on standard input, a line "ID NAME" each, that takes it over.
move_leader() {
  local id name words=
  while read -r id name; do
    if words=$(etcdctl_as_client --endpoints "$1" move-leader "$id" 2>&1 </dev/null); then
      info "leadership transferred to $name"
      return
    fi
  done
  # etcd tries once more by itself when it stops.
  if [ -n "$words" ]; then info "leadership transfer failed: $words"; fi
}

# transfer_targets ID: started voters other than ID, in the order in which the nodes are worked on: a roll has reached the first ones.
transfer_targets() {
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
    [ "$?" -ne "$ENDED" ] || exit "$ENDED"
    if [ "$SECONDS" -ge "$deadline" ]; then
      printf '%s\n' "$output" | printable >&2
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
  while IFS= read -r -d '' word; do printf '%s\n' "${word//[[:cntrl:]]/?}"; done <"/proc/$1/cmdline"
  while IFS= read -r -d '' word; do
    case $word in
      ETCD_INITIAL_*) ;;
      ETCD_* | GO*) printf '%s\n' "${word//[[:cntrl:]]/?}" ;;
    esac
  done <"/proc/$1/environ"
}

# process_differences PID BINARY: in which words the running etcd differs from the one that the last start by this program made
# ready: somebody started it with other files since. Its binary is BINARY, or that of a release that was installed anew since.
process_differences() {
  local word release
  local -A told=() given=()
  [ -e "$PROCESS" ] && [ -e "/proc/$1/exe" ] || return 0
  # With something in front: bash takes no empty word for a key.
  while IFS= read -r word; do told["=$word"]=yes; done <"$PROCESS"
  while IFS= read -r word; do given["=$word"]=yes; done < <(process_of "$1" 2>/dev/null)
  # It ended just now, which shows elsewhere.
  [ "${#given[@]}" -gt 0 ] || return 0
  for word in "${!given[@]}"; do [ -n "${told[$word]-}" ] || echo "etcd runs with ${word:1:400}"; done
  for word in "${!told[@]}"; do [ -n "${given[$word]-}" ] || echo "etcd runs without ${word:1:400}"; done
  if [ ! "/proc/$1/exe" -ef "$2" ]; then
    release=$(dirname "$(readlink "/proc/$1/exe")")
    case $release in
      "$RELEASES"/v*) ;;
      *) echo "etcd runs from $release"; return ;;
    esac
    if [ -e "$release/manifest" ] && ! grep -qsF -e " $(stat -L -c 'size-%s-changed-%Y' "/proc/$1/exe") " "$release/manifest"; then
      echo "etcd runs from a binary that was replaced"
    fi
  fi
}

# unit_property NAME [UNIT]
unit_property() { systemctl show --property "$1" --value "${2:-etcd.service}"; }
