#!/usr/bin/env bash
# How etcd's member list is read. Anyone with the client certificate can write into it, and each member its own name: what is in it is
# one grammar or is not used at all.

# member_list ENDPOINTS: a line each: ID NAME PEER_URLS LEARNER STARTED (see members), or "foreign WORDS" about a member that
# nothing here may handle. Fails when no quorum answers.
member_list() {
  local words
  # Of etcdctl's formats the one in which no name can pass for a line of another field: Go quotes it.
  words=$(etcdctl_as_client --endpoints "$1" --command-timeout 5s member list --write-out fields 2>/dev/null) || return 1
  read_members <<<"$words"
}

read_members() {
  local line id="" name="" learner started=no
  local -a peers=()
  while IFS= read -r line; do
    case $line in
      '"ID" : '*) id=${line#* : } name="" peers=() started=no ;;
      '"Name" : '*) name=${line#* : } ;;
      '"PeerURL" : '*) peers+=("${line#* : }") ;;
      '"ClientURL" : '*) started=yes ;;
      # The last field of a member.
      '"IsLearner" : '*)
        learner=${line#* : }
        member_line "$id" "$name" "$learner" "$started" "${peers[@]}"
        ;;
    esac
  done
}

# member_line ID NAME LEARNER STARTED PEER_URL...: as etcdctl prints them, name and URLs in Go's quotes. A name or URL with
# something else than these characters has escapes in it, or is not one that this program gives a member.
member_line() {
  local id name learner=$3 started=$4 peer list=""
  [[ $1 =~ ^[0-9]{1,20}$ && $learner =~ ^(true|false)$ ]] || { echo "foreign cannot parse etcdctl's member list: $(shortened "$1 $learner")"; return; }
  printf -v id '%x' "$1"
  [[ $2 =~ ^\"([A-Za-z0-9._][A-Za-z0-9._-]{0,254})?\"$ ]] || {
    foreign_member "$id" "name $(shortened "$2")" "start it with another --name"
    return
  }
  name=${BASH_REMATCH[1]:--}
  shift 4
  # Without one it is not a member that anybody could reach.
  [ $# -gt 0 ] || set -- ""
  for peer in "$@"; do
    [[ $peer =~ ^\"(https://([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5})\"$ ]] || {
      foreign_member "$id" "peer URL $(shortened "${peer:-\"\"}")" "correct it (npm run etcdctl -- member update $id --peer-urls https://ADDRESS:2380)"
      return
    }
    list=${list:+$list,}${BASH_REMATCH[1]}
  done
  printf '%s %s %s %s %s\n' "$id" "$name" "$list" "$learner" "$started"
}

foreign_member() {
  echo "foreign member $1 of the cluster has the $2, which this program cannot handle; $3, or remove it (npm run etcdctl -- member remove $1)"
}

# shortened TEXT: enough of it to know it by.
shortened() {
  local text=$1
  if [ "${#text}" -gt 120 ]; then text=${text:0:120}...; fi
  printable <<<"$text"
}
