#!/usr/bin/env bash
# real-members.sh BIN VERB ...: three real etcds on the loopback of a paper host, which is etcd01: 127.0.0.1 to 127.0.0.3, with
# certificates where the scripts look for them. etcdctl keeps a list of its calls in /var/paper/calls ("ENDPOINTS: WORDS").
#   start FLAG...         makes the cluster anew; with MEMBERS=1 of one
#   learner               adds a member that never starts
#   full NUMBER           leaves no room on the disk with this member's database
#   size NUMBER...        what these databases have in all and in use, in KiB, a line each
#   values COUNT          writes so many values of 600 kB into one key; exit code 3 when one is refused
#   keys COUNT            of 40 kB each into as many
#   compact               up to the last revision
#   pause NUMBER, go NUMBER   SIGSTOP and SIGCONT
#   alarm KIND NUMBER     raises an alarm of this member
#   lead NUMBER           makes it the leader
set -euo pipefail

bin=$1 verb=$2
shift 2
pki=/etc/kubernetes/pki/etcd state=/var/lib/etcd-on-pulumi
numbers="1 2 3" cluster=etcd01=https://127.0.0.1:2380,etcd02=https://127.0.0.2:2380,etcd03=https://127.0.0.3:2380
if [ "${MEMBERS:-3}" = 1 ]; then numbers=1 cluster=${cluster%%,*}; fi

ctl() { "$bin/etcdctl" --cacert "$pki/ca.pem" --cert "$pki/client.pem" --key "$pki/client-key.pem" --endpoints "https://127.0.0.$1:2379" "${@:2}"; }
field() { ctl "$1" endpoint status --write-out fields | sed -n "s/^\"$2\" : //p" | head -n 1; }

certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$1-key.pem" -subj "/CN=$1" 2>/dev/null |
    openssl x509 -req -CA "$pki/ca.pem" -CAkey "$pki/ca-key.pem" -CAcreateserial -days 5 \
      -extfile <(echo subjectAltName=IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3) -out "$pki/$1.pem" 2>/dev/null
}

directory() { if [ "$1" = 1 ]; then echo /var/lib/etcd; else echo "/var/others/$1"; fi; }

# member NUMBER FLAG...
member() {
  local number=$1 url=https://127.0.0.$1
  shift
  setsid "$bin/etcd" --name "etcd0$number" --data-dir "$(directory "$number")" --initial-cluster "$cluster" \
    --listen-client-urls "$url:2379" --advertise-client-urls "$url:2379" \
    --listen-peer-urls "$url:2380" --initial-advertise-peer-urls "$url:2380" \
    --cert-file "$pki/server.pem" --key-file "$pki/server-key.pem" --client-cert-auth --trusted-ca-file "$pki/ca.pem" \
    --peer-cert-file "$pki/peer.pem" --peer-key-file "$pki/peer-key.pem" --peer-client-cert-auth --peer-trusted-ca-file "$pki/ca.pem" \
    "$@" </dev/null >"/var/paper/log$number" 2>&1 &
  echo $! >"/mnt/etcd-$number"
}

# One of an earlier test may still run: what a paper host is made of anew does not end it.
end_all() {
  local file
  for file in /mnt/etcd-*; do
    [ -e "$file" ] || continue
    kill -KILL "$(cat "$file")" 2>/dev/null || true
    while kill -0 "$(cat "$file")" 2>/dev/null; do sleep 0.02; done
    rm "$file"
  done
}

case $verb in
  start)
    end_all
    mkdir -p "$pki" "$state" /usr/local/bin
    # A disk of their own each, for one to be full.
    for number in $numbers; do
      mkdir -p "$(directory "$number")/member/snap"
      mount -t tmpfs -o size=64m disk "$(directory "$number")/member/snap"
    done
    if [ ! -e /mnt/pki ]; then
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/ca-key.pem" -subj /CN=ca -days 5 \
        -out "$pki/ca.pem" 2>/dev/null
      for name in client server peer; do certificate "$name"; done
      cp -a "$pki" /mnt/pki
    fi
    cp -a /mnt/pki/. "$pki"
    printf 'etcd01 127.0.0.1\netcd02 127.0.0.2\netcd03 127.0.0.3\n' >"$state/nodes"
    touch "$state/formed"
    printf 'ExecStart=/usr/local/bin/etcd \\\n  --name=x\n' >/etc/systemd/system/etcd.service
    # shellcheck disable=SC2016 # its own words
    printf '#!/bin/bash\n%s\n' 'endpoints= words=
      for word in "$@"; do
        case $previous in --endpoints) endpoints=$word ;; --cacert | --cert | --key | --command-timeout | --write-out) ;; *)
          case $word in --*) ;; *) words="$words $word" ;; esac ;;
        esac
        previous=$word
      done
      printf "%s:%s\n" "$endpoints" "$words" >>/var/paper/calls
      if [ -e /var/paper/before-call ]; then . /var/paper/before-call; fi' "exec $bin/etcdctl \"\$@\"" >/usr/local/bin/etcdctl
    chmod 0755 /usr/local/bin/etcdctl
    for number in $numbers; do member "$number" "$@"; done
    for number in $numbers; do
      for ((turn = 0; turn < 200; turn++)); do
        if ctl "$number" endpoint health >/dev/null 2>&1; then continue 2; fi
        sleep 0.1
      done
      echo "member $number does not get ready:" && tail -n 5 "/var/paper/log$number" && exit 1
    done
    ;;
  size)
    for number in "$@"; do
      ctl "$number" endpoint status --write-out json | sed 's/.*"dbSize":\([0-9]*\).*"dbSizeInUse":\([0-9]*\).*/\1 \2/' |
        awk '{ print int($1 / 1024), int($2 / 1024) }'
    done
    ;;
  values)
    head -c 450000 /dev/urandom | base64 -w 0 >/var/paper/value
    for ((turn = 0; turn < $1; turn++)); do ctl 1 put value </var/paper/value >/dev/null 2>/var/paper/refusal || exit 3; done
    ;;
  keys)
    value=$(head -c 30000 /dev/urandom | base64 -w 0)
    for ((turn = 0; turn < $1; turn += 30)); do
      { echo; for ((key = turn; key < turn + 30; key++)); do echo "put key$key $value"; done; printf '\n\n'; } |
        ctl 1 txn >/dev/null 2>/var/paper/refusal || exit 3
    done
    ;;
  compact)
    ctl 1 compaction --physical "$(field 1 Revision)" >/dev/null
    # What a member says of its free pages is from its last write but one.
    for turn in 1 2 3; do sleep 0.2 && ctl 1 put small "$turn" >/dev/null; done
    sleep 0.2
    ;;
  pause) kill -STOP "$(cat "/mnt/etcd-$1")" ;;
  go) kill -CONT "$(cat "/mnt/etcd-$1")" ;;
  end) end_all ;;
  learner) ctl 1 member add new --learner --peer-urls https://127.0.0.4:2380 >/dev/null ;;
  full) head -c 64M /dev/zero >"$(directory "$1")/member/snap/other" 2>/dev/null || true ;;
  lead)
    for other in $numbers; do
      if [ "$other" != "$1" ] && ctl "$other" move-leader "$(printf %x "$(field "$1" MemberID)")" >/dev/null 2>&1; then break; fi
    done
    until [ "$(field "$1" Leader)" = "$(field "$1" MemberID)" ]; do sleep 0.1; done
    ;;
  alarm)
    curl --silent --fail --noproxy '*' --cacert "$pki/ca.pem" --cert "$pki/client.pem" --key "$pki/client-key.pem" \
      --data "{\"action\":\"ACTIVATE\",\"memberID\":\"$(field "$2" MemberID)\",\"alarm\":\"$1\"}" https://127.0.0.1:2379/v3/maintenance/alarm >/dev/null
    ;;
  *) echo "no such verb: $verb" >&2 && exit 2 ;;
esac
