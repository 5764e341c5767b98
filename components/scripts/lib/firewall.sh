#!/usr/bin/env bash
# The packet filter of etcd's ports: written by the step install, narrowed by the gate when members have left.
# Takes NODES FIREWALL CLIENT_NETWORKS MANAGE_HOSTS METRICS_PORTS (of listeners that the network reaches, with spaces between).

# 2380 for members only, 2379 and the metrics' ports for members and the configured client networks; everything else is none of our
# business. etcd's own unit has one list of addresses for all of its ports, so it lets in whom any of these rules does. Others are
# refused, not kept waiting: a host that is to join sees in its preflight that its packets arrive.
# firewall [ADDRESSES]: ADDRESSES, one a line, are let in like members.
firewall() {
  local members members4 members6 clients4 clients6 all clients=2379
  if [ -n "${METRICS_PORTS:-}" ]; then clients="{ 2379, ${METRICS_PORTS// /, } }"; fi
  all="{ 2379, 2380${METRICS_PORTS:+, ${METRICS_PORTS// /, }} }"
  members=$(awk 'NF { print $NF }' <<<"$NODES"$'\n'"${1:-}")
  members4=$(joined "$members") members6=$(joined "$members" IPv6)
  clients4=$(joined "$CLIENT_NETWORKS") clients6=$(joined "$CLIENT_NETWORKS" IPv6)
  {
    echo '# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.'
    echo 'add table inet etcd'
    echo 'delete table inet etcd'
    echo 'table inet etcd {'
    echo '  chain input {'
    echo '    type filter hook input priority -10; policy accept;'
    echo '    iif lo accept'
    [ -z "$members4" ] || echo "    tcp dport $all ip saddr { $members4 } accept"
    [ -z "$members6" ] || echo "    tcp dport $all ip6 saddr { $members6 } accept"
    [ -z "$clients4" ] || echo "    tcp dport $clients ip saddr { $clients4 } accept"
    [ -z "$clients6" ] || echo "    tcp dport $clients ip6 saddr { $clients6 } accept"
    echo "    tcp dport $all reject with tcp reset"
    echo '  }'
    echo '}'
  } | install_file 0644 root:root "$FIREWALL_RULES"
  {
    echo '# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.'
    # After those that may flush the rules of all when they start.
    cat <<'UNIT'
[Unit]
Description=Packet filter for etcd's ports
DefaultDependencies=no
After=nftables.service ufw.service firewalld.service netfilter-persistent.service
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
  } | install_file 0644 root:root "$FIREWALL_UNIT"
  {
    echo '# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.'
    echo '[Unit]'
    echo 'Wants=etcd-firewall.service'
    echo 'After=etcd-firewall.service'
    echo '[Service]'
    echo 'IPAddressDeny=any'
    echo 'IPAddressAllow=localhost'
    awk '{ print "IPAddressAllow=" $1 }' <<<"$members"
    awk 'NF { print "IPAddressAllow=" $1 }' <<<"$CLIENT_NETWORKS"
  } | install_file 0644 root:root "$FIREWALL_DROP_IN"
  # Debian's nftables.service begins and ends by flushing the rules of all.
  {
    echo '# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.'
    echo '[Service]'
    printf 'Exec%s=-/usr/sbin/nft -f %s\n' StartPost "$FIREWALL_RULES" Reload "$FIREWALL_RULES" StopPost "$FIREWALL_RULES"
  } | install_file 0644 root:root "$FIREWALL_KEEPER"
  nft -f "$FIREWALL_RULES"
  # Without a reload of all units by itself: one is enough, and often none is needed.
  systemctl --quiet --no-reload enable etcd-firewall.service
  reload_units etcd-firewall.service etcd.service nftables.service
  # "start" of an active unit runs nothing, and the rules are loaded already: the unit only has to know of them.
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
    wait_until_closed "$others"
    firewall ""
    host_receipt "$(sed -n '1s/^revision //p' "$STATE/receipts/host")"
  fi
}

# wait_until_closed ADDRESSES: a member that has left ends when it learns of it, from those that it still asks for votes. Shut out before
# that, it would wait for a leader for good, and nothing on its host would tell that it is out.
wait_until_closed() {
  local address deadline=$((SECONDS + 10))
  while read -r address; do
    while answers "$(url "$address" 2379)" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
  done <<<"$1"
}

# remove_firewall: also on a host that never had ours, so nothing of others.
remove_firewall() {
  local path table=no units=no
  if is_ours "$FIREWALL_RULES" || is_in_receipt @firewall; then table=yes; fi
  for path in "$FIREWALL_UNIT" "$FIREWALL_DROP_IN" "$FIREWALL_KEEPER"; do
    if is_there "$path" && is_ours "$path"; then units=yes; fi
  done
  if [ "$units" = yes ]; then
    if is_ours "$FIREWALL_UNIT"; then systemctl --quiet disable --now --no-reload etcd-firewall.service || true; fi
    give_up "$FIREWALL_UNIT" "$FIREWALL_DROP_IN" "$FIREWALL_KEEPER"
    rmdir "${FIREWALL_DROP_IN%/*}" "${FIREWALL_KEEPER%/*}" 2>/dev/null || true
    systemctl daemon-reload
  fi
  give_up "$FIREWALL_RULES"
  if [ "$table" = yes ] && command -v nft >/dev/null; then nft delete table inet etcd 2>/dev/null || true; fi
}

# host_receipt REVISION: what lib/host.sh answers for.
host_receipt() {
  local things=("$STATE/nodes" @user)
  if [ "$MANAGE_HOSTS" = yes ]; then things+=(@hosts); fi
  if [ "$FIREWALL" = yes ]; then things+=("$FIREWALL_RULES" "$FIREWALL_UNIT" "$FIREWALL_DROP_IN" "$FIREWALL_KEEPER" @firewall); fi
  receipt host "$1" "${things[@]}"
}
