#!/usr/bin/env bash
# host-main.sh HOST ROOTFS OPERATOR_PID: runs in network and mount namespaces of its own, wires the
# host, mounts its disk and becomes the container. All of it vanishes with the last process.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$LAB_SOURCE/groups.sh"
. "$LAB_SOURCE/network.sh"
. "$LAB_SOURCE/hosts.sh"

host=$1
rootfs=$2
OPERATOR_PID=$3
address=$(host_address "$host")

in_operator ip link delete "$host" 2>/dev/null || true
# A fixed hardware address: the neighbours' caches stay right when the host is powered off and on.
in_operator ip link add "$host" type veth peer name eth0 netns $$ \
  address "02:00:c0:a8:01:$(printf %02x "${address##*.}")"
in_operator ip link set "$host" master "$BRIDGE" up
ip link set lo up
ip address add "$address/24" dev eth0
ip link set eth0 up

# A private /run keeps systemd-nspawn's own traces out of the machine's, and gives paths that need
# no escaping in mount options.
mount -t tmpfs -o mode=755 lab /run
mkdir /run/rootfs /run/disk /run/root
mount --bind "$rootfs" /run/rootfs
mount --bind "$STATE/hosts/$host/disk" /run/disk
mount -t overlay -o lowerdir=/run/rootfs,upperdir=/run/disk/upper,workdir=/run/disk/work \
  lab /run/root

root=/run/root
if [[ ! -e /run/disk/prepared ]]; then
  printf '%s\n' "$host" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n' \
    "$host" >"$root/etc/hosts"
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  cp "$STATE/ssh/host-keys/$host"/* "$root/etc/ssh/"
  chmod 600 "$root/etc/ssh/ssh_host_ed25519_key"
  for home in /root /home/operator; do
    install -d -m 700 "$root$home/.ssh"
    install -m 600 "$STATE/ssh/id_ed25519.pub" "$root$home/.ssh/authorized_keys"
    chroot "$root" chown -R --reference="$home" "$home/.ssh"
  done
  : >/run/disk/prepared
fi

exec systemd-nspawn --quiet --directory="$root" --machine="lab-$LAB_ID-$host" \
  --hostname="$host" --boot --register=no --keep-unit --capability=CAP_NET_ADMIN \
  --network-namespace-path=/proc/self/ns/net --resolv-conf=off --timezone=off \
  --link-journal=no --console=pipe
