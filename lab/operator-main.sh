#!/usr/bin/env bash
# Runs inside the new operator namespace, sets it up and then only holds it.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$LAB_SOURCE/groups.sh"
. "$LAB_SOURCE/network.sh"

ip link set lo up
ip link add "$BRIDGE" address 02:00:c0:a8:01:01 type bridge stp_state 0 forward_delay 0
ip address add "$OPERATOR_ADDRESS/24" dev "$BRIDGE"
# Bridged packets must not pass the machine's own IP rules a second time.
for hook in iptables ip6tables arptables; do
  [[ ! -w /proc/sys/net/bridge/bridge-nf-call-$hook ]] ||
    printf 0 >"/proc/sys/net/bridge/bridge-nf-call-$hook"
done
ip link set "$BRIDGE" up
printf '%s' $$ >"$RUN_DIR/operator"
exec -a "etcd-lab-$LAB_NAME-operator" sleep infinity
