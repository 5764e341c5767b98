#!/usr/bin/env bash
# etcdctl of a paper cluster. Keeps a list of its calls («ENDPOINTS: WORDS») in /var/paper/etcdctl and answers from files beside it:
#   members      the list as etcdctl prints it; absent: no quorum answers
#   self         ID of the member on this host        leader    ID of the one that leads
#   sick         client URLs that do not answer       alarms    as etcdctl prints them
#   field-ID-NAME   a value in member ID's status instead of the usual one
#   downgradable    the series that the cluster may go down to; see curl.sh for more of these
#   behind       learners are not in sync yet
#   refuses      lines «WORDS»: calls that begin so fail
set -euo pipefail
cd /var/paper

endpoints='' format=simple all=no words=()
while [ $# -gt 0 ]; do
  case $1 in
    --cacert | --cert | --key | --command-timeout) shift ;;
    --endpoints) endpoints=$2 && shift ;;
    --write-out) format=$2 && shift ;;
    --cluster) all=yes ;;
    *) words+=("$1") ;;
  esac
  shift
done
call=${words[*]}
printf '%s: %s\n' "$endpoints" "$call" >>etcdctl

refuse() {
  echo "Error: $*" >&2
  exit 1
}

if [ -e refuses ]; then
  while read -r start; do
    case $call in "$start"*) refuse "etcdserver: refused $start" ;; esac
  done <refuses
fi

# member_at CLIENT_URL: its ID.
member_at() {
  case $1 in
    https://127.0.0.1:2379) cat self ;;
    *) awk -F ', ' -v url="$1" '$5 == url { print $1 }' members ;;
  esac
}

client_of() { awk -F ', ' -v id="$1" '$1 == id { print $5 }' members; }

answers() {
  local url=$1
  if [ "$url" = https://127.0.0.1:2379 ]; then url=$(client_of "$(cat self)"); fi
  ! grep -qxF "$url" sick 2>/dev/null
}

status() {
  local id=$1
  value() { cat "field-$id-$1" 2>/dev/null || printf '%s' "$2"; }
  printf '"ClusterID" : %s\n' "$(value ClusterID 51966)"
  printf '"MemberID" : %d\n' "0x$id"
  printf '"Version" : "%s"\n' "$(value Version 3.6.16)"
  printf '"IsLearner" : %s\n' "$(awk -F ', ' -v id="$id" '$1 == id { print $6 }' members)"
  printf '"Leader" : %s\n' "$(value Leader "$(printf %d "0x$(cat leader)")")"
  printf '"Revision" : 7\n"Errors" : []\n'
  printf '"RaftIndex" : %s\n"RaftAppliedIndex" : %s\n' "$(value RaftIndex 9)" "$(value RaftAppliedIndex 9)"
}

quorum() { [ -e members ] || refuse 'context deadline exceeded'; }

case $call in
  'member list')
    quorum
    cat members
    ;;
  'member remove '*)
    quorum
    grep -q "^${words[2]}, " members || refuse 'etcdserver: member not found'
    sed -i "/^${words[2]}, /d" members
    if [ "$(cat leader)" = "${words[2]}" ]; then head -n 1 members | cut -d , -f 1 >leader; fi
    ;;
  'member add '*)
    quorum
    echo "f00d, unstarted, , ${words[5]}, , true" >>members
    ;;
  'member update '*)
    quorum
    peer=${words[4]}
    ! grep -qF ", $peer, " members || refuse 'Peer URLs already exists'
    # It publishes where its clients find it when it starts there.
    sed -i "s|^\\(${words[2]}, [a-z]*, [^,]*\\), [^,]*|\\1, $peer|" members
    ;;
  'member promote '*)
    quorum
    [ ! -e behind ] || refuse 'etcdserver: can only promote a learner member which is in sync with leader'
    grep -q "^${words[2]}, .*, true$" members || refuse 'etcdserver: can only promote a learner member'
    sed -i "/^${words[2]}, /s/true\$/false/" members
    ;;
  'move-leader '*)
    [ "$(member_at "$endpoints")" = "$(cat leader)" ] || refuse "no leader endpoint given at [$endpoints]"
    answers "$(client_of "${words[1]}")" || refuse 'etcdserver: bad leader transferee'
    echo "${words[1]}" >leader
    ;;
  'endpoint health') answers "$endpoints" || refuse 'unhealthy cluster' ;;
  'endpoint status')
    [ "$format" = fields ] || refuse "unexpected format $format"
    if [ "$all" = yes ]; then
      quorum
      cut -d , -f 1 members | while read -r id; do status "$id"; done
    else
      answers "$endpoints" || refuse 'context deadline exceeded'
      status "$(member_at "$endpoints")"
    fi
    ;;
  'alarm list') cat alarms 2>/dev/null || true ;;
  'alarm disarm') rm -f alarms ;;
  'downgrade validate '*)
    [ ! -e downgrading ] || refuse 'etcdserver: cluster has a downgrade job in progress'
    [ "$(cat downgradable 2>/dev/null)" = "${words[2]}" ] || refuse 'etcdserver: invalid downgrade target version'
    ;;
  'downgrade enable '*)
    echo "${words[2]}" | tee downgrading cluster-version >storage-version
    ;;
  'downgrade cancel') rm -f downgrading ;;
  'snapshot save '*) echo snapshot >"${words[2]}" ;;
  'compaction '* | defrag) ;;
  *) refuse "unknown call $call" ;;
esac
