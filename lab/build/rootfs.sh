#!/usr/bin/env bash
# build/rootfs.sh SUITE PACKAGES DIRECTORY: makes the Debian root of lab hosts there, a standard server
# install without a kernel, with these packages on top.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

suite=$1
further=$2
root=$3
# Not given: debootstrap's own.
mirror=${LAB_DEBIAN_MIRROR:-}
packages=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,nftables,curl,ca-certificates
packages+=,procps,iputils-ping,netbase,netcat-openbsd,kmod,less,restic
# Nothing on a lab host needs these, and each of them costs boot time.
masked=(
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
  e2scrub_reap.service console-getty.service getty@.service container-getty@.service
  getty.target systemd-networkd-wait-online.service systemd-timesyncd.service
  systemd-logind.service systemd-resolved.service systemd-update-utmp.service
  systemd-update-utmp-runlevel.service systemd-firstboot.service
  systemd-journal-catalog-update.service systemd-network-generator.service ldconfig.service
  systemd-tmpfiles-clean.timer dev-hugepages.mount systemd-machine-id-commit.service
)

# wget, by which debootstrap gets its packages, waits a quarter of an hour for a mirror that stands still.
WGETRC=$(mktemp)
export WGETRC
trap 'rm -f "$WGETRC"' EXIT
printf 'timeout = 30\ntries = 5\n' >"$WGETRC"
# debootstrap mounts /proc into its target: in a mount namespace of its own nothing stays behind,
# however it ends.
unshare --mount --propagation private -- \
  debootstrap --variant=minbase --include="$packages${further:+,$further}" --arch="$ARCH" "$suite" "$root" ${mirror:+"$mirror"}

rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root/debootstrap"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
# There is no network to install from; an empty list makes `apt-get update` succeed.
printf '# lab hosts have no route to a mirror\n' >"$root/etc/apt/sources.list"
# No resolver either: a look-up fails at once.
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$root/etc/resolv.conf"
mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=persistent\nSystemMaxUse=64M\n' \
  >"$root/etc/systemd/journald.conf.d/lab.conf"
printf 'UseDNS no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n' \
  >"$root/etc/ssh/sshd_config.d/lab.conf"
chroot "$root" useradd --create-home --shell /bin/bash --gid operator operator
printf 'operator ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/operator"
chmod 440 "$root/etc/sudoers.d/operator"
for unit in "${masked[@]}"; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
