# shellcheck shell=bash
# One function per verb: reads the arguments, takes the lock where something changes.

verb_up() {
  local count
  count=$(node_count)
  if [[ $# -gt 0 ]]; then
    [[ $# -eq 2 && $1 == --nodes && $2 =~ ^[1-7]$ ]] ||
      usage_error "up takes --nodes 1 to 7, got \"$*\""
    count=$2
  fi
  lock_lab
  lab_up "$count"
  announce_stand_ins
}

verb_down() {
  [[ $# -eq 0 || $* == --purge ]] || usage_error "down takes nothing or --purge, got \"$*\""
  if [[ -d $STATE ]]; then
    lock_lab
    lab_down
  fi
  [[ $# -eq 0 ]] || rm -rf --one-file-system "$STATE" "$STACK_FILE"
}

verb_run() {
  [[ ${1:-} != -- ]] || shift
  [[ $# -gt 0 ]] || usage_error "run needs a command"
  require_operator
  ensure_pulumi
  ensure_release "$DEFAULT_RELEASE"
  export_environment
  exec nsenter --net="/proc/$OPERATOR_PID/ns/net" -- "$@"
}

verb_exec() {
  [[ $# -gt 0 ]] || usage_error "exec needs a host"
  require_host "$1"
  local host=$1
  shift
  [[ ${1:-} != -- ]] || shift
  [[ $# -gt 0 ]] || usage_error "exec needs a command for $host"
  find_leader "$host" || die "$host is off: npm run lab -- boot $host"
  exec_on_host "$@"
}

# Enters the host whose process 1 is LEADER.
exec_on_host() {
  exec nsenter --target "$LEADER" --mount --uts --ipc --net --pid --cgroup -- \
    /usr/bin/env -i --chdir=/root HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LANG=C.UTF-8 \
    TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

verb_status() {
  local host power count
  [[ $# -eq 0 ]] || usage_error "status takes nothing, got \"$*\""
  count=$(node_count)
  for host in "${HOSTS[@]}"; do
    if find_leader "$host"; then
      power=up
      ! host_is_cut "$host" || power="cut"
      printf '%-7s %-13s %-4s %s\n' "$host" "$(host_address "$host")" "$power" "$(etcd_on_host)"
    elif ((10#${host#etcd} <= count)); then
      printf '%-7s %-13s %-4s\n' "$host" "$(host_address "$host")" off
    fi
  done
}

etcd_on_host() {
  (exec_on_host timeout 5 sh -s 2>/dev/null) <<'END' || printf 'no answer'
state=$(systemctl show --property=ActiveState --value etcd.service)
if [ -x /usr/local/bin/etcd ]; then
  version=$(/usr/local/bin/etcd --version | head -n 1)
  echo "etcd ${version##* } $state"
else
  echo "no etcd"
fi
END
}

# one_host VERB ARGUMENTS...: the verbs that take exactly one host.
one_host() {
  [[ $# -eq 2 ]] || usage_error "$1 takes one host, got \"${*:2}\""
  require_host "$2"
}

verb_kill() {
  one_host kill "$@"
  lock_lab
  require_operator
  power_cut "$1"
}

verb_boot() {
  one_host boot "$@"
  lock_lab
  require_operator
  ! host_is_ready "$1" || return 0
  find_leader "$1" || power_on "$1"
  await_login "$1"
}

verb_wipe() {
  one_host wipe "$@"
  lock_lab
  require_operator
  power_cut "$1"
  new_disk "$1"
  power_on "$1"
  await_login "$1"
}

verb_reset() {
  [[ $# -eq 0 ]] || usage_error "reset takes nothing, got \"$*\""
  lock_lab
  lab_reset
}

verb_save() {
  require_image save "$@"
  lock_lab
  require_operator
  lab_save "$1"
}

verb_load() {
  require_image load "$@"
  lock_lab
  require_operator
  lab_load "$1"
}

# require_image VERB ARGUMENTS...
require_image() {
  [[ $# -eq 2 && $2 =~ ^[a-z0-9-]{1,24}$ ]] ||
    usage_error "$1 takes a name of 1 to 24 lower-case letters, digits and dashes, got \"${*:2}\""
}

verb_release() {
  local version
  [[ $# -gt 0 ]] || usage_error "release needs a version such as 3.6.14"
  for version in "$@"; do
    ensure_release "$version"
    # What etcd:sha256 wants to know.
    printf '%s %s %s\n' "${version#v}" "$ARCH" "$(release_digest)"
  done
}

verb_cut() {
  local host
  [[ $# -gt 0 ]] || usage_error "cut needs a host"
  for host in "$@"; do require_host "$host"; done
  lock_lab
  require_operator
  cut_hosts "$@"
}

verb_heal() {
  [[ $# -eq 0 ]] || usage_error "heal takes nothing, got \"$*\""
  lock_lab
  require_operator
  heal_hosts
}

# Prints the file that says of the repository what a stack's configuration needs.
verb_repository() {
  local kind=${1:-} act=${2:-start} host
  require_repository "$kind"
  case $act in
    start | stop | clear) [[ $# -le 2 ]] || usage_error "repository $kind $act takes nothing, got \"${*:3}\"" ;;
    cut) [[ $# -gt 2 ]] || usage_error "repository $kind cut needs a host" ;;
    *) usage_error "repository $kind takes start, stop, clear or cut HOST..., got \"$act\"" ;;
  esac
  for host in "${@:3}"; do require_host "$host"; done
  require_operator
  # A build may take minutes, in which the lab is free for others.
  [[ $act != start && $act != clear ]] || ensure_server "$kind"
  lock_lab
  require_operator
  case $act in
    start)
      start_repository "$kind"
      printf '%s\n' "$STATE/repositories/$kind/backup.json"
      ;;
    stop) stop_repository "$kind" ;;
    clear) clear_repository "$kind" ;;
    cut) cut_server "${REPOSITORY_PORTS[$kind]}" "${@:3}" ;;
  esac
}
