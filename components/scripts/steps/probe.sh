#!/usr/bin/env bash
# The read-only inspection of a host that every preview and up begins with. Prints, between its marks, lines of "word rest" and nothing else.
# The words are those of the table in components/hosts/probe-words.ts, which docs/protocol.md shows.
# Takes MARK, what lib/host.sh takes, VERSION, JOBS, RECOVER_SNAPSHOT (a path, latest, an ID in the repository, or nothing), and in an up HOLDER.
# For one in the repository also RECOVER_OF, the clusters that it may be of, and what lib/repository.sh takes.

probe() {
  local step snapshot release revision active=inactive
  local -a firewall_drift=() timer_drift=() receipts=() missing=()
  doing "looking at the host"
  missing_commands "$LOOK_COMMANDS"
  if [ "${#missing[@]}" -eq 0 ]; then take_lock; fi
  begin_answer
  # In microseconds, whatever the locale has between them and the seconds.
  local clock=${EPOCHREALTIME/[!0-9]/}
  printf 'clock %s\n' "${clock%???}"
  if [ "${#missing[@]}" -gt 0 ]; then
    # The rest of the inspection calls them.
    printf 'finding always %s\n' "${missing[@]:0:20}"
    end_answer
    return
  fi
  tell_lock
  if [ -n "${HOLDER:-}" ]; then tell_scripts; fi
  if [ -f "$STATE/version" ]; then printf 'program %s\n' "$(<"$STATE/version")"; fi
  # As many as the program takes, with those that its data and its member add.
  findings | awk 'NR < 18 { print "finding", $0 } END { if (NR > 17) print "finding and", NR - 17, "more findings" }'
  if [ ! -d "$DATA/member/wal" ]; then echo empty; fi
  if [ -e "$FORMED" ]; then
    echo bootstrapped
    lines_of node "$STATE/nodes"
    release=$(readlink /usr/local/bin/etcd || true)
    if [[ $release =~ ^"$RELEASES"/v([0-9.]*)/etcd$ ]]; then echo "installed ${BASH_REMATCH[1]}"; fi
  fi
  identity
  if [ -f "$STATE/token" ]; then printf 'token %s\n' "$(<"$STATE/token")"; fi
  if [ -f "$STATE/wanted" ]; then printf 'desired-digest %s\n' "$(<"$STATE/wanted")"; fi
  if [ -f "$STATE/version-snapshot" ] && snapshot=$(<"$STATE/version-snapshot") && [ -f "${snapshot##* }" ]; then
    echo "snapshot $snapshot"
  fi
  certificates
  kubernetes
  clients
  if [ -f "$TRUST_MARK" ]; then printf 'trusts %s\n' "$(paste -sd ' ' "$TRUST_MARK")"; fi
  if [ -f "$ISSUER_MARK" ]; then printf 'issuer %s\n' "$(<"$ISSUER_MARK")"; fi
  tell_jobs
  unit_differences
  if [ -e "$FORMED" ] && [ "$active" = active ]; then member_differences; else stopped_data; fi
  for step in host binaries files jobs member; do
    [ -f "$STATE/receipts/$step" ] || continue
    receipts+=("$STATE/receipts/$step" "drift $step ")
    revision=
    IFS= read -r revision <"$STATE/receipts/$step" || true
    printf 'receipt %s %s\n' "$step" "${revision#revision }"
    if [ "$step" = host ] && [ "${#firewall_drift[@]}" -gt 0 ]; then printf 'drift host %s\n' "${firewall_drift[@]}"; fi
    if [ "$step" = jobs ] && [ "${#timer_drift[@]}" -gt 0 ]; then printf 'drift jobs %s\n' "${timer_drift[@]}"; fi
  done
  differences "${receipts[@]}"
  end_answer
}

# lines_of WORD FILE: the lines of FILE, if there is one, each after the word.
lines_of() {
  local line
  [ -f "$2" ] || return 0
  while IFS= read -r line; do
    if [ -n "$line" ]; then printf '%s %s\n' "$1" "$line"; fi
  done <"$2"
}

findings() {
  preflight_findings
  if [ -e "$STATE/receipts/host" ]; then
    data_warnings
    new_neighbours_reachable
  fi
  disk_findings
}

# identity: whose data lies here, and whose is to; what a recovery has to go by.
identity() {
  local found file
  found=$(data_identity)
  if [ -n "$found" ]; then echo "data $found$(if is_nobodys; then echo " unmanaged"; elif is_left "${found#* }"; then echo " left"; fi)"; fi
  if [ -f "$IDENTITY" ]; then echo "identity $(<"$IDENTITY")"; fi
  lines_of peer-urls-seen "$KNOWN_MEMBERS"
  if [ -f "$RECOVERED" ]; then echo "recovered $(<"$RECOVERED")"; fi
  for file in "$BACKUPS"/recovery-*.db; do
    if [ -e "$file" ]; then
      file=${file##*/recovery-}
      case ${file%.db} in *[!0-9a-f]*) ;; *) echo "recovering ${file%.db}" ;; esac
    fi
  done
  case ${RECOVER_SNAPSHOT:-} in
    "") ;;
    /*) snapshot_file ;;
    *) snapshot_remote ;;
  esac
}

# snapshot_remote: what would come back, of whatever cluster it is: the program says whether it may. Nothing on a host without restic, which the
# step "install" puts there.
snapshot_remote() {
  local list
  local -a facts
  # The recovery that the configuration still asks for is done.
  if [ "$(cat "$RECOVERED" 2>/dev/null || true)" = "${RECOVER_OF%%,*}" ]; then return; fi
  command -v restic >/dev/null || return 0
  # An inspection leaves nothing behind, and one that was killed no more than this.
  REPOSITORY_PLACE=$LOOK_PLACE.$$
  clear_places
  if [ -n "$REPOSITORY_KEY" ]; then (umask 077 && mkdir -p "$REPOSITORY_PLACE"); fi
  export ASK_SECONDS=$REMOTE_SECONDS
  if list=$(list_snapshots); then
    read -r -a facts < <(remote_facts <<<"$list") || true
    if [ "${#facts[@]}" -eq 0 ]; then
      echo "snapshot-unread the repository $(repository_name) has no such snapshot"
    elif [[ " ${facts[*]:0:6} " == *" - "* ]]; then
      echo "snapshot-unread in the repository $(repository_name) it is a snapshot of something else than etcd"
    else
      echo "snapshot-remote ${facts[*]:0:6}"
    fi
  else
    echo "snapshot-unread the repository $(repository_name) cannot be read: $list"
  fi
  rm -rf "$REPOSITORY_PLACE"
}

# remote_facts: of the lines of list_snapshots the one that is asked for; the latest of one of these clusters, or else of any.
remote_facts() {
  local list
  list=$(cat)
  if [ "$RECOVER_SNAPSHOT" != latest ]; then
    awk -v id="${RECOVER_SNAPSHOT:0:8}" '$1 == id' <<<"$list"
  else
    { awk '$5 != "-"' <<<"$list" | newest; of_clusters "$RECOVER_OF" <<<"$list" | newest; } | tail -n 1
  fi
}

# For the key to the repository's server while it is asked.
LOOK_PLACE=/run/etcd-on-pulumi.look
# Within these seconds the repository answers.
REMOTE_SECONDS=20

# clear_places: of inspections that were killed.
clear_places() {
  local place
  for place in "$LOOK_PLACE".[0-9]*; do
    if [ -d "$place" ] && [ ! -e "/proc/${place##*.}" ]; then rm -rf "$place"; fi
  done
}

# snapshot_file: when it was taken and up to which revision it goes, "-" on a host that has no etcdutl to tell; nothing when it
# is no snapshot.
snapshot_file() {
  local revision
  [ -f "$RECOVER_SNAPSHOT" ] || return 0
  revision=$(revision_of "$RECOVER_SNAPSHOT")
  if ! etcdutl_here >/dev/null; then revision=-; fi
  if [ -n "$revision" ]; then echo "snapshot-file $(stat -L -c %Y "$RECOVER_SNAPSHOT") $revision"; fi
}

# revision_of DATABASE [as_etcd]: nothing when it cannot be read in time, for example because an etcd has it open.
revision_of() {
  local tool
  tool=$(etcdutl_here) || return 0
  # It maps the whole database.
  { AS_ETCD_MEGABYTES=unlimited ${2:+"$2"} timeout 5 "$tool" snapshot status "$1" --write-out json 2>/dev/null || true; } |
    head -c 4096 | sed -n 's/.*"revision":\([0-9]\{1,20\}\).*/\1/p'
}

etcdutl_here() {
  local tool
  for tool in /usr/local/bin/etcdutl "$RELEASES"/v*/etcdutl; do
    if [ -x "$tool" ]; then
      echo "$tool"
      return
    fi
  done
  return 1
}

# unit_differences: what keeps systemd from running etcd as the files say, and what the running etcd does not have from them, in
# words, one a line. Leaves etcd's state in "active", and in "firewall_drift" and "timer_drift" the same about the packet filter's unit and
# the timers, for which the receipts of the host and of the jobs answer.
unit_differences() {
  local name value path pid=0 overrides="" index=0
  local -a units states=() enabled=() told
  mapfile -t units < <(echo etcd.service && timers_of_receipt)
  if [ -f "$STATE/receipts/host" ] && [[ $(<"$STATE/receipts/host") == *" $FIREWALL_UNIT"* ]]; then units+=(etcd-firewall.service); fi
  # A paragraph for each unit, its properties in an order of systemd's own.
  while IFS="=" read -r name value; do
    case $index$name in
      ?ActiveState) states[index]=$value ;;
      0DropInPaths) overrides=$value ;;
      0MainPID) pid=$value ;;
      ?) index=$((index + 1)) ;;
    esac
  done < <(systemctl show --property ActiveState,DropInPaths,MainPID "${units[@]}" 2>/dev/null)
  # Asked of the files, not of systemd's memory: a line for each, but none from the first on that has no file.
  mapfile -t enabled < <(systemctl is-enabled "${units[@]}" 2>/dev/null)
  if [ "${#enabled[@]}" -lt "${#units[@]}" ]; then
    for index in "${!units[@]}"; do enabled[index]=$(systemctl is-enabled "${units[index]}" 2>/dev/null || true); done
  fi
  active=${states[0]:-inactive}
  unit_words "${units[0]}" "$active" "${enabled[0]}" unit
  for path in $overrides; do
    case $path in "$FIREWALL_DROP_IN" | */service.d/*) continue ;; esac
    echo "unit etcd.service is overridden by $path"
  done
  while read -r value; do echo "unit $value"; done < <(process_differences "$pid" /usr/local/bin/etcd)
  for index in "${!units[@]}"; do
    if [ "$index" -eq 0 ]; then continue; fi
    mapfile -t told < <(unit_words "${units[index]}" "${states[index]:-inactive}" "${enabled[index]}")
    case ${units[index]} in *.timer) timer_drift+=("${told[@]}") ;; *) firewall_drift=("${told[@]}") ;; esac
  done
}

# timers_of_receipt: those that this host is to have.
timers_of_receipt() { [ ! -f "$STATE/receipts/jobs" ] || sed -n 's|.* /etc/systemd/system/\([a-z-]*\.timer\)$|\1|p' "$STATE/receipts/jobs"; }

# unit_words UNIT ACTIVE ENABLED [PREFIX]: a unit is to run now and after the next start of the host.
unit_words() {
  if [ "$2" != active ]; then echo "${4:+$4 }$1 is $2"; fi
  if [ "$3" != enabled ]; then echo "${4:+$4 }$1 is ${3:-missing}"; fi
}

# stopped_data: how far the data of a member goes that does not run; at least, for its journal may go further.
stopped_data() {
  local revision
  if [ -e "$FORMED" ]; then unusable_data | paste -sd ' ' - | sed -n 's/^./finding &/p'; fi
  case $active in inactive | failed) ;; *) return ;; esac
  [ -f "$DATA/member/snap/db" ] || return 0
  revision=$(revision_of "$DATA/member/snap/db" as_etcd)
  if [ -n "$revision" ]; then echo "revision $revision"; fi
}

# So many revisions that nobody has ever compacted are told.
MUCH_HISTORY=100000

# history_grows REVISION: up to that one nothing has been compacted, and etcd is not told to.
history_grows() {
  [ "$COMPACTS" = no ] && [[ $1 =~ ^[0-9]{1,18}$ ]] && [ "$1" -gt "$MUCH_HISTORY" ] &&
    etcdctl_as_client --endpoints "$LOCAL" --command-timeout 3s get etcd-on-pulumi --rev 1 --consistency s --keys-only >/dev/null 2>&1
}

# member_differences: what the running member says of itself; "leader" when it leads.
member_differences() {
  local name value version="" cluster="" leader="" id="" errors="" downgrading="" target="" learner="" size="" quota="" revision=""
  while IFS=: read -r name value; do
    value=${value:0:400}
    value=${value# }
    value=${value#\"}
    value=${value%\"}
    case $name in
      '"Version" ') version=$value ;;
      '"ClusterID" ') cluster=$value ;;
      '"Leader" ') leader=$value ;;
      '"MemberID" ') id=$value ;;
      '"IsLearner" ') learner=$value ;;
      '"DBSize" ') size=$value ;;
      '"DBSizeQuota" ') quota=$value ;;
      '"Revision" ')
        revision=$value
        echo "revision $value"
        ;;
      '"Errors" ') errors=$value ;;
      '"DowngradeEnabled" ') downgrading=$value ;;
      '"DowngradeTargetVersion" ') target=$value ;;
    esac
  done < <(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 3s endpoint status --write-out fields 2>/dev/null)
  # Something else in etcdctl's place may succeed and say nothing.
  if [ -z "$version" ] || [[ ! $cluster.$id.$leader =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
    echo 'unit etcd does not answer on https://127.0.0.1:2379'
    return
  fi
  printf 'version %s\nruns %x %x %x\n' "$version" "$cluster" "$id" "$leader"
  if [ "$leader" = "$id" ]; then
    echo leader
    if [ "$downgrading" = true ]; then downgrade "$target" "$version"; fi
    if history_grows "$revision"; then
      echo "warning has the history of all $revision revisions, which nothing compacts, so its database grows until it has reached its quota; set etcd:settings.auto-compaction-retention, for example to 1h, unless what uses etcd is to compact it"
    fi
  fi
  # Everybody says who is there: one host's word is not enough. Who of them answers is asked by the leader, and when nodes come or go
  # by everybody: the leader may be one that is not inspected any more.
  if [ "$leader" = "$id" ] || [ -e "$STATE/changing" ] || ! same_nodes; then
    refused_client "$LOCAL" | sed 's/^/finding always /'
    live_members yes
  elif [ "${leader:-0}" != 0 ]; then
    live_members no
  fi
  if [ "$learner" = true ]; then echo 'unit its member is still a learner'; fi
  quota=${quota:-$(quota_told)}
  # Something else in etcdctl's place, or an etcd without a quota.
  if [[ "$size $quota" =~ ^[0-9]+\ [1-9][0-9]*$ ]]; then echo "database $size $quota"; fi
  reported "$errors"
  # A version that the configuration asks to change shows in the member's own step.
  # shellcheck disable=SC2153 # VERSION is the configured one, version the one that runs
  if [ "$(readlink /usr/local/bin/etcd)" = "$RELEASES/v$VERSION/etcd" ] && [ "$version" != "$VERSION" ]; then
    echo "unit still runs etcd $version"
  fi
}

# quota_told: the flag of the running etcd, of which 3.5 does not say what it means.
quota_told() {
  local quota
  quota=$(process_of "$(unit_property MainPID)" 2>/dev/null | sed -n 's/^--quota-backend-bytes=\([0-9]*\)$/\1/p')
  if [ "${quota:-0}" -eq 0 ]; then quota=$DEFAULT_QUOTA; fi
  printf '%s' "$quota"
}

# reported ERRORS: as etcd prints them. Whom an alarm CORRUPT is about that names no member, the members' hashes tell.
reported() {
  local kind id rest list
  if [ -z "$1" ] || [ "$1" = '[]' ]; then return; fi
  alarms_in "$1" | sort -u | while read -r kind id; do
    if [ "$kind $id" = 'CORRUPT 0' ] && list=$(members "$LOCAL"); then
      { differing "$list" || true; } | grep '.' || echo '0 -'
    else
      echo "$id -"
    fi | awk -v kind="$kind" '{ print "alarm", kind, $1 }'
  done
  rest=$(sed -E 's/(memberID: *[0-9]+ +)?alarm: *[A-Z]+//g; s/^\[ *//; s/ *\]$//' <<<"$1")
  if [ -n "$rest" ]; then echo "unit the cluster reports $rest"; fi
}

# downgrade TARGET RUNNING: the cluster is on its way down a series. That is something to repair when the configuration says
# otherwise, and when the leader, whose turn is last, has arrived.
downgrade() {
  local target
  target=$(cut -d . -f 1,2 <<<"$1")
  printf 'downgrade %s\n' "$target"
  if [ "$(cut -d . -f 1,2 <<<"$VERSION")" != "$target" ]; then
    echo "unit a downgrade of the cluster to $target is in progress"
  elif [ "$2" = "$VERSION" ]; then
    echo "unit the downgrade of the cluster to $target is not complete"
  fi
}

# live_members ASK: the member list, and with ASK who of them answers, all asked at once; as "healthy" in etcd.sh, whatever alarms are
# raised.
live_members() {
  local list endpoints="" health="" id name peers learner started
  list=$(member_list "$LOCAL") || return 0
  # One that nothing may handle is said in words; the rest of its list is no list.
  if grep '^foreign ' <<<"$list"; then return; fi
  while read -r id name peers learner started; do
    if [ "$started" = yes ]; then endpoints=$endpoints,$(client_url "$peers"); fi
  done <<<"$list"
  if [ -n "$endpoints" ] && [ "$1" = yes ]; then
    health=$(etcdctl_as_client --endpoints "${endpoints#,}" --command-timeout 3s endpoint health 2>&1 |
      sed -n 's/^\(https:[^ ]*\) is healthy:.*/\1/p; s/^\(https:[^ ]*\) is unhealthy:.*Active Alarm(s).*/\1/p') || true
  fi
  while read -r id name peers learner started; do
    [ -n "$id" ] || continue
    if [ "$started" = yes ] && [[ $'\n'$health$'\n' == *$'\n'"$(client_url "$peers")"$'\n'* ]]; then started=yes; else started=no; fi
    printf 'member %s %s %s %s %s\n' "$name" "$peers" "$learner" "$started" "$id"
  done <<<"$list"
}

# certificates: the public ones of this host, for the program to read their ends; a bundle has several.
certificates() {
  local name pki
  local -a files=()
  pki=$(pki_in_use)
  for name in ca client server peer gateway; do
    if [ -f "$pki/$name.pem" ]; then files+=("$pki/$name.pem"); fi
  done
  [ "${#files[@]}" -gt 0 ] || return 0
  awk '
    /-----BEGIN/ { text = ""; next }
    /-----END/ { name = FILENAME; sub(".*/", "", name); if (++count <= 10) print "certificate", name, substr(text, 1, 16000); next }
    FNR == 1 { count = 0 }
    length(text) < 16000 { gsub(/[^A-Za-z0-9+\/=]/, ""); text = text $0 }' "${files[@]}"
}

# kubernetes: before certificates are put where its reset deletes them.
kubernetes() {
  if [[ $PKI/ != /etc/kubernetes/* ]] || [ -e "$PKI/server.pem" ]; then return; fi
  if command -v kubeadm >/dev/null || command -v kubelet >/dev/null || [ -e /etc/kubernetes/kubelet.conf ]; then
    echo "warning is also a Kubernetes node, and kubeadm reset empties /etc/kubernetes/pki; set etcd:pki.directory to another directory, such as /etc/etcd/pki"
  fi
}

# clients: whom this run may shut out: who is connected when the packet filter is to let fewer networks in, and where the program comes
# from, or when a CA is to be forgotten.
clients() {
  local trusted
  [ -e "$FORMED" ] || return 0
  trusted=$(grep -c '.' "$TRUST_MARK" 2>/dev/null || true)
  if narrows; then
    operator
  elif [ "${trusted:-0}" -lt 2 ]; then
    return
  fi
  { timeout 3 ss -Htn state established '( sport = :2379 )' 2>/dev/null || true; } | awk '
    { peer = $4; sub(/:[0-9]+$/, "", peer); gsub(/[][]/, "", peer); sub(/^::ffff:/, "", peer); sub(/%.*/, "", peer) }
    peer ~ /^[0-9A-Fa-f.:]+$/ && peer !~ /^(127\.|::1$)/ && !(peer in seen) && count < 50 { seen[peer]; count++; print "client", peer }'
}

# narrows: a network that is let in now is none of CLIENT_NETWORKS.
narrows() {
  [ "$FIREWALL" = yes ] || return 1
  [ -f "$FIREWALL_DROP_IN" ] || return 0
  sed -n 's|^IPAddressAllow=\([^/]*/[0-9]*\)$|\1|p' "$FIREWALL_DROP_IN" | grep -qvxF -f <(printf '%s\n' "$CLIENT_NETWORKS")
}

# operator: the address that this session comes from. sudo does not pass it on.
operator() {
  local words=${SSH_CONNECTION:-} pid=$$
  until [ -n "$words" ] || [ "$pid" -le 1 ]; do
    pid=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 2) || return 0
    words=$({ tr '\0' '\n' <"/proc/${pid:-1}/environ"; } 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p') || true
  done
  words=${words%% *}
  words=${words#::ffff:}
  words=${words%%%*}
  if [[ $words =~ ^[0-9A-Fa-f.:]+$ ]]; then echo "operator $words"; fi
}

# differences RECEIPT [PREFIX] ...: what is not as the steps left it, in words, one a line, each with its receipt's prefix. Looks at
# the things of all receipts together.
differences() {
  local index line
  local -a lines before=() now=() prefixes=()
  while [ $# -gt 0 ]; do
    mapfile -t lines <"$1"
    for line in "${lines[@]:1}"; do
      before+=("$line")
      prefixes+=("${2:-}")
    done
    shift "$(($# > 1 ? 2 : 1))"
  done
  mapfile -t now < <(describe "${before[@]##* }")
  for index in "${!before[@]}"; do
    [ "${now[index]}" != "${before[index]}" ] || continue
    while read -r line; do printf '%s%s\n' "${prefixes[index]}" "$line"; done < <(difference "${before[index]}" "${now[index]}")
  done
}

# difference BEFORE NOW: two descriptions of one thing, in words.
difference() {
  local thing
  thing=$(drift_label "${1##* }")
  case $2 in
    absent*) echo "$thing removed" ;;
    "${1%% *}"*) explain "$thing" "$1" "$2" ;;
    *) echo "$thing is a ${2%% *} now, was a ${1%% *}" ;;
  esac
}

drift_label() {
  case $1 in
    @hosts) echo 'block in /etc/hosts' ;;
    @firewall) echo 'firewall table inet etcd' ;;
    @user) echo 'user etcd' ;;
    *) echo "$1" ;;
  esac
}

# explain PATH BEFORE NOW: two descriptions of the same kind that differ.
explain() {
  local -a before now
  read -ra before <<<"$2"
  read -ra now <<<"$3"
  case ${now[0]} in
    link) echo "$1 points to ${now[1]}, not ${before[1]}" ;;
    state) echo "$1 changed" ;;
    *)
      if [ "${before[1]}" != "${now[1]}" ]; then echo "$1 has mode ${now[1]}, not ${before[1]}"; fi
      if [ "${before[2]}" != "${now[2]}" ]; then echo "$1 is owned by ${now[2]}, not ${before[2]}"; fi
      if [ "${now[0]}" = file ] && [ "${before[3]}" != "${now[3]}" ]; then echo "$1 changed"; fi
      ;;
  esac
}
