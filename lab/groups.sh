# shellcheck shell=bash
# Every process of a lab lives in a control group named after the lab and its part (operator,
# mirror, one per host). That is how the lab finds, counts and ends exactly its own processes,
# also those of a predecessor that left no other trace.

# Prints the cgroup file systems that carry a lab's groups, the one to read from first. On a
# hybrid machine systemd-nspawn needs the place in both.
group_roots() {
  local root found=1
  for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    if [[ -w $root/cgroup.procs ]]; then
      printf '%s\n' "$root"
      found=0
    fi
  done
  return $found
}

mapfile -t GROUP_ROOTS < <(group_roots)

# enter_group GROUP: moves the calling (sub)shell.
enter_group() {
  local root
  for root in "${GROUP_ROOTS[@]}"; do
    mkdir -p "$root/etcd-lab-$LAB_ID/$1"
    printf '%s\n' "$BASHPID" >"$root/etcd-lab-$LAB_ID/$1/cgroup.procs"
  done
}

# find_group PATH: sets PIDS to the processes of a group and everything below it; returns 1 when
# there are none.
find_group() {
  local directory=${GROUP_ROOTS[0]}/$1
  PIDS=()
  [[ -d $directory ]] || return 1
  # A group may vanish while it is read.
  mapfile -t PIDS < <(find "$directory" -name cgroup.procs -exec cat {} + 2>/dev/null)
  [[ ${#PIDS[@]} -gt 0 ]]
}

# find_part PART: the same for one part of this lab.
find_part() { find_group "etcd-lab-$LAB_ID/$1"; }

# end_group PATH: SIGKILL to all of it, then removes the groups. Returns 1 if something of it is
# still there after ten seconds.
end_group() {
  local tries root
  for ((tries = 0; tries < 200; tries++)); do
    if find_group "$1"; then
      kill -KILL "${PIDS[@]}" 2>/dev/null || true
    else
      for root in "${GROUP_ROOTS[@]}"; do
        [[ ! -d $root/$1 ]] || find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
      done
      [[ -d ${GROUP_ROOTS[0]}/$1 ]] || return 0
    fi
    sleep 0.05
  done
  return 1
}

# spawn GROUP LOG COMMAND...: a process that outlives the caller and holds none of its files.
spawn() {
  local group=$1 log=$2
  shift 2
  (
    [[ -z ${LAB_LOCK:-} ]] || exec {LAB_LOCK}>&-
    enter_group "$group"
    cd /
    exec setsid "$@" </dev/null >>"$log" 2>&1
  ) &
}
