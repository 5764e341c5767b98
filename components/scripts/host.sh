#!/usr/bin/env bash
# Step «host»: preflight, packages, the etcd user, names in /etc/hosts, the firewall.
# Takes NODE ADDRESS NODES (lines «name address») UPGRADE MANAGE_HOSTS FIREWALL CLIENT_NETWORKS MINIMUM_MEMORY MINIMUM_DISK.

FIREWALL_RULES=/etc/etcd-firewall.nft
FIREWALL_UNIT=/etc/systemd/system/etcd-firewall.service
# The same rule for etcd's own unit. A drop-in, because systemd applies it to a running unit on daemon-reload.
FIREWALL_DROP_IN=/etc/systemd/system/etcd.service.d/addresses.conf

apply() {
  local findings
  findings=$(preflight_findings | sed 's/^unreachable [^:]*: //; s/^/  - /')
  [ -z "$findings" ] || fail "preflight failed, nothing was changed"$'\n'"$findings"
  mkdir -p "$STATE"
  chmod 0755 "$STATE"
  if [ "$UPGRADE" = yes ]; then upgrade; fi
  user
  put 0644 root:root "$STATE/nodes" <<<"$NODES"
  if [ "$MANAGE_HOSTS" = yes ]; then hosts_block; else remove_hosts_block; fi
  if [ "$FIREWALL" = yes ]; then firewall; else remove_firewall; fi
  local things=("$STATE/nodes" @user)
  if [ "$MANAGE_HOSTS" = yes ]; then things+=(@hosts); fi
  if [ "$FIREWALL" = yes ]; then things+=("$FIREWALL_RULES" "$FIREWALL_UNIT" "$FIREWALL_DROP_IN" @firewall); fi
  receipt host "$1" "${things[@]}"
}

# Article: apt-get update and dist-upgrade. Waits for another apt to finish.
upgrade() {
  apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
  apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold dist-upgrade >&2
}

# A user that somebody deleted comes back with its old number, which the data and a running etcd still have.
user() {
  local id
  if ! getent passwd etcd >/dev/null; then
    id=$(cat "$STATE/made-user" 2>/dev/null || true)
    # Written first: a user made just before a power cut is known as ours all the same.
    printf '%s\n' "$id" >"$STATE/made-user"
    if ! getent group etcd >/dev/null; then groupadd --system ${id:+--gid "$id"} etcd; fi
    useradd --system --gid etcd ${id:+--uid "$id"} --home-dir "$DATA" --no-create-home --shell /usr/sbin/nologin etcd
    id -u etcd >"$STATE/made-user"
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

# 2380 for members only, 2379 for members and the configured client networks; everything else is none of our business.
firewall() {
  local members4 members6 clients4 clients6
  members4=$(awk '$2 !~ /:/ { print $2 }' <<<"$NODES" | paste -sd , -)
  members6=$(awk '$2 ~ /:/ { print $2 }' <<<"$NODES" | paste -sd , -)
  clients4=$(grep -v : <<<"$CLIENT_NETWORKS" | paste -sd , - || true)
  clients6=$(grep : <<<"$CLIENT_NETWORKS" | paste -sd , - || true)
  {
    echo '# Managed by etcd on Pulumi. Changes made here are seen as drift and taken back.'
    echo 'add table inet etcd'
    echo 'delete table inet etcd'
    echo 'table inet etcd {'
    echo '  chain input {'
    echo '    type filter hook input priority -10; policy accept;'
    echo '    iif lo accept'
    [ -z "$members4" ] || echo "    tcp dport { 2379, 2380 } ip saddr { $members4 } accept"
    [ -z "$members6" ] || echo "    tcp dport { 2379, 2380 } ip6 saddr { $members6 } accept"
    [ -z "$clients4" ] || echo "    tcp dport 2379 ip saddr { $clients4 } accept"
    [ -z "$clients6" ] || echo "    tcp dport 2379 ip6 saddr { $clients6 } accept"
    echo '    tcp dport { 2379, 2380 } drop'
    echo '  }'
    echo '}'
  } | put 0644 root:root "$FIREWALL_RULES"
  put 0644 root:root "$FIREWALL_UNIT" <<'UNIT'
# Managed by etcd on Pulumi. Changes made here are seen as drift and taken back.
[Unit]
Description=Packet filter for etcd's ports
DefaultDependencies=no
Before=network-pre.target shutdown.target etcd.service
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/etcd-firewall.nft
ExecStop=-/usr/sbin/nft delete table inet etcd

[Install]
WantedBy=multi-user.target
UNIT
  {
    echo '# Managed by etcd on Pulumi. Changes made here are seen as drift and taken back.'
    echo '[Service]'
    echo 'IPAddressDeny=any'
    echo 'IPAddressAllow=localhost'
    awk 'NF == 2 { print "IPAddressAllow=" $2 }' <<<"$NODES"
    awk 'NF { print "IPAddressAllow=" $1 }' <<<"$CLIENT_NETWORKS"
  } | put 0644 root:root "$FIREWALL_DROP_IN"
  nft -f "$FIREWALL_RULES"
  systemctl daemon-reload
  systemctl --quiet enable etcd-firewall.service
  # «start» of an active unit runs nothing, and the rules are loaded already: the unit only has to know of them.
  systemctl start etcd-firewall.service
}

remove_firewall() {
  if [ -e "$FIREWALL_UNIT" ]; then
    systemctl --quiet disable --now etcd-firewall.service || true
    rm -f "$FIREWALL_UNIT" "$FIREWALL_DROP_IN"
    rmdir "$(dirname "$FIREWALL_DROP_IN")" 2>/dev/null || true
    systemctl daemon-reload
  fi
  rm -f "$FIREWALL_RULES"
  if command -v nft >/dev/null; then nft delete table inet etcd 2>/dev/null || true; fi
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
