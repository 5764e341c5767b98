#!/usr/bin/env bash
# sftp-main.sh DIRECTORY ROOTFS ADDRESS: runs in a mount namespace of its own and becomes the sshd of a Debian root, for one user who
# sees DIRECTORY/data and nothing else. The machine needs no sshd, and gets no user.
set -euo pipefail

directory=$1
rootfs=$2
address=$3

# A private /run: paths that need no escaping in mount options.
mount -t tmpfs -o mode=755 lab /run
mkdir -p /run/rootfs /run/disk/upper /run/disk/work /run/root
mount --bind "$rootfs" /run/rootfs
mount -t overlay -o lowerdir=/run/rootfs,upperdir=/run/disk/upper,workdir=/run/disk/work lab /run/root

root=/run/root
mount --rbind /dev "$root/dev"
mount --bind "$directory/data" "$root/srv"
mkdir -p "$root/run/sshd"
install -m 600 "$directory/host_key" "$root/etc/ssh/host_key"
# sshd reads it as the user.
install -m 644 "$directory/authorized_keys" "$root/etc/ssh/authorized_keys"
cat >"$root/etc/ssh/sshd_config" <<END
ListenAddress $address
HostKey /etc/ssh/host_key
PidFile none
UsePAM no
PasswordAuthentication no
AuthorizedKeysFile /etc/ssh/authorized_keys
AllowUsers etcd-backup
ChrootDirectory /srv
Subsystem sftp internal-sftp
END
# "*" is no password and no lock either, behind which sshd would refuse the key too.
chroot "$root" useradd --uid "$(stat -c %u "$directory/data/backups")" --home-dir / --shell /bin/sh \
  --password '*' etcd-backup
exec chroot "$root" /usr/sbin/sshd -D -e
