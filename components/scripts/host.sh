#!/usr/bin/env bash
# Step «host»: preflight, packages, the etcd user, names in /etc/hosts, the firewall.
# Takes NODE ADDRESS NODES (lines «name address») UPGRADE MANAGE_HOSTS FIREWALL CLIENT_NETWORKS MINIMUM_MEMORY MINIMUM_DISK PKI.

apply() {
  local findings list=
  findings=$(preflight_findings | sed 's/^unreachable [^:]*: //; s/^/  - /')
  [ -z "$findings" ] || fail "preflight failed, nothing was changed"$'\n'"$findings"
  mkdir -p "$STATE"
  chmod 0755 "$STATE"
  if [ "$UPGRADE" = yes ]; then upgrade; fi
  user
  if [ -e "$FORMED" ]; then
    # Until the gate has seen the end of it every host, not the leader's alone, tells who the members are: the leader may leave.
    if [ "$NODES" != "$(cat "$STATE/nodes" 2>/dev/null)" ]; then : >"$STATE/changing"; fi
    list=$(members "$LOCAL") || list=
  fi
  put 0644 root:root "$STATE/nodes" <<<"$NODES"
  if [ "$MANAGE_HOSTS" = yes ]; then hosts_block; else remove_hosts_block; fi
  if [ "$FIREWALL" = yes ]; then firewall "$(former_addresses "$list")"; else remove_firewall; fi
  if [ -n "$list" ]; then give_up_the_lead "$list"; fi
  host_receipt "$1"
}

# former_addresses LIST: of live members that the configuration has no longer, or has at another address. They are let in until
# they have left: a member that is cut off before that may take the leadership with it. The gate closes the door behind them.
former_addresses() {
  awk 'NF { sub("^https://", "", $3); sub(":2380$", "", $3); gsub(/[][]/, "", $3); print $3 }' <<<"$1" |
    grep -vxF -f <(awk 'NF == 2 { print $2 }' <<<"$NODES") || true
}

# Article: apt-get update and dist-upgrade. Waits for another apt to finish.
upgrade() {
  apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
  apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold dist-upgrade >&2
}

# A user that somebody deleted comes back with its old numbers, which the data and a running etcd still have.
user() {
  local id="" group=""
  if ! getent passwd etcd >/dev/null; then
    if [ -e "$STATE/made-user" ]; then read -r id group <"$STATE/made-user" || true; fi
    # Written first: a user made just before a power cut is known as ours all the same.
    printf '%s\n' "$id $group" >"$STATE/made-user"
    if ! getent group etcd >/dev/null; then groupadd --system ${group:+--gid "$group"} etcd; fi
    useradd --system --gid etcd ${id:+--uid "$id"} --home-dir "$DATA" --no-create-home --shell /usr/sbin/nologin etcd
    printf '%s\n' "$(id -u etcd) $(id -g etcd)" >"$STATE/made-user"
  elif [ -e "$STATE/made-user" ] && [ "$(getent passwd etcd | cut -d : -f 6,7)" != "$DATA:/usr/sbin/nologin" ]; then
    usermod --home "$DATA" --shell /usr/sbin/nologin etcd
  fi
}

hosts_block() {
  {
    # awk ends a last line that had no end, so that the block starts a line of its own.
    sed "/^$BLOCK_BEGIN\$/,/^$BLOCK_END\$/d" /etc/hosts | awk 1
    printf '%s\n' "$BLOCK_BEGIN"
    awk 'NF == 2 { print $2 "\t" $1 }' <<<"$NODES"
    printf '%s\n' "$BLOCK_END"
  } | replace_hosts
}

remove_hosts_block() {
  if grep -qs "^$BLOCK_BEGIN\$" /etc/hosts; then
    sed "/^$BLOCK_BEGIN\$/,/^$BLOCK_END\$/d" /etc/hosts | replace_hosts
  fi
}

# /etc/hosts may be a mount point of its own (containers): then it can only be written in place.
replace_hosts() {
  local content
  content=$(cat; printf x)
  content=${content%x}
  if [ "$content" = "$(cat /etc/hosts; printf x)" ]; then return; fi
  if mountpoint -q /etc/hosts; then
    printf '%s' "$content" >/etc/hosts
  else
    printf '%s' "$content" | put "$(stat -c %a /etc/hosts)" "$(stat -c %U:%G /etc/hosts)" /etc/hosts
  fi
}

remove() {
  remove_firewall
  remove_hosts_block
  if [ -e "$STATE/made-user" ] && getent passwd etcd >/dev/null; then
    userdel etcd
    if getent group etcd >/dev/null; then groupdel etcd; fi
  fi
  rm -rf "$STATE"
}
