# shellcheck shell=bash
# Bringing a whole lab up and down.

# Labs whose checkout is gone can never be taken down from there: any other lab's `up` does it.
sweep_orphans() {
  local owner directory name
  for owner in "$RUN_ROOT"/*/owner; do
    [[ -f $owner ]] || continue
    { read -r directory && read -r name; } <"$owner" || true
    [[ ! -d $directory/.lab/$name ]] || continue
    note "removing what is left of the lab \"$name\" of $directory, which is gone"
    owner=$(basename "$(dirname "$owner")")
    end_group "etcd-lab-$owner" || note "processes of $directory's lab do not end"
    rm -rf "${RUN_ROOT:?}/$owner"
  done
}

# One state-changing verb at a time; what is started must not inherit the lock.
lock_lab() {
  mkdir -p "$STATE/logs"
  exec {LAB_LOCK}>"$STATE/lock"
  if ! flock -n "$LAB_LOCK"; then
    note "waiting for another command on the lab \"$LAB_NAME\""
    flock -w 1800 "$LAB_LOCK" || die "another command has held the lab for 30 minutes"
  fi
}

ensure_toolchain() {
  require_tools
  start_roots
  require_node_modules
  ensure_pulumi
  ensure_plugins
  ensure_release "$DEFAULT_RELEASE"
  ensure_roots
  trap - EXIT
}

# debootstrap mostly waits for the network and the disk, the compilers for the processors: on a
# cold start they run side by side. In a process group of its own it ends with this command.
start_roots() {
  set -m
  (ensure_roots) &
  ROOTS_BUILDER=$!
  set +m
  trap 'kill -TERM -- "-$ROOTS_BUILDER" 2>/dev/null || true' EXIT
}

# lab_up COUNT: exactly the first COUNT hosts run and accept logins.
lab_up() {
  local count=$1 host start started=() extra=()
  start=$(now_ms)
  sweep_orphans
  choose_suites
  choose_packages
  ensure_toolchain
  ensure_keys
  mkdir -p "$RUN_DIR" "$STATE/backend"
  ln -sfn "$RELEASES" "$STATE/releases"
  printf '%s\n%s\n' "$CHECKOUT" "$LAB_NAME" >"$RUN_DIR/owner"
  printf '%s' "$count" >"$STATE/nodes"
  if ! find_operator; then
    # Hosts without their network are what a crashed lab leaves.
    end_group "etcd-lab-$LAB_ID" || die "processes of an earlier lab do not end"
    start_operator
  fi
  mirror_is_up || start_mirror
  for host in "${HOSTS[@]:count}"; do
    ! find_leader "$host" || extra+=("$host")
  done
  [[ ${#extra[@]} -eq 0 ]] || shut_down "${extra[@]}"
  for host in "${HOSTS[@]:0:count}"; do
    host_is_ready "$host" || started+=("$host")
  done
  [[ ${#started[@]} -eq 0 ]] || warn_of_inotify "${#started[@]}"
  for host in "${started[@]}"; do
    find_leader "$host" || power_on "$host"
  done
  [[ ${#started[@]} -eq 0 ]] || await_login "${started[@]}"
  await_mirror
  ensure_stack
  [[ ${#started[@]} -eq 0 && ${#extra[@]} -eq 0 ]] ||
    note "hosts up: $count, of which ${#started[@]} started now, in $(seconds_since "$start")"
}

lab_down() {
  local host running=()
  for host in "${HOSTS[@]}"; do
    ! find_leader "$host" || running+=("$host")
  done
  [[ ${#running[@]} -eq 0 ]] || shut_down "${running[@]}"
  end_group "etcd-lab-$LAB_ID" || die "some processes of the lab do not end"
  rm -rf "$RUN_DIR"
  rmdir --ignore-fail-on-non-empty "$RUN_ROOT" 2>/dev/null || true
}

# All hosts that should run, on bare new disks, with the network whole.
lab_reset() {
  local host
  for host in "${HOSTS[@]}"; do
    power_cut "$host"
    new_disk "$host"
  done
  rm -f "$STATE"/{cuts,repository-cuts}
  ! find_operator || load_cuts
  lab_up "$(node_count)"
}

# lab_save IMAGE: what lies on the disks after a power cut, and the stacks that belong to it.
lab_save() {
  local host image=$STATE/images/$1
  rm -rf "$image"
  mkdir -p "$image"
  for host in "${HOSTS[@]}"; do
    power_cut "$host"
    [[ ! -d $STATE/hosts/$host/disk ]] || copy_disk "$STATE/hosts/$host/disk" "$image/$host"
  done
  cp -a "$STATE/backend" "$image/backend"
  lab_up "$(node_count)"
}

lab_load() {
  local host image=$STATE/images/$1
  [[ -d $image ]] || die "there is no image \"$1\" of this lab: npm run lab -- save $1"
  for host in "${HOSTS[@]}"; do
    power_cut "$host"
    new_disk "$host"
    [[ ! -d $image/$host ]] || copy_disk "$image/$host" "$STATE/hosts/$host/disk"
  done
  rm -rf "$STATE/backend"
  cp -a "$image/backend" "$STATE/backend"
  heal_hosts
  lab_up "$(node_count)"
}

# copy_disk FROM TO: etcd's journal is mostly a hole.
copy_disk() { cp -a --reflink=auto --sparse=always "$1" "$2"; }
