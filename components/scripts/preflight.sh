#!/usr/bin/env bash
# What must hold on a host before anything is changed on it. Reads only; prints one finding a line, none when all is well.
# A host that already bears this program's receipt has passed: only what could do harm to it is looked at again.

preflight_findings() {
  if [ -e "$STATE/receipts/host" ]; then
    foreign_etcd
    # Its address changes.
    # shellcheck disable=SC2153 # ADDRESS is a value, address a neighbour's
    grep -sqxF "$NODE $ADDRESS" "$STATE/nodes" || source_address
    return
  fi
  operating_system
  commands_present
  room
  foreign_etcd
  ports_free
  source_address
  neighbours_reachable
}

operating_system() {
  local family version
  family=$(sed -n 's/^ID\(_LIKE\)\{0,1\}="\{0,1\}\([^"]*\)"\{0,1\}$/\2/p' /etc/os-release | paste -sd ' ' -)
  case " $family " in
    *" debian "* | *" ubuntu "*) ;;
    *) echo "runs ${family:-an unknown system}; a Debian or Ubuntu host is needed" ;;
  esac
  version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  if [ "${version:-0}" -lt 247 ]; then
    echo "has systemd ${version:-none}; 247 or newer is needed (Debian 11, Ubuntu 22.04)"
  fi
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) echo "is a $(uname -m) machine; etcd is supported on amd64 and arm64" ;;
  esac
}

commands_present() {
  local name
  for name in systemctl useradd tar gzip sha256sum ss stat flock; do
    command -v "$name" >/dev/null || echo "has no $name command; install the package that provides it"
  done
  command -v curl >/dev/null || command -v wget >/dev/null || echo "has neither curl nor wget; install one of them"
  if [ "$FIREWALL" = yes ] && ! command -v nft >/dev/null; then
    echo "has no nft command; install nftables or set etcd:host.firewall to false"
  fi
}

room() {
  local memory disk
  memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
  if [ "$memory" -lt "$MINIMUM_MEMORY" ]; then
    echo "has $memory MiB of memory; etcd:host.minimumMemory asks for $MINIMUM_MEMORY"
  fi
  disk=$(df -Pm /var/lib | awk 'NR == 2 { print $4 }')
  if [ "$disk" -lt "$MINIMUM_DISK" ]; then
    echo "has $disk MiB free under /var/lib; etcd:host.minimumDisk asks for $MINIMUM_DISK"
  fi
}

# Article: «no tengamos en nuestros nodos ninguna versión de etcd ya instalada».
foreign_etcd() {
  local path unit pid ours=no
  if [ -e "$STATE/receipts/host" ]; then ours=yes; fi
  for path in /usr/local/bin/etcd /usr/bin/etcd /usr/sbin/etcd /opt/bin/etcd; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    case $(readlink "$path" || true) in "$RELEASES"/*) continue ;; esac
    # On a host of ours a replaced link is drift, to be repaired.
    if [ "$ours" = yes ] && [ "$path" = /usr/local/bin/etcd ]; then continue; fi
    echo "has an etcd that is not this program's at $path; uninstall it first"
  done
  # shellcheck disable=SC2153 # UNIT is lib.sh's path of our unit, unit the one looked at
  for unit in "$UNIT" /etc/systemd/system/etcd2.service /lib/systemd/system/etcd.service /lib/systemd/system/etcd2.service; do
    [ -e "$unit" ] || continue
    if [ "$unit" = "$UNIT" ] && { [ "$ours" = yes ] || unit_is_ours; }; then continue; fi
    echo "has a unit that is not this program's at $unit; remove it first"
  done
  for pid in $(pidof etcd || true); do
    if grep -qs '/etcd\.service' "/proc/$pid/cgroup" && { [ "$ours" = yes ] || unit_is_ours; }; then continue; fi
    echo "runs an etcd that is not this program's: process $pid, $(readlink "/proc/$pid/exe" || echo 'unknown binary'); stop it first"
  done
  if [ "$ours" = no ] && [ -d "$DATA/member" ] && [ ! -e "$STATE/receipts/member" ] && [ ! -e "$FIRST_START" ]; then
    echo "has data of another etcd in $DATA/member; move it away first"
  fi
}

unit_is_ours() { grep -qs '^# Managed by etcd on Pulumi' "$UNIT"; }

ports_free() {
  local port owner
  for port in 2379 2380; do
    owner=$(ss -Hltnp "sport = :$port" 2>/dev/null | head -n 1)
    [ -z "$owner" ] && continue
    case $owner in
      *'"etcd"'*) ;; # named by foreign_etcd when it is not ours
      *) echo "has port $port taken by $(sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' <<<"$owner"); free it" ;;
    esac
  done
}

# A member's neighbours let it in, and believe its certificate, only when it comes from its own address.
source_address() {
  local name address own from
  own=$(own_address)
  while read -r name address; do
    # Of another family it comes from another address in any case.
    if [ -z "$name" ] || [ "$name" = "$NODE" ] || [[ $address == *:* && $ADDRESS != *:* ]] || [[ $address != *:* && $ADDRESS == *:* ]]; then continue; fi
    from=$(ip -o route get "$address" 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p' || true)
    if [ -n "$from" ] && [ "$from" != "${own:-$ADDRESS}" ]; then
      echo "reaches $name at $address from $from, not from its own address $ADDRESS; make that the source of its route there"
    fi
  done <<<"$NODES"
}

# A refused connection is an answer too: it shows that packets pass. Only silence is a finding.
neighbours_reachable() {
  local name address
  while read -r name address; do
    if [ -z "$name" ] || [ "$name" = "$NODE" ]; then continue; fi
    (
      if ! message=$(timeout 3 bash -c ": </dev/tcp/$address/2380" 2>&1) && [[ $message != *refused* ]]; then
        echo "unreachable $name: cannot reach $name at $address port 2380; open it in the firewalls between them"
      fi
    ) &
  done <<<"$NODES"
  wait
}
