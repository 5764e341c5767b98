#!/usr/bin/env bash
# What must hold on a host before anything is changed on it. Reads only; prints one finding a line, none when all is well.
# A host that already bears this program's receipt has passed: only what could do harm to it is checked again.

# A finding begins with "always" when it stops every run, with "change" when it stops one that has something to do on this host, with
# "note" when it stops none; without, it stops the first run and is a warning to later ones.
preflight_findings() {
  local words
  # On every host: what would be overwritten, lost or told.
  words=$(misplaced; unmounted_data; belongings_findings; logged_input; refused_schedules)
  if [ -n "$words" ]; then printf 'always %s\n' "${words//$'\n'/$'\n'always }"; fi
  unmet_needs
  overrides_of_all
  if [ -e "$STATE/receipts/host" ]; then
    foreign_etcd
    foreign_data
    # Its address changes.
    # shellcheck disable=SC2153 # ADDRESS is a value, address a neighbour's
    grep -sqxF -e "$NODE $ADDRESS" "$STATE/nodes" || source_address
    return
  fi
  operating_system
  etcd_user
  room
  foreign_etcd
  ports_free
  source_address
  neighbours_reachable <<<"$NODES"
}

# refused_schedules: of the timers. The systemd that is to run them is the judge.
refused_schedules() {
  local unit schedule key words
  if [ -z "${JOBS:-}" ] || ! hash systemd-analyze 2>/dev/null; then return; fi
  while read -r unit _ _ schedule; do
    case $unit in
      etcd-backup) key=etcd:backup.schedule ;;
      etcd-drill) key=etcd:backup.drill ;;
      etcd-maintenance) key=etcd:maintenance.defrag.schedule ;;
      *) continue ;;
    esac
    if ! words=$(elapses "$schedule"); then
      echo "has a systemd that does not take the schedule \"$schedule\" of $key: ${words:-no reason given}; man systemd.time says how to write one"
    elif [ -z "$(longest_gap <<<"$words")" ]; then
      echo "would run $key \"$schedule\" once or never; give it a schedule that comes again"
    fi
  done <<<"$JOBS"
}

# elapses SCHEDULE: the next times, in seconds since the epoch, a line each; or why it is none, and fails.
elapses() {
  local words
  words=$(TZ=UTC systemd-analyze calendar --iterations 10 -- "$1" 2>&1) || {
    tail -n 1 <<<"$words"
    return 1
  }
  sed -nE 's/^ *(Next elapse|Iter\. #[0-9]+|Iteration #[0-9]+): [A-Za-z]+ ([0-9: -]+ UTC)$/\2/p' <<<"$words" | date -f - +%s
}

# longest_gap: in seconds, between such times; nothing where there are not two.
longest_gap() { awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { if (most) print most }'; }

operating_system() {
  local family version architecture
  family=$(sed -n 's/^ID\(_LIKE\)\{0,1\}="\{0,1\}\([^"]*\)"\{0,1\}$/\2/p' /etc/os-release | paste -sd ' ' -)
  case " $family " in
    *" debian "* | *" ubuntu "*) ;;
    *) echo "runs ${family:-an unknown system}; a Debian or Ubuntu host is needed" ;;
  esac
  version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  if [ "${version:-0}" -lt 247 ]; then
    echo "has systemd ${version:-none}; 247 or newer is needed (Debian 11, Ubuntu 22.04)"
  fi
  if ! architecture=$(architecture); then
    echo "is a $(uname -m) machine; etcd is supported on amd64 and arm64"
  elif [[ " $ARCHITECTURES " != *" $architecture "* ]]; then
    echo "is an $architecture machine, and etcd:sha256 has no digest for $architecture; add it"
  fi
}

# etcd_user: one that somebody made is used as it is, if nobody else comes in with it.
etcd_user() {
  local id shell owner
  IFS=: read -r _ _ id _ _ _ shell < <(getent passwd etcd) || return 0
  owner=$(getent passwd "$id" | cut -d : -f 1)
  if [ "$owner" != etcd ]; then
    echo "has a user etcd with the UID $id, which is also that of $owner; give etcd a UID of its own (usermod --uid UID etcd)"
  fi
  case $shell in
    */nologin | */false) ;;
    *) echo "has a user etcd that can log in (with ${shell:-/bin/sh}), and could then read the keys of the cluster; disable its login shell (usermod --shell /usr/sbin/nologin etcd)" ;;
  esac
}

room() {
  local memory disk place=/var/lib
  memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
  if [ "$memory" -lt "$MINIMUM_MEMORY" ]; then
    echo "has $memory MiB of memory; etcd:host.minimumMemory asks for $MINIMUM_MEMORY"
  fi
  if [ -d "$DATA" ]; then place=$DATA; fi
  disk=$(df -Pm "$place" | awk 'NR == 2 { print $4 }')
  if [ "$disk" -lt "$MINIMUM_DISK" ]; then
    echo "has $disk MiB free under $place; etcd:host.minimumDisk asks for $MINIMUM_DISK"
  fi
}

# Another etcd has the ports, the names of the programs or the data directory.
foreign_etcd() {
  local path unit pid ours=no
  if [ -e "$STATE/receipts/host" ]; then ours=yes; fi
  for path in /usr/bin/etcd /usr/sbin/etcd /opt/bin/etcd; do
    is_there "$path" || continue
    case $(readlink "$path" || true) in "$RELEASES"/*) continue ;; esac
    echo "has an etcd that is not this program's at $path; uninstall it first"
  done
  for unit in /etc/systemd/system/etcd2.service /lib/systemd/system/etcd.service /lib/systemd/system/etcd2.service; do
    [ -e "$unit" ] || continue
    echo "has a unit that is not this program's at $unit; remove it first"
  done
  for pid in $(pidof etcd || true); do
    # shellcheck disable=SC2153 # UNIT is base.sh's path of our unit, unit the one that is checked
    if grep -qs '/etcd\.service' "/proc/$pid/cgroup" && { [ "$ours" = yes ] || is_marked "$UNIT"; }; then continue; fi
    echo "runs an etcd that is not this program's: process $pid, $(readlink "/proc/$pid/exe" || echo 'unknown binary'); stop it first"
  done
  if [ "$ours" = yes ] || [ -e "$STATE/receipts/member" ] || [ -e "$FIRST_START" ]; then return; fi
  if mountpoint -q "$DATA/member"; then
    echo "has a mount point at $DATA/member; mount that disk at $DATA instead"
  elif is_there "$DATA/member"; then
    echo "has data of another etcd in $DATA/member; move it away first (mv $DATA/member $DATA/member.foreign)"
  fi
}

# logged_input: the keys of the cluster travel on the standard input of a step. The sudo that this shell runs under has the file open
# that it logs this input to, or sends it to a log server.
logged_input() {
  local process=$$ name value parent log to=
  while [ "${process:-0}" -gt 1 ]; do
    parent=
    while read -r name value; do
      case $name$value in
        Name:sudo)
          log=$(readlink "/proc/$process/fd/"* 2>/dev/null | awk '/\/stdin$/ { print; exit }' || true)
          if [ -n "$log" ]; then to=${log%/stdin}; fi
          ;;
        PPid:*) parent=$value ;;
      esac
    done 2>/dev/null <"/proc/$process/status" || true
    process=$parent
  done
  if [ -z "$to" ] && [ -n "${SUDO_USER:-}" ] && sudo -n -l -U "$SUDO_USER" 2>/dev/null |
    tr -s ' \n' ' ' | awk '/log_servers=/ && /[ ,](log_input|log_stdin)([ ,]|$)|LOG_INPUT:/ { found = 1 } END { exit !found }'; then
    to="a log server"
  fi
  if [ -n "$to" ]; then
    echo "has a sudo that logs its input (log_input, to $to), which would include private keys; add \"Defaults:${SUDO_USER:-USER} !log_input\" to its sudoers, or log in as root"
  fi
}

foreign_data() {
  local stranger
  stranger=$(strangers_data)
  [ -z "$stranger" ] || not_etcds "$stranger"
}

ports_free() {
  local port owner
  for port in 2379 2380 ${METRICS_PORTS:-}; do
    owner=$(ss -Hltnp "sport = :$port" 2>/dev/null | head -n 1)
    [ -z "$owner" ] && continue
    case $owner in
      *'"etcd"'*) ;; # named by foreign_etcd when it is not ours
      *) echo "has port $port in use by $(sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' <<<"$owner"); free it" ;;
    esac
  done
}

# A member's neighbours let it in, and believe its certificate, only when it comes from its own address.
source_address() {
  local name address own from
  own=$(own_address)
  while read -r name address; do
    # Of another family it comes from another address in any case.
    if [ -z "$name" ] || [ "$name" = "$NODE" ] || [[ $address == *:* && $ADDRESS != *:* ]] || [[ $address != *:* && $ADDRESS == *:* ]]; then continue; fi
    from=$(ip -o route get "$address" 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p' || true)
    if [ -n "$from" ] && [ "$from" != "${own:-$ADDRESS}" ]; then
      echo "reaches $name at $address from $from, not from its own address $ADDRESS; make that the source address of its route there"
    fi
  done <<<"$NODES"
}

# same_nodes: as the last run listed them.
same_nodes() { [ -f "$STATE/nodes" ] && [ "$NODES" = "$(<"$STATE/nodes")" ]; }

# new_neighbours_reachable: those that come or move; whether they may is for the program to say, which knows more of them.
new_neighbours_reachable() {
  same_nodes ||
    neighbours_reachable change < <(grep -svxF -f "$STATE/nodes" <<<"$NODES" || true)
}

# Members need both ports of each other. A refused connection is an answer too: it shows that packets pass. Only silence is a finding.
# neighbours_reachable [PREFIX]: of the nodes on standard input.
neighbours_reachable() {
  local name address prefix=${1:+$1 }
  while read -r name address; do
    if [ -z "$name" ] || [ "$name" = "$NODE" ]; then continue; fi
    (
      silent=$({ is_silent "$address" 2379 & is_silent "$address" 2380 & wait; } | sort | paste -sd ' ' -)
      [ -z "$silent" ] || echo "${prefix}unreachable $name: cannot reach $name at $address on port ${silent/ / and }; members need 2379 and 2380 of each other, both ways: open these in the firewalls between them"
    ) &
  done
  wait
}

# is_silent ADDRESS PORT: prints the port when nobody answers there.
is_silent() {
  local message
  # shellcheck disable=SC2016 # the inner shell's own arguments
  if ! message=$(timeout 3 bash -p -c ': <"/dev/tcp/$1/$2"' - "$1" "$2" 2>&1) && [[ $message != *refused* ]]; then echo "$2"; fi
}
