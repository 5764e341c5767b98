#!/usr/bin/env bash
# Shared by every step that runs on a host: messages, atomic files, receipts.
# Values reach a step as quoted assignments in front of this text (NODE, ADDRESS, ...), never inside it.
set -euo pipefail
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

# What the program keeps on a host about its own doings; never etcd's data.
export STATE=/var/lib/etcd-on-pulumi
export DATA=/var/lib/etcd
export RELEASES=/opt/etcd-on-pulumi
export BACKUPS=/var/backups/etcd
export UNIT=/etc/systemd/system/etcd.service
export FIREWALL_UNIT=/etc/systemd/system/etcd-firewall.service
# The packet filter's rule for etcd's own unit. A drop-in, because systemd applies it to a running unit on daemon-reload.
export FIREWALL_DROP_IN=/etc/systemd/system/etcd.service.d/addresses.conf
# Exists from the moment this host's member was ready in a cluster for the first time (the unit's ExecStartPost makes it).
export FORMED=$STATE/formed
# What the running etcd was told, kept by the gate when a start by this program came out well (cluster.sh, process_of).
export PROCESS=$STATE/process
# initial-cluster settings of a first start; the unit reads it, its ExecStartPost removes it.
export FIRST_START=$STATE/first-start.env
# The CAs by name, one a line, that the running etcd certainly trusts, and the one that signed the leaves on this host: what the
# program judges a CA rotation by.
export TRUST_MARK=$STATE/trust
export ISSUER_MARK=$STATE/issuer

say() { printf '%s: %s\n' "$NODE" "$*" >&2; }

fail() {
  printf '%s: %s\n' "$NODE" "$*" >&2
  exit 1
}

# put MODE OWNER PATH: standard input becomes PATH, by rename, and only when something differs. Called often, so it starts as few
# processes as it can.
put() {
  local temporary
  [ -d "${3%/*}" ] || mkdir -p "${3%/*}"
  # What a killed run was writing; it may be a key.
  for temporary in "$3".new-??????; do [ ! -e "$temporary" ] || rm -f "$temporary"; done
  printf -v temporary '%s.new-%06d' "$3" "$((BASHPID % 1000000))"
  (umask 077 && exec cat >"$temporary")
  if [ "$1" != 0600 ]; then chmod "$1" "$temporary"; fi
  if [ "$2" != root:root ] || [ ! -O "$temporary" ] || [ ! -G "$temporary" ]; then chown "$2" "$temporary"; fi
  if [ -e "$3" ] && [ ! -L "$3" ] && cmp -s "$temporary" "$3"; then
    chmod "$1" "$3"
    chown "$2" "$3"
    rm -f "$temporary"
  else
    mv -fT "$temporary" "$3"
  fi
}

# unput PATH...: away with files of put, and with what a killed run was writing beside them.
unput() {
  local path
  for path in "$@"; do rm -f "$path" "$path".new-??????; done
}

# point TARGET PATH: PATH becomes a symbolic link to TARGET, by rename.
point() {
  local temporary
  printf -v temporary '%s.new-%06d' "$2" "$((BASHPID % 1000000))"
  rm -f "$2".new-??????
  ln -s "$1" "$temporary"
  mv -fT "$temporary" "$2"
}

# describe THING...: one line a thing, as receipts hold it and as the probe compares it. A thing is a path, or one of
# @hosts (our block in /etc/hosts), @firewall (our table as the kernel has it), @user.
#   file MODE OWNER:GROUP SHA256 PATH | directory MODE OWNER:GROUP PATH | link TARGET PATH | state SHA256 THING | absent THING
# Asks for all of them at once: a host with slow processes has many things to be asked for.
describe() {
  local thing content mode owner size changed digest
  local -a found=() hashed=() links=() targets=()
  local -A attributes=() digests=()
  for thing in "$@"; do
    if [ -L "$thing" ]; then links+=("$thing"); fi
    if [[ $thing == @* ]] || [ -L "$thing" ] || [ ! -e "$thing" ]; then continue; fi
    found+=("$thing")
    # Of a release's binaries (tens of megabytes) size and time of the last change, which a swapped binary cannot keep without
    # meaning to, stand for the content.
    if [ -f "$thing" ] && [[ $thing != "$RELEASES"/* ]]; then hashed+=("$thing"); fi
  done
  if [ "${#found[@]}" -gt 0 ]; then
    while read -r mode owner size changed thing; do
      attributes[$thing]="$mode $owner" digests[$thing]=size-$size-changed-$changed
    done < <(stat -c '%a %U:%G %s %Y %n' "${found[@]}" 2>/dev/null)
  fi
  if [ "${#hashed[@]}" -gt 0 ]; then
    while read -r digest thing; do digests[$thing]=$digest; done < <(sha256sum "${hashed[@]}" 2>/dev/null)
  fi
  # A line for each, in their order.
  if [ "${#links[@]}" -gt 0 ]; then mapfile -t targets < <(readlink "${links[@]}"); fi
  for thing in "$@"; do
    if [[ $thing == @* ]]; then
      content=$(state_of "$thing")
      if [ -n "$content" ]; then
        digest=$(sha256sum <<<"$content")
        printf 'state %s %s\n' "${digest%% *}" "$thing"
      else
        printf 'absent %s\n' "$thing"
      fi
    elif [ -L "$thing" ]; then
      printf 'link %s %s\n' "${targets[0]}" "$thing"
      targets=("${targets[@]:1}")
    elif [ -z "${attributes[$thing]-}" ]; then
      printf 'absent %s\n' "$thing"
    elif [ -d "$thing" ]; then
      printf 'directory %s %s\n' "${attributes[$thing]}" "$thing"
    elif [ -f "$thing" ]; then
      printf 'file %s %s %s\n' "${attributes[$thing]}" "${digests[$thing]}" "$thing"
    else
      printf 'absent %s\n' "$thing"
    fi
  done
}

BLOCK_BEGIN='# BEGIN etcd on Pulumi'
BLOCK_END='# END etcd on Pulumi'

state_of() {
  case $1 in
    @hosts) sed -n "/^$BLOCK_BEGIN\$/,/^$BLOCK_END\$/p" /etc/hosts ;;
    @firewall) nft list table inet etcd 2>/dev/null || true ;;
    @user) getent passwd etcd || true ;;
  esac
}

# receipt STEP REVISION PATH...: what the step's last successful run left behind, for the probe to compare with.
receipt() {
  local step=$1 revision=$2
  shift 2
  {
    printf 'revision %s\n' "$revision"
    describe "$@"
  } | put 0600 root:root "$STATE/receipts/$step"
}

# etcdctl_as_client ARGUMENT...: etcdctl with the client certificate that lies on this host.
etcdctl_as_client() {
  /usr/local/bin/etcdctl --cacert "$PKI/ca.pem" --cert "$PKI/client.pem" --key "$PKI/client-key.pem" "$@"
}

# reload_units UNIT...: systemd reads its files again, which takes a while, only if it has an older text of one of these.
reload_units() {
  local unit
  for unit in "$@"; do
    if [ "$(systemctl show --property NeedDaemonReload --value "$unit")" = yes ]; then
      systemctl daemon-reload
      return
    fi
  done
}

# url HOST PORT: an https URL, with brackets round an IPv6 address.
url() {
  case $1 in
    *:*) printf 'https://[%s]:%s' "$1" "$2" ;;
    *) printf 'https://%s:%s' "$1" "$2" ;;
  esac
}

journal() {
  journalctl --unit etcd.service --lines "${1:-15}" --no-pager --output cat 2>/dev/null || true
}
