#!/usr/bin/env bash
# A new paper host: fresh overlays over the machine's own directories, an empty /run and packet filter, stubs of what needs a
# running system. Takes the directory of the stubs. Runs in namespaces of its own (see ../paper-host.ts), never outside of them.
set -euo pipefail

stubs=$1
nft flush ruleset 2>/dev/null || true
if [ -e /mnt/paper ]; then
  for top in etc opt usr var run; do umount -l "/$top"; done
else
  mount -t tmpfs paper /mnt
  ip link set lo up
  : >/mnt/paper
fi
work=$(mktemp -d /mnt/XXXXXX)
for top in etc opt usr var; do
  mkdir -p "$work/$top/upper" "$work/$top/work"
  mount -t overlay overlay -o "lowerdir=/$top,upperdir=$work/$top/upper,workdir=$work/$top/work" "/$top"
done
mount -t tmpfs paper /run
mkdir -p /var/paper /usr/local/sbin /usr/local/bin
: >/var/paper/systemctl
echo 252 >/var/paper/version
echo inactive >/var/paper/active
echo disabled >/var/paper/enabled
install -m 0755 "$stubs/systemctl.sh" /usr/local/sbin/systemctl
install -m 0755 "$stubs/systemctl.sh" /var/paper/systemctl-stub
install -m 0755 "$stubs/etcdctl.sh" /var/paper/etcdctl-stub
install -m 0755 "$stubs/etcdutl.sh" /var/paper/etcdutl-stub
install -m 0755 "$stubs/curl.sh" /var/paper/curl-stub
echo last words of etcd >/var/paper/journal
printf '#!/bin/sh\ncase " $* " in *" --reverse "*) exec tac /var/paper/journal ;; esac\nexec cat /var/paper/journal\n' >/usr/local/sbin/journalctl
chmod 0755 /usr/local/sbin/journalctl
rm -f /etc/os-release
printf 'ID=debian\n' >/etc/os-release
printf '127.0.0.1\tlocalhost\n' >/etc/hosts
rm -rf /etc/kubernetes /var/lib/etcd /var/lib/etcd-on-pulumi /var/backups/etcd
rm -f /usr/local/bin/etcd /usr/local/bin/etcdctl /usr/local/bin/etcdutl
