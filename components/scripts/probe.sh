#!/usr/bin/env bash
# The read-only look at a host that every preview and up begins with. Prints lines of «word rest»:
#   clock MILLISECONDS | held WORDS | finding TEXT | formed | empty | data CLUSTER MEMBER [nobody's] | identity CLUSTER MEMBER | known PEER_URLS |
#   recovered CLUSTER | recovering CLUSTER | offered SECONDS REVISION | revision N | unit TEXT |
#   version X.Y.Z | leader | member NAME PEER_URLS LEARNER HEALTHY ID | node NAME ADDRESS (as the last run listed them) | token TOKEN | wanted DIGEST | installed X.Y.Z | alarm TEXT | downgrade X.Y |
#   snapshot FROM TO PATH | certificate FILE BASE64 | trust CA... | issuer CA | receipt STEP REVISION | drift STEP TEXT
# Takes the host step's values, PKI, VERSION, RECOVER_SNAPSHOT (a path or nothing), and in an up HOLDER.

probe() {
  local step snapshot active=inactive
  local -a firewall_drift=() receipts=()
  printf 'clock %s\n' "$(date +%s%3N)"
  take_lock
  preflight_findings | sed 's/^/finding /'
  if [ ! -d "$DATA/member/wal" ]; then echo empty; fi
  if [ -e "$FORMED" ]; then
    echo formed
    sed -n 's/^./node &/p' "$STATE/nodes" 2>/dev/null || true
    sed -n "s|^$RELEASES/v\([0-9.]*\)/etcd\$|installed \1|p" < <(readlink /usr/local/bin/etcd)
  fi
  identity
  if [ -f "$STATE/token" ]; then printf 'token %s\n' "$(<"$STATE/token")"; fi
  if [ -f "$STATE/wanted" ]; then printf 'wanted %s\n' "$(<"$STATE/wanted")"; fi
  if [ -f "$STATE/version-snapshot" ] && snapshot=$(<"$STATE/version-snapshot") && [ -f "${snapshot##* }" ]; then
    echo "snapshot $snapshot"
  fi
  certificates
  if [ -f "$TRUST_MARK" ]; then printf 'trust %s\n' "$(paste -sd ' ' "$TRUST_MARK")"; fi
  if [ -f "$ISSUER_MARK" ]; then printf 'issuer %s\n' "$(<"$ISSUER_MARK")"; fi
  unit_differences
  if [ -e "$FORMED" ] && [ "$active" = active ]; then member_differences; else stopped_data; fi
  for step in host binaries files member; do
    [ -f "$STATE/receipts/$step" ] || continue
    receipts+=("$STATE/receipts/$step" "drift $step ")
    printf 'receipt %s %s\n' "$step" "$(sed -n '1s/^revision //p' "$STATE/receipts/$step")"
    if [ "$step" = host ] && [ "${#firewall_drift[@]}" -gt 0 ]; then printf 'drift host %s\n' "${firewall_drift[@]}"; fi
  done
  differences "${receipts[@]}"
}

# identity: whose data lies here, and whose is to; what a recovery has to go by.
identity() {
  local found file
  found=$(data_identity)
  if [ -n "$found" ]; then echo "data $found$(if is_nobodys; then echo " nobody's"; fi)"; fi
  if [ -f "$IDENTITY" ]; then echo "identity $(<"$IDENTITY")"; fi
  if [ -f "$KNOWN_MEMBERS" ]; then sed 's/^/known /' "$KNOWN_MEMBERS"; fi
  if [ -f "$RECOVERED" ]; then echo "recovered $(<"$RECOVERED")"; fi
  for file in "$BACKUPS"/recovery-*.db; do
    if [ -e "$file" ]; then
      file=${file##*/recovery-}
      echo "recovering ${file%.db}"
    fi
  done
  if [ -n "${RECOVER_SNAPSHOT:-}" ]; then offered_snapshot; fi
}

# offered_snapshot: when it was taken and up to which revision it goes, «-» on a host that has no etcdutl to tell; nothing when it
# is no snapshot.
offered_snapshot() {
  local revision
  [ -f "$RECOVER_SNAPSHOT" ] || return 0
  revision=$(revision_of "$RECOVER_SNAPSHOT")
  if ! etcdutl_here >/dev/null; then revision=-; fi
  if [ -n "$revision" ]; then echo "offered $(stat -L -c %Y "$RECOVER_SNAPSHOT") $revision"; fi
}

# revision_of DATABASE: nothing when it cannot be read in time, for example because an etcd has it open.
revision_of() {
  local tool
  tool=$(etcdutl_here) || return 0
  timeout 5 "$tool" snapshot status "$1" --write-out json 2>/dev/null | sed -n 's/.*"revision":\([0-9]*\).*/\1/p'
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
# words, one a line. Leaves etcd's state in «active», and in «firewall_drift» the same about the packet filter's unit, for which
# the host step answers.
unit_differences() {
  local name value path pid=0 overrides="" index=0
  local -a units=(etcd.service) states=() enabled=()
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
    [ "$path" = "$FIREWALL_DROP_IN" ] || echo "unit etcd.service is overridden by $path"
  done
  while read -r value; do echo "unit $value"; done < <(process_differences "$pid" /usr/local/bin/etcd)
  if [ "${#units[@]}" -gt 1 ]; then
    mapfile -t firewall_drift < <(unit_words "${units[1]}" "${states[1]:-inactive}" "${enabled[1]}")
  fi
}

# unit_words UNIT ACTIVE ENABLED [PREFIX]: a unit is to run now and after the next start of the host.
unit_words() {
  if [ "$2" != active ]; then echo "${4:+$4 }$1 is $2"; fi
  if [ "$3" != enabled ]; then echo "${4:+$4 }$1 is ${3:-missing}"; fi
}

# stopped_data: how far the data of a member goes that does not run; at least, for its journal may go further.
stopped_data() {
  local revision
  case $active in inactive | failed) ;; *) return ;; esac
  [ -f "$DATA/member/snap/db" ] || return 0
  revision=$(revision_of "$DATA/member/snap/db")
  if [ -n "$revision" ]; then echo "revision $revision"; fi
}

# member_differences: what the running member says of itself; «leader» when it leads.
member_differences() {
  local name value version="" leader="" id="" errors="" downgrading="" target="" learner=""
  while IFS=: read -r name value; do
    value=${value# }
    value=${value#\"}
    value=${value%\"}
    case $name in
      '"Version" ') version=$value ;;
      '"Leader" ') leader=$value ;;
      '"MemberID" ') id=$value ;;
      '"IsLearner" ') learner=$value ;;
      '"Revision" ') echo "revision $value" ;;
      '"Errors" ') errors=$value ;;
      '"DowngradeEnabled" ') downgrading=$value ;;
      '"DowngradeTargetVersion" ') target=$value ;;
    esac
  done < <(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 3s endpoint status --write-out fields 2>/dev/null)
  # Something else in etcdctl's place may succeed and say nothing.
  if [ -z "$version" ]; then
    echo 'unit etcd.service does not answer its client'
    return
  fi
  printf 'version %s\n' "$version"
  if [ "$leader" = "$id" ]; then
    echo leader
    if [ "$downgrading" = true ]; then downgrade "$target" "$version"; fi
  fi
  # When nodes come or go everybody says who is there: the leader may be one that is not looked at any more.
  if [ "$leader" = "$id" ] || [ -e "$STATE/changing" ] || [ "$NODES" != "$(cat "$STATE/nodes" 2>/dev/null)" ]; then live_members; fi
  if [ "$learner" = true ]; then echo 'unit its member is a learner still'; fi
  case $errors in *alarm:*) echo "alarm $errors" ;; esac
  if [ -n "$errors" ] && [ "$errors" != '[]' ]; then echo "unit the cluster reports $errors"; fi
  # A version that the configuration asks to change shows in the member's own step.
  # shellcheck disable=SC2153 # VERSION is the configured one, version the one that runs
  if [ "$(readlink /usr/local/bin/etcd)" = "$RELEASES/v$VERSION/etcd" ] && [ "$version" != "$VERSION" ]; then
    echo "unit the process is still etcd $version"
  fi
}

# downgrade TARGET RUNNING: the cluster is on its way down a series. That is something to repair when the configuration says
# otherwise, and when the leader, whose turn is last, has arrived.
downgrade() {
  local target
  target=$(cut -d . -f 1,2 <<<"$1")
  printf 'downgrade %s\n' "$target"
  if [ "$(cut -d . -f 1,2 <<<"$VERSION")" != "$target" ]; then
    echo "unit a downgrade of the cluster to $target is under way"
  elif [ "$2" = "$VERSION" ]; then
    echo "unit the downgrade of the cluster to $target is not ended"
  fi
}

# live_members: the member list and who of them answers, all asked at once.
live_members() {
  local list endpoints="" health="" id name peers learner started
  list=$(members "$LOCAL") || return 0
  while read -r id name peers learner started; do
    if [ "$started" = yes ]; then endpoints=$endpoints,$(client_url "$peers"); fi
  done <<<"$list"
  if [ -n "$endpoints" ]; then
    health=$(etcdctl_as_client --endpoints "${endpoints#,}" --command-timeout 3s endpoint health 2>/dev/null) || true
  fi
  while read -r id name peers learner started; do
    [ -n "$id" ] || continue
    if [ "$started" = yes ] && [[ $'\n'$health == *$'\n'"$(client_url "$peers") is healthy"* ]]; then started=yes; else started=no; fi
    printf 'member %s %s %s %s %s\n' "$name" "$peers" "$learner" "$started" "$id"
  done <<<"$list"
}

# certificates: the public ones of this host, for the program to read their ends; a bundle has several.
certificates() {
  local name
  local -a files=()
  for name in ca client server peer; do
    if [ -f "$PKI/$name.pem" ]; then files+=("$PKI/$name.pem"); fi
  done
  [ "${#files[@]}" -gt 0 ] || return 0
  awk '
    /-----BEGIN/ { text = ""; next }
    /-----END/ { name = FILENAME; sub(".*/", "", name); print "certificate", name, text; next }
    { text = text $0 }' "${files[@]}"
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
  thing=$(words "${1##* }")
  case $2 in
    absent*) echo "$thing removed" ;;
    "${1%% *}"*) explain "$thing" "$1" "$2" ;;
    *) echo "$thing is a ${2%% *} now, was a ${1%% *}" ;;
  esac
}

words() {
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
