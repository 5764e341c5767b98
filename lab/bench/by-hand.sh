#!/usr/bin/env bash
# The yardstick of the benchmark: the same cluster by a script, one SSH session per host, all hosts in parallel.
# by-hand.sh KEY KNOWN_HOSTS MIRROR VERSION NAME=ADDRESS...   Certificates come from openssl; the hosts must be bare.
set -euo pipefail
key=$(realpath "$1") known_hosts=$(realpath "$2") mirror=$3 version=$4
shift 4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cluster=$(for node in "$@"; do printf '%s=https://%s:2380\n' "${node%=*}" "${node#*=}"; done | paste -sd , -)
hosts=$(for node in "$@"; do printf '%s %s\n' "${node#*=}" "${node%=*}"; done)
addresses=$(for node in "$@"; do printf '%s\n' "${node#*=}"; done | paste -sd , -)

openssl req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -days 1825 -subj /C=ES/L=Madrid/CN=etcd 2>/dev/null

# leaf NAME SUBJECT USAGES [NAMES]
leaf() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1-key.pem"
  openssl req -new -key "$1-key.pem" -subj "$2" -out "$1.csr"
  printf 'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=%s\n%s\n' "$3" "${4:+subjectAltName=$4}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAserial "$1.srl" -CAcreateserial -days 1825 \
    -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

# on_host NAME ADDRESS: everything that happens on one host, as one script for its shell.
on_host() {
  local name=$1 address=$2 file
  cat <<END
set -eu
useradd --system --user-group --home-dir /var/lib/etcd --no-create-home --shell /usr/sbin/nologin etcd
cat >>/etc/hosts <<'EOF'
$hosts
EOF
nft -f - <<'EOF'
table inet etcd {
  chain input {
    type filter hook input priority -10; policy accept;
    iif lo accept
    tcp dport { 2379, 2380 } ip saddr { $addresses } accept
    tcp dport 2379 accept
    tcp dport 2380 drop
  }
}
EOF
mkdir -p /etc/kubernetes/pki/etcd /opt/etcd-release
cd /opt/etcd-release
curl -fsS -O $mirror/v$version/etcd-v$version-linux-amd64.tar.gz -O $mirror/v$version/SHA256SUMS
sha256sum --check --quiet --ignore-missing SHA256SUMS
tar -xzf etcd-v$version-linux-amd64.tar.gz --strip-components=1
ln -sf /opt/etcd-release/etcd /opt/etcd-release/etcdctl /opt/etcd-release/etcdutl /usr/local/bin/
cd /etc/kubernetes/pki/etcd
END
  for file in ca.pem client.pem client-key.pem; do
    printf "cat >%s <<'EOF'\n%s\nEOF\n" "$file" "$(cat "$file")"
  done
  for file in server peer; do
    printf "cat >%s.pem <<'EOF'\n%s\nEOF\n" "$file" "$(cat "$name-$file.pem")"
    printf "cat >%s-key.pem <<'EOF'\n%s\nEOF\n" "$file" "$(cat "$name-$file-key.pem")"
  done
  cat <<END
chmod 0600 ./*-key.pem
chown etcd:etcd server-key.pem peer-key.pem
cat >/etc/etcd.env <<'EOF'
PEER_NAME=$name
PRIVATE_IP=$address
EOF
cat >/etc/systemd/system/etcd.service <<'EOF'
[Unit]
Description=etcd
[Service]
Type=notify
User=etcd
Group=etcd
EnvironmentFile=/etc/etcd.env
Restart=always
RestartSec=5s
LimitNOFILE=40000
TimeoutStartSec=0
StateDirectory=etcd
StateDirectoryMode=0700
ExecStart=/usr/local/bin/etcd --name $name --data-dir /var/lib/etcd \\
  --initial-advertise-peer-urls https://$address:2380 --listen-peer-urls https://$address:2380 \\
  --listen-client-urls https://$address:2379,https://127.0.0.1:2379 --advertise-client-urls https://$address:2379 \\
  --initial-cluster-token etcd-cluster-1 --initial-cluster $cluster --initial-cluster-state new \\
  --cert-file=/etc/kubernetes/pki/etcd/server.pem --key-file=/etc/kubernetes/pki/etcd/server-key.pem --client-cert-auth \\
  --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.pem --peer-cert-file=/etc/kubernetes/pki/etcd/peer.pem \\
  --peer-key-file=/etc/kubernetes/pki/etcd/peer-key.pem --peer-client-cert-auth \\
  --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.pem
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl --quiet enable etcd
systemctl start etcd
ETCDCTL_API=3 etcdctl --endpoints https://127.0.0.1:2379 --cacert ca.pem --cert client.pem --key client-key.pem endpoint health >/dev/null 2>&1
END
}

leaf client /CN=client clientAuth
for node in "$@"; do
  name=${node%=*} address=${node#*=}
  for profile in server peer; do
    leaf "$name-$profile" "/C=ES/L=Madrid/ST=Spain/CN=$name" serverAuth,clientAuth \
      "DNS:$name,DNS:$name.local,DNS:localhost,IP:$address,IP:127.0.0.1" &
  done
done
wait

sessions=()
for node in "$@"; do
  name=${node%=*} address=${node#*=}
  on_host "$name" "$address" |
    ssh -F /dev/null -i "$key" -o UserKnownHostsFile="$known_hosts" -o BatchMode=yes "root@$address" bash -s &
  sessions+=($!)
done
for session in "${sessions[@]}"; do wait "$session"; done
