#!/usr/bin/env bash
# real-etcd.sh RELEASES VERSION CASE PATTERN: a real etcd of that version on a paper host that cannot start or get ready, as CASE has it
# (on its own data in /var/lib/etcd, with the certificates that pki makes). What it says goes to the journal of the paper host; it is
# ended when that matches PATTERN.
set -euo pipefail

releases=$1 version=$2 case=$3 pattern=$4
bin=$releases/v$version/bin
data=/var/lib/etcd pki=/etc/kubernetes/pki/etcd journal=/var/paper/journal
ca=$pki/ca.pem

# certificate NAME [CA [SAN [DAYS]]]: of the three addresses on which the members are.
certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$1-key.pem" -subj "/CN=$1" 2>/dev/null |
    openssl x509 -req -CA "$pki/${2:-ca}.pem" -CAkey "$pki/${2:-ca}-key.pem" -CAcreateserial -days "${4:-5}" \
      -extfile <(printf 'subjectAltName=%s\n' "${3:-IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3}") -out "$pki/$1.pem" 2>/dev/null
}

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$1-key.pem" -subj "/CN=$1" -days 5 \
    -out "$pki/$1.pem" 2>/dev/null
}

setup() {
  getent passwd etcd >/dev/null || useradd --system --user-group etcd
  mkdir -p "$pki" /var/others/2 /var/others/3
  authority ca
  certificate good
  install -d -m 0700 -o etcd -g etcd "$data"
  chown -R etcd:etcd "$pki" /var/others
  chmod 0700 /var/others/2 /var/others/3
  : >"$journal"
}

as_etcd=(setpriv --reuid etcd --regid etcd --clear-groups)

# member NUMBER [CERTIFICATE]: its flags, into "flags".
member() {
  local dir=$data certificate=${2:-good}
  [ "$1" = 1 ] || dir=/var/others/$1
  flags=(--name "e$1" --data-dir "$dir" --initial-cluster "${list:-e1=https://127.0.0.1:2380}"
    --listen-client-urls "https://127.0.0.$1:2379" --advertise-client-urls "https://127.0.0.$1:2379"
    --listen-peer-urls "https://127.0.0.$1:2380" --initial-advertise-peer-urls "https://127.0.0.$1:2380"
    --cert-file "$pki/$certificate.pem" --key-file "$pki/$certificate-key.pem" --client-cert-auth --trusted-ca-file "$ca"
    --peer-cert-file "$pki/$certificate.pem" --peer-key-file "$pki/$certificate-key.pem" --peer-client-cert-auth --peer-trusted-ca-file "$ca")
}
THREE=e1=https://127.0.0.1:2380,e2=https://127.0.0.2:2380,e3=https://127.0.0.3:2380

ctl() { "$bin/etcdctl" --cacert "$ca" --cert "$pki/good.pem" --key "$pki/good-key.pem" --endpoints "https://127.0.0.$1:2379" "${@:2}"; }

# background NUMBER [CERTIFICATE]: its process is ${pid[NUMBER]}.
background() {
  member "$@"
  "${as_etcd[@]}" "$bin/etcd" "${flags[@]}" >"/var/others/log$1" 2>&1 &
  pid[$1]=$!
}

ready() {
  local turn
  for ((turn = 0; turn < 200; turn++)); do
    if ctl "$1" endpoint health >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "member $1 does not get ready:" && tail -n 5 "/var/others/log$1" && exit 1
}

stop() { kill "${pid[$1]}" && { wait "${pid[$1]}" || true; }; }

# fails [FLAG...]: etcd as "flags" say, until it ends or says what is waited for.
fails() {
  local turn
  "${as_etcd[@]}" "${etcd:-$bin/etcd}" "${flags[@]}" "$@" >>"$journal" 2>&1 &
  for ((turn = 0; turn < 250; turn++)); do
    if ! kill -0 $! 2>/dev/null || grep -qE -e "$pattern" "$journal"; then break; fi
    sleep 0.1
  done
}

# had_data [FLAG...]: member 1 has run before, alone.
had_data() {
  local count
  member 1
  "${as_etcd[@]}" "$bin/etcd" "${flags[@]}" "$@" >/var/others/log1 2>&1 &
  pid[1]=$!
  ready 1
  for count in 1 2 3 4 5 6; do ctl 1 put "key$count" value >/dev/null; done
  stop 1
}

# three [CERTIFICATE]: members 2 and 3 run, of three.
three() {
  list=$THREE
  background 2 "$@"
  background 3 "$@"
}

damage() { dd "of=$1" conv=notrunc bs=4096 "seek=$2" "count=$3" "if=${4:-/dev/urandom}" status=none; }

setup
case $case in
  'old copy')
    three
    background 1
    ready 1
    stop 1
    cp -a "$data/member" /var/others/old
    background 1
    ready 1
    for count in 1 2 3 4 5 6 7 8; do ctl 2 put "key$count" value >/dev/null; done
    stop 1
    rm -rf "$data/member" && mv /var/others/old "$data/member"
    fails
    ;;
  'damaged pages') had_data && damage "$data/member/snap/db" 2 200 && fails ;;
  'no database in it') had_data && damage "$data/member/snap/db" 0 2 /dev/zero && fails ;;
  'database gone') had_data --snapshot-count=2 && rm "$data/member/snap/db" && fails ;;
  'damaged journal')
    had_data
    wal=$(echo "$data"/member/wal/0*.wal)
    # In an entry, not in the length of one, which would read as the end of what was written.
    place=$(grep -obUa key3 "$wal" | head -n 1 | cut -d : -f 1)
    printf XXXX | dd "of=$wal" conv=notrunc bs=1 "seek=$place" status=none
    fails
    ;;
  'entries of 3.5')
    bin=$releases/v3.5.35/bin
    had_data
    bin=$releases/v3.6.14/bin
    background 1
    ready 1
    until ctl 1 endpoint status --write-out json | grep -q '"storageVersion":"3.6' ; do sleep 0.2; done
    stop 1
    bin=$releases/v$version/bin
    fails
    ;;
  'newer data')
    if [[ $version == 3.5.* ]]; then bin=$releases/v3.6.14/bin; else bin=$releases/v3.7.2/bin; fi
    had_data
    etcd=$releases/v$version/bin/etcd fails
    ;;
  'unknown flag') member 1 && fails --no-such-flag=1 ;;
  'wrong value') member 1 && fails --snapshot-count=many ;;
  'unknown gate') member 1 && fails --feature-gates=Nope=true ;;
  'port in use') list=e2=https://127.0.0.2:2380 && background 2 && ready 2 && list="" && member 1 && fails --listen-client-urls https://127.0.0.2:2379 ;;
  'address not here') member 1 && fails --listen-peer-urls https://10.9.9.9:2380 ;;
  'certificate missing') rm "$pki/good.pem" && member 1 && fails ;;
  'key unreadable') chown root "$pki/good-key.pem" && chmod 600 "$pki/good-key.pem" && member 1 && fails ;;
  'key of another') certificate other && mv "$pki/other-key.pem" "$pki/good-key.pem" && chown etcd "$pki"/good* && member 1 && fails ;;
  'no certificate in it') echo rubbish >"$pki/good.pem" && member 1 && fails ;;
  'disk full') mount -t tmpfs -o size=20m full "$data" && chown etcd "$data" && chmod 700 "$data" && member 1 && fails ;;
  'disk read-only')
    had_data
    mount --bind "$data" "$data" && mount -o remount,bind,ro "$data"
    fails
    ;;
  'directory of root') had_data && chown root "$data" && fails ;;
  'files of root') had_data && chown -R root "$data/member" && fails ;;
  'database of root') had_data && chown root "$data/member/snap/db" && fails ;;
  removed)
    three
    background 1
    ready 1
    ready 2
    ready 3
    stop 1
    id=$(ctl 2 member list | sed -n 's/^\([0-9a-f]*\), .*, e1, .*/\1/p')
    # etcd lets nobody go for five seconds after a disturbance.
    until ctl 2 member remove "$id" >/dev/null 2>&1; do sleep 0.3; done
    fails
    ;;
  'wiped')
    three
    background 1
    ready 1
    stop 1
    rm -rf "$data/member"
    fails
    ;;
  'other members') list=e2=https://127.0.0.2:2380 && background 2 && ready 2 && list=$THREE && member 1 && fails --initial-cluster-state existing ;;
  'not in the list') list=e2=https://127.0.0.1:2380 && member 1 && fails ;;
  'nobody answers') list=$THREE && member 1 && fails --initial-cluster-state existing ;;
  'another cluster') three && member 1 && fails --initial-cluster-token other ;;
  expired)
    certificate late ca "" 0
    chown etcd "$pki"/late*
    sleep 1
    three late
    member 1
    fails
    ;;
  'of another CA')
    authority strange && certificate stranger strange && chown -R etcd "$pki"
    three
    member 1 stranger
    ca=$pki/strange.pem
    fails
    ;;
  'not for its address') certificate elsewhere ca IP:127.0.0.9 && chown -R etcd "$pki" && three elsewhere && member 1 && fails ;;
  'refused by others') certificate elsewhere ca IP:127.0.0.9 && chown -R etcd "$pki" && three && member 1 elsewhere && fails ;;
  'slow line')
    # A cluster of member 2, with 16 MB, behind 8 Mbit/s; what systemctl starts on this host is member 1 of it, really.
    list=e2=https://127.0.0.2:2380
    member 2
    "${as_etcd[@]}" "$bin/etcd" "${flags[@]}" --snapshot-count=4 --snapshot-catchup-entries=1 >/var/others/log2 2>&1 &
    ready 2
    for count in {1..16}; do head -c 750000 /dev/urandom | base64 -w 0 | ctl 2 put "key$count" >/dev/null; done
    ln -sf "$bin"/etcd* /usr/local/bin/
    for name in client server peer; do cp -a "$pki/good.pem" "$pki/$name.pem" && cp -a "$pki/good-key.pem" "$pki/$name-key.pem"; done
    member 1
    flags=(--name etcd01 "${flags[@]:2:2}" "${flags[@]:6}")
    cat >/var/paper/on-start <<END
# Nobody is to wait for the end of what is begun here.
for file in /proc/\$\$/fd/*; do
  open=\${file##*/}
  if [ "\$open" -gt 2 ]; then exec {open}>&-; fi
done
set -a
. /var/lib/etcd-on-pulumi/first-start.env
$(printf '%q ' "${as_etcd[@]}" "$bin/etcd" "${flags[@]}") >$journal 2>&1 &
echo \$! >/var/paper/property-MainPID
echo activating >/var/paper/property-ActiveState
{
  until $bin/etcdctl --cacert $ca --cert $pki/good.pem --key $pki/good-key.pem --endpoints https://127.0.0.1:2379 endpoint status; do sleep 0.3; done
  echo active >/var/paper/property-ActiveState
} >/dev/null 2>&1 &
END
    tc qdisc add dev lo root tbf rate 8mbit burst 256kb latency 400ms
    exit 0
    ;;
  'three that run')
    # /var/others/lead NUMBER lets one of them lead; the processes of the two others are in /var/others/pids.
    three
    background 1
    ready 1
    echo "${pid[2]} ${pid[3]}" >/var/others/pids
    ln -sf "$bin"/etcd* /usr/local/bin/
    for name in client client-key; do cp -a "$pki/${name/client/good}.pem" "$pki/$name.pem"; done
    cat >/var/others/lead <<END
for from in 1 2 3; do
  id=\$($bin/etcdctl --cacert $ca --cert $pki/good.pem --key $pki/good-key.pem --endpoints "https://127.0.0.\$1:2379" endpoint status | cut -d ' ' -f 2 | tr -d ,)
  $bin/etcdctl --cacert $ca --cert $pki/good.pem --key $pki/good-key.pem --endpoints "https://127.0.0.\$from:2379" move-leader "\$id" || true
done
END
    exit 0
    ;;
  'alone') list=$THREE && member 1 && fails ;;
  *) echo "no such case: $case" >&2 && exit 2 ;;
esac
# The ones that this script started.
for process in $(jobs -p); do kill -KILL "$process" 2>/dev/null || true; done
wait 2>/dev/null || true
