#!/usr/bin/env bash
# The read-only look at a host that every preview and up begins with. Prints lines of «word rest»:
#   clock MILLISECONDS | finding TEXT | formed | empty | unit TEXT | version X.Y.Z | leader | member NAME PEER_URLS LEARNER HEALTHY |
#   certificate FILE BASE64 | receipt STEP REVISION | drift STEP TEXT
# Takes the host step's values, PKI and VERSION.

probe() {
  local step revision line
  printf 'clock %s\n' "$(date +%s%3N)"
  preflight_findings | sed 's/^/finding /'
  if [ -e "$FORMED" ]; then echo formed; fi
  if [ ! -d "$DATA/member/wal" ]; then echo empty; fi
  certificates
  unit_differences | sed 's/^/unit /'
  if [ -e "$FORMED" ] && [ "$(systemctl is-active etcd.service)" = active ]; then
    member_differences
  fi
  for step in host binaries files member; do
    [ -f "$STATE/receipts/$step" ] || continue
    revision=$(sed -n '1s/^revision //p' "$STATE/receipts/$step")
    printf 'receipt %s %s\n' "$step" "$revision"
    while read -r line; do
      printf 'drift %s %s\n' "$step" "$line"
    done < <(differences "$STATE/receipts/$step")
  done
}

# unit_differences: what keeps systemd from running etcd as the files say, in words, one a line.
unit_differences() {
  local active enabled path
  active=$(systemctl is-active etcd.service 2>/dev/null || true)
  enabled=$(systemctl is-enabled etcd.service 2>/dev/null || true)
  if [ "$active" != active ]; then echo "etcd.service is $active"; fi
  if [ "$enabled" != enabled ]; then echo "etcd.service is ${enabled:-missing}"; fi
  for path in $(systemctl show --property DropInPaths --value etcd.service); do
    [ "$path" = /etc/systemd/system/etcd.service.d/addresses.conf ] || echo "etcd.service is overridden by $path"
  done
}

# member_differences: what the running member says of itself; «leader» when it leads.
member_differences() {
  local status
  field() { sed -n "s/^\"$1\" : \"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" <<<"$status"; }
  # Something else in etcdctl's place may succeed and say nothing.
  if ! status=$(etcdctl_as_client --endpoints https://127.0.0.1:2379 --command-timeout 3s endpoint status --write-out fields 2>/dev/null) ||
    [ -z "$(field Version)" ]; then
    echo 'unit etcd.service does not answer its client'
    return
  fi
  printf 'version %s\n' "$(field Version)"
  if [ "$(field Leader)" = "$(field MemberID)" ]; then
    echo leader
    live_members
  fi
  if [ "$(field Errors)" != '[]' ] && [ -n "$(field Errors)" ]; then echo "unit the cluster reports $(field Errors)"; fi
  # A version that the configuration asks to change shows in the member's own step.
  if [ "$(readlink /usr/local/bin/etcd)" = "$RELEASES/v$VERSION/etcd" ] && [ "$(field Version)" != "$VERSION" ]; then
    echo "unit the process is still etcd $(field Version)"
  fi
}

# live_members: the member list and who of them answers, all asked at once.
live_members() {
  local id name peers learner started
  while read -r id name peers learner started; do
    [ -n "$id" ] || continue
    (
      if [ "$started" = yes ] && healthy "$(client_url "$peers")"; then started=yes; else started=no; fi
      printf 'member %s %s %s %s\n' "$name" "$peers" "$learner" "$started"
    ) &
  done < <(members "$LOCAL")
  wait
}

# certificates: the public ones of this host, for the program to read their ends.
certificates() {
  local name
  for name in ca client server peer; do
    if [ -f "$PKI/$name.pem" ]; then
      printf 'certificate %s.pem %s\n' "$name" "$(awk '/BEGIN/ { n++ } n == 1 && !/-----/ { printf "%s", $0 }' "$PKI/$name.pem")"
    fi
  done
}

# differences RECEIPT: what is not as the step left it, in words, one a line.
differences() {
  local line thing now
  sed 1d "$1" | while read -r line; do
    thing=${line##* }
    now=$(describe "$thing")
    if [ "$now" = "$line" ]; then continue; fi
    case $now in
      absent*) echo "$(words "$thing") removed" ;;
      "${line%% *}"*) explain "$(words "$thing")" "$line" "$now" ;;
      *) echo "$(words "$thing") is a ${now%% *} now, was a ${line%% *}" ;;
    esac
  done
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
