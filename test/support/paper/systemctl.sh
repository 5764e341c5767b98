#!/usr/bin/env bash
# systemctl of a paper host: keeps a list of its calls and answers from files beside it. What etcd does when it is started is
# told by /var/paper/on-start, what the one does that goes through a journal by /var/paper/on-replay.
printf '%s\n' "$*" >>/var/paper/systemctl
case $1 in
  --version) echo "systemd $(cat /var/paper/version) (paper)" ;;
  is-active) cat /var/paper/active; grep -qx active /var/paper/active ;;
  is-enabled) cat /var/paper/enabled; grep -qx enabled /var/paper/enabled ;;
  show) if [ "${*: -1}" = etcd-replay.service ]; then cat "/var/paper/replay-$3"; else cat "/var/paper/property-$3"; fi 2>/dev/null || echo ;;
  start | restart)
    printf '%s%s\n' "$RANDOM" "$RANDOM" >/var/paper/property-InvocationID
    if [ "${*: -1}" = etcd-replay.service ]; then
      if bash /var/paper/on-replay; then echo active; else echo failed; fi >/var/paper/replay-ActiveState
    fi
    if [ "${*: -1}" = etcd-backup.service ]; then bash /var/paper/on-backup || exit; fi
    if [ "${*: -1}" = etcd.service ] && [ -e /var/paper/on-start ]; then bash /var/paper/on-start; fi
    ;;
esac
