#!/usr/bin/env bash
# The timers of this host and what they start: the part "jobs" of the step install. Takes JOBS, lines "UNIT SCRIPT CALL SCHEDULE", and
# JOB_VALUES, the values of the jobs; nothing in both where none is configured.

# All that there may be, whatever is configured now.
JOB_UNITS=(etcd-backup etcd-backup-check etcd-drill etcd-maintenance etcd-maintenance-nospace)
# It looks every few seconds.
FREQUENT=etcd-maintenance-nospace
# A script is sent in less.
ARRIVAL_SECONDS=240

# install_jobs REVISION
install_jobs() {
  local unit script call schedule path
  local -a units=() things=() paths=()
  mapfile -t units < <(configured_jobs)
  remove_units "${units[@]}"
  if [ "${#units[@]}" -eq 0 ]; then
    rm -rf "$STATE/jobs" "$JOB_CACHE"
    receipt jobs "$1"
    return
  fi
  doing "installing the timers"
  [ -d "$STATE/jobs" ] || mkdir -m 0700 "$STATE/jobs"
  install_file 0600 root:root "$JOB_SETTINGS" <<<"$JOB_VALUES"
  things=("$STATE/jobs" "$JOB_SETTINGS")
  ensure_repository
  mapfile -t paths < <(for unit in "${units[@]}"; do job_files "$unit"; done)
  claim "${paths[@]}"
  while read -r unit script call schedule; do
    install_job_script "$script"
    install_file 0644 root:root "$STATE/jobs/$unit.interval" < <(elapses "$schedule" | longest_gap)
    job_service "$unit" "${script%-*}" "$call" | install_file 0644 root:root "/etc/systemd/system/$unit.service"
    job_timer "$unit" "$schedule" | install_file 0644 root:root "/etc/systemd/system/$unit.timer"
    things+=("$STATE/jobs/${script%-*}.sh" "$STATE/jobs/$unit.interval")
  done <<<"$JOBS"
  # Of jobs that are configured no more.
  for path in "$STATE/jobs"/*; do
    case " ${things[*]} " in *" $path "*) ;; *) rm -f "$path" ;; esac
  done
  doing "starting the timers"
  systemctl --quiet --no-reload enable "${units[@]/%/.timer}"
  reload_units "${units[@]/%/.timer}" "${units[@]/%/.service}"
  systemctl start "${units[@]/%/.timer}"
  receipt jobs "$1" "${things[@]}" "${paths[@]}"
  begin_first_backup
}

# begin_first_backup: one that has just been configured would have nothing to show until its next time. The job waits until this run is done.
begin_first_backup() {
  if [ -e "$FORMED" ] && [ -e "$STATE/jobs/etcd-backup.interval" ] && [ ! -e "$RESULTS/backup" ]; then
    systemctl start --no-block etcd-backup.service || true
  fi
}

# install_job_script NAME: the run that has begun this step sends it, maybe after the step's own. What runs it has the last line.
install_job_script() {
  local file deadline=$((SECONDS + ARRIVAL_SECONDS))
  until file=$(whole_script "$1"); do
    if ! lock_is_held || [ "$SECONDS" -ge "$deadline" ]; then
      fail "the script $1 of its timers did not arrive from the run that sends it; run pulumi up again"
    fi
    sleep 0.2
  done
  # shellcheck disable=SC2016 # of the job's shell
  { cat "$file" && printf '%s\n' 'run_job "$@" </dev/null'; } | install_file 0600 root:root "$STATE/jobs/${1%-*}.sh"
  prune_scripts "$SCRIPTS" "${1%-*}"
}

# job_service UNIT SCRIPT CALL: a sandbox as far as root's work allows it. Ends with SIGINT, which restic takes for its cue to unlock its repository.
job_service() {
  local place
  echo '# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.'
  printf '[Unit]\nDescription=Job %s of etcd on Pulumi\n' "${1#etcd-}"
  cat <<'UNIT'
After=network-online.target time-sync.target etcd.service
Wants=network-online.target

[Service]
Type=oneshot
UNIT
  printf 'ExecStart=/bin/bash -p %s/jobs/%s.sh %s\n' "$STATE" "$2" "$3"
  printf 'ReadWritePaths=/run %s -/var/backups -%s\n' "$STATE" "$BACKUPS"
  place=$(local_repository)
  if [ -n "$place" ]; then printf 'ReadWritePaths="-%s"\n' "$(unit_text "$place")"; fi
  # systemd has three lines of its own for each start; those of Debian 12 and newer leave them out then.
  if [ "$1" = "$FREQUENT" ]; then printf 'SyslogLevel=notice\nLogLevelMax=notice\n'; fi
  cat <<'UNIT'
CacheDirectory=etcd-on-pulumi
CacheDirectoryMode=0700
TimeoutStartSec=4h
KillSignal=SIGINT
Nice=10
IOSchedulingClass=idle
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETPCAP CAP_SETUID
UNIT
}

# job_timer UNIT SCHEDULE: the hosts of a cluster are to look at the same moment who leads.
job_timer() {
  echo '# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.'
  printf '[Unit]\nDescription=Starts the job %s of etcd on Pulumi\n\n[Timer]\nOnCalendar=%s\n' "${1#etcd-}" "$2"
  printf 'AccuracySec=1s\n'
  # systemd writes a file each time for that.
  if [ "$1" != "$FREQUENT" ]; then printf 'Persistent=true\n'; fi
  printf '\n[Install]\nWantedBy=timers.target\n'
}

# unit_text TEXT: between double quotes in a unit.
unit_text() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '%s' "${text//%/%%}"
}

# job_value NAME: as the jobs have it; nothing where there is none.
job_value() (
  [ -e "$JOB_SETTINGS" ] || exit 0
  # shellcheck disable=SC1090 # quoted assignments
  . "$JOB_SETTINGS"
  printf '%s' "${!1-}"
)

# local_repository: the directory that one on a disk of this host is made in, which may be where another disk is mounted.
local_repository() {
  local path
  path=$(job_value REPOSITORY)
  path=${path#local:}
  case $path in
    /*/*) printf '%s' "${path%/*}" ;;
    /*) printf '%s' "$path" ;;
  esac
}

# ensure_repository: what a backup to one takes.
ensure_repository() {
  local place
  place=$(local_repository)
  if [ -n "$place" ] && [ ! -d "$place" ]; then
    fail "has no directory $place for etcd:backup.repository ($(job_value REPOSITORY)); make it, or mount its disk there, and run pulumi up again"
  fi
  if lacks_restic; then
    doing "installing restic"
    info "installing the package restic, which etcd:backup.repository needs"
    install_package restic "which etcd:backup.repository needs; install it by hand, and run pulumi up again"
  fi
}

# remove_units UNIT...: all but these, with their results. A job that runs is stopped: etcd's lock is not its own any more (lock.sh).
remove_units() {
  local unit path removed=no
  local -a paths
  for unit in "${JOB_UNITS[@]}"; do
    case " $* " in *" $unit "*) continue ;; esac
    mapfile -t paths < <(job_files "$unit")
    for path in "${paths[@]}"; do
      if { is_there "$path" && is_ours "$path"; } || is_last_word "$path" "$CLAIMS"; then break; fi
      path=
    done
    [ -n "$path" ] || continue
    doing "removing $unit.timer"
    removed=yes
    systemctl --quiet --no-reload disable "$unit.timer" 2>/dev/null || true
    systemctl stop "$unit.timer" "$unit.service" 2>/dev/null || true
    systemctl reset-failed "$unit.service" 2>/dev/null || true
    give_up "${paths[@]}"
    # When its timer elapsed last, which systemd keeps for good.
    rm -f "/var/lib/systemd/timers/stamp-$unit.timer"
    remove_file "$RESULTS/${unit#etcd-}" "$RESULTS/${unit#etcd-}.good"
    rm -f "$RESULTS/${unit#etcd-}.words"
    if [ "$unit" = etcd-drill ]; then remove_drill; fi
  done
  if [ "$removed" = yes ]; then systemctl daemon-reload; fi
}

# remove_drill: what one that was cut off has left: a copy of all data, and perhaps its member.
remove_drill() {
  systemctl stop etcd-drill-member.service 2>/dev/null || true
  systemctl reset-failed etcd-drill-member.service 2>/dev/null || true
  rm -rf "$STATE/drill"
}

# remove_jobs: also on a host that never had any. What was brought off this host stays where it is.
remove_jobs() {
  local repository
  repository=$(job_value REPOSITORY) || repository=
  remove_units
  doing "removing what the jobs leave"
  if [ -n "$repository" ]; then info "the snapshots in the repository $repository are left there"; fi
  rm -rf "$STATE/jobs" "$RESULTS" "$JOB_CACHE" "$STATE/receipts/jobs"
}
