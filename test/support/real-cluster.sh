#!/usr/bin/env bash
# real-cluster.sh RELEASES VERSION COUNT: real etcds of that version on a paper host, on 127.0.0.1 and the addresses after it, as the steps leave
# them: the first is this host's, with its certificates and marks. What lies below /var/cluster is the members'.
set -euo pipefail

releases=$1 version=$2 count=$3
pki=/etc/kubernetes/pki/etcd state=/var/lib/etcd-on-pulumi

mkdir -p "$pki" "$state/jobs" /var/cluster /var/backups/etcd
chmod 0700 "$state/jobs"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/ca-key.pem" -subj /CN=ca -days 5 -out "$pki/ca.pem" 2>/dev/null
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/client-key.pem" -subj /CN=client 2>/dev/null |
  openssl x509 -req -CA "$pki/ca.pem" -CAkey "$pki/ca-key.pem" -CAcreateserial -days 5 \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3\n') -out "$pki/client.pem" 2>/dev/null
ln -sf "$releases/v$version/bin"/etcd* /usr/local/bin/
mkdir -p "/opt/etcd-on-pulumi/v$version"
ln -sf "$releases/v$version/bin"/etcd* "/opt/etcd-on-pulumi/v$version/"

list=
: >"$state/nodes"
for ((number = 1; number <= count; number++)); do
  list=$list,etcd0$number=https://127.0.0.$number:2380
  echo "etcd0$number 127.0.0.$number" >>"$state/nodes"
done
for ((number = 1; number <= count; number++)); do
  url=https://127.0.0.$number
  setsid "$releases/v$version/bin/etcd" --name "etcd0$number" --data-dir "/var/cluster/$number" --initial-cluster "${list#,}" \
    --listen-client-urls "$url:2379" --advertise-client-urls "$url:2379" \
    --listen-peer-urls "$url:2380" --initial-advertise-peer-urls "$url:2380" \
    --cert-file "$pki/client.pem" --key-file "$pki/client-key.pem" --client-cert-auth --trusted-ca-file "$pki/ca.pem" \
    --peer-cert-file "$pki/client.pem" --peer-key-file "$pki/client-key.pem" --peer-client-cert-auth --peer-trusted-ca-file "$pki/ca.pem" \
    >"/var/cluster/log$number" 2>&1 </dev/null &
  echo $! >"/var/cluster/pid$number"
done
touch "$state/formed"

# As the tests use it.
cat >/usr/local/sbin/ctl <<END
#!/bin/sh
exec /usr/local/bin/etcdctl --cacert $pki/ca.pem --cert $pki/client.pem --key $pki/client-key.pem --endpoints "\${AT:-https://127.0.0.1:2379}" "\$@"
END
chmod 0755 /usr/local/sbin/ctl
for ((turn = 0; turn < 150; turn++)); do
  if ctl endpoint health >/dev/null 2>&1; then break; fi
  sleep 0.1
done
for key in 1 2 3 4 5; do ctl put "key$key" value >/dev/null; done
# This host's member leads.
id=$(ctl endpoint status --write-out json | sed 's/.*"member_id":\([0-9]*\).*/\1/')
for ((number = 1; number <= count; number++)); do
  AT=https://127.0.0.$number:2379 ctl move-leader "$(printf %x "$id")" >/dev/null 2>&1 || true
done
