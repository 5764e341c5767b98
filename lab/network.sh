# shellcheck shell=bash
# The operator's network namespace: a bridge with the hosts on it and no way out of the machine.
# A process holds the namespace, so nothing is pinned anywhere when the process is gone.

OPERATOR_ADDRESS=192.168.1.1
BRIDGE=lab0

# Sets OPERATOR_PID, or returns 1 when there is no operator namespace. Only the mark tells that the
# process has left the machine's own namespace, where nothing of the lab may ever go.
find_operator() {
  find_part operator || return 1
  OPERATOR_PID=${PIDS[0]}
  [[ $(cat "$RUN_DIR/operator" 2>/dev/null) == "$OPERATOR_PID" ]]
}

require_operator() {
  find_operator || die "the lab \"$LAB_NAME\" is not up: npm run lab -- up"
}

in_operator() { nsenter --net="/proc/$OPERATOR_PID/ns/net" -- "$@"; }

start_operator() {
  local tries
  rm -f "$STATE"/{cuts,repository-cuts} "$RUN_DIR/operator"
  spawn operator "$STATE/logs/operator.log" env -i PATH="$PATH" HOME="$HOME" LAB_NAME="$LAB_NAME" \
    unshare --net -- bash "$LAB_SOURCE/operator-main.sh"
  for ((tries = 0; tries < 100; tries++)); do
    ! find_operator || return 0
    sleep 0.02
  done
  die "the operator namespace does not come up, see $STATE/logs/operator.log"
}

# await_server PART PORT: until that part of the lab takes connections on the operator's address.
await_server() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    # shellcheck disable=SC2016 # the inner shell's own arguments
    in_operator bash -c ': <"/dev/tcp/$1/$2"' - "$OPERATOR_ADDRESS" "$2" 2>/dev/null && return 0
    # It may not have entered its group yet.
    ((tries < 20)) || find_part "$1" || break
    sleep 0.05
  done
  die "the lab's $1 does not answer, see $STATE/logs/$1.log"
}

# cut_hosts HOST...: nothing passes between these hosts and all others any more. The operator is
# the bridge itself, so its own traffic is not forwarded and stays.
cut_hosts() {
  printf '%s\n' "$*" >>"$STATE/cuts"
  load_cuts
}

# cut_server PORT HOST...: what these hosts send to that port of the operator's is dropped.
cut_server() {
  printf '%s\n' "$*" >>"$STATE/repository-cuts"
  load_cuts
}

heal_hosts() {
  rm -f "$STATE"/{cuts,repository-cuts}
  load_cuts
}

host_is_cut() { [[ -f $STATE/cuts ]] && grep -qw -- "$1" "$STATE/cuts"; }

# The whole table is replaced in one transaction, outside the hosts' own namespaces, where no rule
# of theirs can meet it. The hosts' ends of the bridge bear the hosts' names.
load_cuts() {
  local line ports port
  {
    printf 'table bridge lab\ndelete table bridge lab\n'
    printf 'table bridge lab {\n chain cuts {\n  type filter hook forward priority 0\n'
    if [[ -f $STATE/cuts ]]; then
      while read -r line; do
        ports="{ ${line// /, } }"
        printf '  iifname %s oifname != %s drop\n' "$ports" "$ports"
        printf '  iifname != %s oifname %s drop\n' "$ports" "$ports"
      done <"$STATE/cuts"
    fi
    printf ' }\n chain server-cuts {\n  type filter hook input priority 0\n'
    if [[ -f $STATE/repository-cuts ]]; then
      while read -r port line; do
        printf '  iifname { %s } tcp dport %s drop\n' "${line// /, }" "$port"
      done <"$STATE/repository-cuts"
    fi
    printf ' }\n}\n'
  } | in_operator nft -f -
}
