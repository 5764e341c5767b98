#!/usr/bin/env bash
# The packet filter of etcd's ports: written by the host step, narrowed by the gate when members have left.
# Takes NODES FIREWALL CLIENT_NETWORKS MANAGE_HOSTS.

FIREWALL_RULES=/etc/etcd-firewall.nft

# 2380 for members only, 2379 for members and the configured client networks; everything else is none of our business. Others are
# refused, not kept waiting: a host that is to join sees in its preflight that its packets arrive.
# firewall [ADDRESSES]: ADDRESSES, one a line, are let in like members.
firewall() {
  local members members4 members6 clients4 clients6
  members=$(awk 'NF { print $NF }' <<<"$NODES"$'\n'"${1:-}")
  members4=$(joined "$members") members6=$(joined "$members" IPv6)
  clients4=$(joined "$CLIENT_NETWORKS") clients6=$(joined "$CLIENT_NETWORKS" IPv6)
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
    echo '    tcp dport { 2379, 2380 } reject with tcp reset'
    echo '  }'
    echo '}'
  } | put 0644 root:root "$FIREWALL_RULES"
  {
    echo '# Managed by etcd on Pulumi. Changes made here are seen as drift and taken back.'
    cat <<'UNIT'
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
  } | put 0644 root:root "$FIREWALL_UNIT"
  {
    echo '# Managed by etcd on Pulumi. Changes made here are seen as drift and taken back.'
    echo '[Service]'
    echo 'IPAddressDeny=any'
    echo 'IPAddressAllow=localhost'
    awk '{ print "IPAddressAllow=" $1 }' <<<"$members"
    awk 'NF { print "IPAddressAllow=" $1 }' <<<"$CLIENT_NETWORKS"
  } | put 0644 root:root "$FIREWALL_DROP_IN"
  nft -f "$FIREWALL_RULES"
  # Without a reload of all units by itself: one is enough, and often none is needed.
  systemctl --quiet --no-reload enable etcd-firewall.service
  reload_units etcd-firewall.service etcd.service
  # «start» of an active unit runs nothing, and the rules are loaded already: the unit only has to know of them.
  systemctl start etcd-firewall.service
}

# joined ADDRESSES [IPv6]: those of one family, comma separated.
joined() {
  local address list=
  while read -r address; do
    case $address in
      '') ;;
      *:*) [ -z "${2:-}" ] || list=${list:+$list,}$address ;;
      *) [ -n "${2:-}" ] || list=${list:+$list,}$address ;;
    esac
  done <<<"$1"
  printf '%s' "$list"
}

# narrow_firewall: back to members only, when others were let in until they had left.
narrow_firewall() {
  local others
  others=$(sed -n 's/^IPAddressAllow=//p' "$FIREWALL_DROP_IN" 2>/dev/null |
    grep -vxF -e localhost -f <(awk '{ print $NF }' <<<"$NODES"$'\n'"$CLIENT_NETWORKS")) || return 0
  if [ -n "$others" ]; then
    see_off "$others"
    firewall ""
    host_receipt "$(sed -n '1s/^revision //p' "$STATE/receipts/host")"
  fi
}

# see_off ADDRESSES: a member that has left ends when it learns of it, from those that it still asks for votes. Shut out before
# that, it would wait for a leader for good, and nothing on its host would tell that it is out.
see_off() {
  local address deadline=$((SECONDS + 10))
  while read -r address; do
    while answers "$(url "$address" 2379)" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
  done <<<"$1"
}

remove_firewall() {
  if [ -e "$FIREWALL_UNIT" ]; then
    systemctl --quiet disable --now etcd-firewall.service || true
    unput "$FIREWALL_UNIT" "$FIREWALL_DROP_IN"
    rmdir "$(dirname "$FIREWALL_DROP_IN")" 2>/dev/null || true
    systemctl daemon-reload
  fi
  unput "$FIREWALL_RULES"
  if command -v nft >/dev/null; then nft delete table inet etcd 2>/dev/null || true; fi
}

# host_receipt REVISION: what the host step answers for.
host_receipt() {
  local things=("$STATE/nodes" @user)
  if [ "$MANAGE_HOSTS" = yes ]; then things+=(@hosts); fi
  if [ "$FIREWALL" = yes ]; then things+=("$FIREWALL_RULES" "$FIREWALL_UNIT" "$FIREWALL_DROP_IN" @firewall); fi
  receipt host "$1" "${things[@]}"
}
