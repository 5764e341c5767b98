# shellcheck shell=bash
# The hosts: who they are, their disks and their power switch.

HOSTS=(etcd01 etcd02 etcd03 etcd04 etcd05 etcd06 etcd07)
DEFAULT_NODES=4

require_host() {
  [[ " ${HOSTS[*]} " == *" $1 "* ]] ||
    usage_error "there is no host \"$1\", the hosts are ${HOSTS[*]}"
}

host_address() { printf '192.168.1.%d' $((82 + 10#${1#etcd})); }

# The number of hosts the lab runs: what the last `up` asked for.
node_count() {
  if [[ -s $STATE/nodes ]]; then cat "$STATE/nodes"; else printf '%s' "$DEFAULT_NODES"; fi
}

# Sets LEADER to the host's process 1, or returns 1 when the host is off. Process 1 of a host is
# the one that is 1 in the second process namespace that this machine sees it in. A host that
# lost its supervisor does not count: it could not reboot.
find_leader() {
  local files
  LEADER=
  find_part "$1" || return 1
  files=("${PIDS[@]/#//proc/}")
  # cat goes on when one of them has ended since; awk does not.
  LEADER=$(cat "${files[@]/%//status}" 2>/dev/null |
    awk '/^Name:/ && $2 == "systemd-nspawn" { supervised = 1 }
      /^NSpid:/ && NF == 3 && $3 == 1 { leader = $2 }
      END { if (supervised) print leader }') || true
  [[ -n $LEADER ]]
}

host_is_ready() {
  find_leader "$1" && [[ $(cat "$STATE/hosts/$1/ready" 2>/dev/null) == "$LEADER" ]]
}

# systemd and its services on a host take so many of what the kernel gives each user, here root for all hosts of all labs.
INOTIFY_OF_HOST=5

# warn_of_inotify COUNT: before so many hosts are booted, or when one does not come up. A host without never gets as far as its sshd,
# and only its journal says why.
warn_of_inotify() {
  local used limit
  limit=$(cat /proc/sys/fs/inotify/max_user_instances)
  used=$(find /proc/[0-9]*/fd -uid 0 -lname anon_inode:inotify 2>/dev/null | wc -l) || true
  if ((used + $1 * INOTIFY_OF_HOST > limit)); then
    note "root has $used of the $limit inotify instances that this machine allows, and a host takes $INOTIFY_OF_HOST: it may not come up; take another lab down, or: sysctl fs.inotify.max_user_instances=1024"
  fi
}

# power_on HOST: starts the boot and returns; OPERATOR_PID must be set.
power_on() {
  local directory=$STATE/hosts/$1
  ensure_rootfs "$(suite_of "$1")"
  end_group "etcd-lab-$LAB_ID/$1" || die "processes of an earlier $1 do not end"
  mkdir -p "$directory/disk/upper" "$directory/disk/work"
  rm -f "$directory/ready"
  spawn "$1" "$STATE/logs/$1.log" env -i PATH="$PATH" HOME="$HOME" LAB_NAME="$LAB_NAME" \
    unshare --net --mount --propagation private -- \
    bash "$LAB_SOURCE/host-main.sh" "$1" "$ROOTFS" "$OPERATOR_PID"
}

# await_login HOST...: until each of them accepts an SSH login.
await_login() {
  local host failed=0 waits=()
  for host in "$@"; do
    (login_loop "$host") &
    waits+=("$!")
  done
  for host in "$@"; do
    if wait "${waits[0]}"; then
      find_leader "$host" && printf '%s' "$LEADER" >"$STATE/hosts/$host/ready"
    else
      note "$host accepts no SSH login after 60 s, the end of $STATE/logs/$host.log:"
      tail -n 15 "$STATE/logs/$host.log" | sed 's/^/    /' >&2
      failed=1
    fi
    waits=("${waits[@]:1}")
  done
  [[ $failed -eq 0 ]] || {
    warn_of_inotify 1
    die "not all hosts came up"
  }
}

login_loop() {
  local address deadline
  address=$(host_address "$1")
  deadline=$((SECONDS + 60))
  # shellcheck disable=SC2016 # the inner shell's own argument
  until in_operator bash -c ': <"/dev/tcp/$1/22"' - "$address" 2>/dev/null &&
    in_operator ssh -F none -i "$STATE/ssh/id_ed25519" -o BatchMode=yes -o ConnectTimeout=2 \
      -o UserKnownHostsFile="$STATE/ssh/known_hosts" -o StrictHostKeyChecking=yes \
      "root@$address" true </dev/null 2>/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# power_cut HOST: the network goes first, or the dying processes would still say goodbye to their
# peers, which a machine without power does not.
power_cut() {
  rm -f "$STATE/hosts/$1/ready"
  if find_operator; then
    in_operator ip link set "$1" down 2>/dev/null || true
  fi
  end_group "etcd-lab-$LAB_ID/$1" || die "processes of $1 do not end"
  ! find_operator || in_operator ip link delete "$1" 2>/dev/null || true
}

# shut_down HOST...: in order, all at once, but never longer than some seconds.
shut_down() {
  local host deadline=$((SECONDS + 6))
  for host in "$@"; do
    # systemd takes this signal for `halt`.
    ! find_leader "$host" || kill -RTMIN+3 "$LEADER" 2>/dev/null || true
  done
  for host in "$@"; do
    while find_leader "$host" && ((SECONDS < deadline)); do sleep 0.05; done
    power_cut "$host"
  done
}

new_disk() { rm -rf --one-file-system "$STATE/hosts/$1/disk"; }
