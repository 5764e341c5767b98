#!/usr/bin/env bash
# etcdctl of a paper cluster. Keeps a list of its calls ("ENDPOINTS: WORDS") in /var/paper/etcdctl and answers from files beside it:
#   members      the list as etcdctl prints it in its simple format; absent: no quorum answers
#   members-fields   what it prints with --write-out fields, instead
#   self         ID of the member on this host        leader    ID of the one that leads
#   sick         client URLs that do not answer       alarms    as etcdctl prints them
#   field-ID-NAME   a value in member ID's status instead of the usual one
#   downgradable    the series that the cluster may go down to; see curl.sh for more of these
#   behind       learners are not in sync yet
#   refuses      lines "WORDS": calls that begin so fail
#   needed       bytes that are left of every database after a compaction and a defragmentation
#   users        its authentication is on, and knows no user "client"
#   lost         the answer to the next addition gets lost
#   hash-ID      what member ID's data hashes to, instead of the usual one
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
  printf '"Version" : "%s"\n' "$(value Version 3.6.14)"
  printf '"IsLearner" : %s\n' "$(awk -F ', ' -v id="$id" '$1 == id { print $6 }' members)"
  printf '"Leader" : %s\n' "$(value Leader "$(printf %d "0x$(cat leader)")")"
  printf '"DBSize" : %s\n"DBSizeInUse" : %s\n' "$(value DBSize 1048576)" "$(cat needed 2>/dev/null || echo 20480)"
  printf '"DBSizeQuota" : %s\n' "$(value DBSizeQuota 2147483648)"
  printf '"Revision" : %s\n"Errors" : [%s]\n' "$(value Revision 7)" "$(paste -sd ' ' alarms 2>/dev/null)"
  printf '"DowngradeTargetVersion" : "%s"\n' "$(cat downgrading 2>/dev/null)"
  printf '"RaftIndex" : %s\n"RaftAppliedIndex" : %s\n' "$(value RaftIndex 9)" "$(value RaftAppliedIndex 9)"
}

# list: the members as etcdctl prints them with --write-out fields.
list() {
  local id name peers client learner
  [ "$format" = fields ] || refuse "unexpected format $format"
  printf '"ClusterID" : 51966\n"MemberID" : 161\n"RaftTerm" : 2\n'
  while IFS='|' read -r id name peers client learner; do
    if [ -z "$id" ]; then continue; fi
    printf '"ID" : %d\n"Name" : "%s"\n' "0x$id" "$name"
    while read -r url; do printf '"PeerURL" : "%s"\n' "$url"; done <<<"${peers//,/$'\n'}"
    if [ -n "$client" ]; then printf '"ClientURL" : "%s"\n' "$client"; fi
    printf '"IsLearner" : %s\n\n' "$learner"
  done < <(awk -F ', ' -v OFS='|' '{ print $1, $3, $4, $5, $6 }' members)
}

quorum() { [ -e members ] || refuse 'context deadline exceeded'; }

case $call in
  'member list')
    quorum
    if [ -e members-fields ]; then cat members-fields; else list; fi
    ;;
  'member remove '*)
    quorum
    grep -q "^${words[2]}, " members || refuse 'etcdserver: member not found'
    sed -i "/^${words[2]}, /d" members
    if [ "$(cat leader)" = "${words[2]}" ]; then head -n 1 members | cut -d , -f 1 >leader; fi
    ;;
  'get '*)
    [ ! -e users ] || refuse 'etcdserver: permission denied'
    ;;
  'member add '*)
    quorum
    ! grep -qF ", ${words[5]}, " members || refuse 'etcdserver: Peer URLs already exists'
    echo "f00d, unstarted, , ${words[5]}, , true" >>members
    if [ -e lost ]; then
      rm lost
      refuse 'context deadline exceeded'
    fi
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
  'endpoint health')
    unhealthy=
    for endpoint in ${endpoints//,/ }; do
      if answers "$endpoint" && [ -s alarms ]; then
        echo "$endpoint is unhealthy: failed to commit proposal: Active Alarm(s): $(sed 's/.*alarm://' alarms | paste -sd ' ' -)" >&2
        unhealthy=yes
      elif answers "$endpoint"; then
        echo "$endpoint is healthy: successfully committed proposal: took = 1ms"
      else
        echo "$endpoint is unhealthy: failed to commit proposal: context deadline exceeded" >&2
        unhealthy=yes
      fi
    done
    [ -z "$unhealthy" ] || refuse 'unhealthy cluster'
    ;;
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
  'endpoint hashkv --rev '*)
    answers "$endpoints" || refuse 'context deadline exceeded'
    printf '[{"Endpoint":"x","HashKV":{"header":{},"hash":%s,"compact_revision":%s}}]\n' \
      "$(cat "hash-$(member_at "$endpoints")" 2>/dev/null || echo 77)" "$(cat "compacted-$(member_at "$endpoints")" 2>/dev/null || echo -1)"
    ;;
  'alarm list')
    quorum
    cat alarms 2>/dev/null || true
    ;;
  'alarm disarm') rm -f alarms ;;
  'downgrade validate '*)
    [ ! -e downgrading ] || refuse 'etcdserver: cluster has a downgrade job in progress'
    [ "$(cat downgradable 2>/dev/null)" = "${words[2]}" ] || refuse 'etcdserver: invalid downgrade target version'
    ;;
  'downgrade enable '*)
    echo "${words[2]}" | tee downgrading cluster-version >storage-version
    ;;
  'downgrade cancel') rm -f downgrading ;;
  'snapshot save '*)
    # With its digest behind it, as etcd does.
    digest=$(echo snapshot | sha256sum | cut -c 1-64)
    echo snapshot >"${words[2]}"
    printf '%b' "$(printf '%s' "$digest" | sed 's/../\\x&/g')" >>"${words[2]}"
    ;;
  'compaction '*) [ ! -e alarms ] || ! grep -q CORRUPT alarms || refuse 'etcdserver: corrupt cluster' ;;
  defrag)
    answers "$endpoints" || refuse 'context deadline exceeded'
    if [ -e needed ]; then cp needed "field-$(member_at "$endpoints")-DBSize"; fi
    ;;
  'lease grant '*)
    [ ! -s alarms ] || refuse 'failed to grant lease (etcdserver: mvcc: database space exceeded)'
    echo 'lease 6d70a21bb97e183c granted with TTL(60s)'
    ;;
  'lease revoke '*) ;;
  *) refuse "unknown call $call" ;;
esac
