#!/usr/bin/env bash
# A host before etcd is on it: packages, the etcd user, the list of nodes, their names in /etc/hosts, the packet filter.
# Takes NODE NODES (lines "name address") UPGRADE MANAGE_HOSTS FIREWALL CLIENT_NETWORKS METRICS_PORTS PKI, and what the preflight takes
# (ADDRESS MINIMUM_MEMORY MINIMUM_DISK ARCHITECTURES).

# refuse_unfit: the inspection's preflight again, just before the host is touched.
refuse_unfit() {
  local findings
  local -a missing=()
  missing_commands "$LOOK_COMMANDS"
  # Without these nothing can be called, not even what makes words fit to be printed.
  if [ "${#missing[@]}" -gt 0 ]; then
    printf '%s: preflight checks failed; nothing was changed\n' "$NODE" >&2
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
  fi
  findings=$(preflight_findings | refused | sed -E '/^note /d; s/^(always|change) //; s/^unreachable [^:]*: //; s/^/  - /')
  if [ -n "$findings" ]; then
    # A full or read-only disk is among them.
    info "preflight checks failed; nothing was changed"$'\n'"$findings"
    exit 1
  fi
}

# refused: of the findings those that the preview refuses for (plan/preflight.ts): on a host that was fit before, at this address, only what
# stands in the way of changes.
refused() {
  if [ -e "$STATE/receipts/host" ] && grep -qsxF -e "$NODE $ADDRESS" "$STATE/nodes"; then
    grep -E '^(always|change) ' || true
  else
    cat
  fi
}

# install_host REVISION
install_host() {
  local list=
  doing "upgrading the system"
  if [ "$UPGRADE" != yes ]; then
    rm -f "$STATE/upgraded"
  elif [ ! -e "$STATE/upgraded" ]; then
    upgrade
    install_file 0644 root:root "$STATE/upgraded" </dev/null
  fi
  doing "creating the etcd user"
  ensure_user
  doing "saving the list of nodes in $STATE"
  if [ -e "$FORMED" ]; then
    # Until the gate has seen the end of it every host, not the leader's alone, tells who the members are: the leader may leave.
    if [ "$NODES" != "$(cat "$STATE/nodes" 2>/dev/null)" ]; then install_file 0644 root:root "$STATE/changing" </dev/null; fi
    list=$(members "$LOCAL") || list=
  fi
  install_file 0644 root:root "$STATE/nodes" <<<"$NODES"
  doing "writing the names of the nodes into /etc/hosts"
  if [ "$MANAGE_HOSTS" = yes ]; then hosts_block; else remove_hosts_block; fi
  doing "setting up the packet filter"
  if [ "$FIREWALL" = yes ]; then firewall "$(former_addresses "$list")"; else remove_firewall; fi
  doing "transferring the leadership"
  if [ -n "$list" ]; then transfer_from_leaving_leader "$list"; fi
  host_receipt "$1"
}

# former_addresses LIST: of live members that the configuration has no longer, or has at another address. They are let in until
# they have left: a member that is cut off before that may take the leadership with it. The gate closes the door behind them.
# A member's URL may have a host name, or a port that this program opens for nobody; the packet filter takes addresses alone.
former_addresses() {
  awk 'NF { count = split($3, urls, ","); for (i = 1; i <= count; i++) print urls[i] }' <<<"$1" |
    sed -nE 's|^https://([0-9]{1,3}(\.[0-9]{1,3}){3}):2380$|\1|p; s|^https://\[([0-9A-Fa-f:]+(\.[0-9.]+)?)\]:2380$|\1|p' |
    grep -vxF -f <(awk 'NF == 2 { print $2 }' <<<"$NODES") || true
}

upgrade() {
  local deadline=$((SECONDS + PATIENCE)) told=no
  local -a purpose=("cannot upgrade the system" "as etcd:host.upgrade asks")
  apt_get "${purpose[@]}" update
  apt_get "${purpose[@]}" -y -o Dpkg::Options::=--force-confold dist-upgrade
}

# install_package NAME WHY
install_package() {
  local deadline=$((SECONDS + PATIENCE)) told=no
  apt_get "cannot install $1" "$2" update
  apt_get "cannot install $1" "$2" -y install "$1"
}

# Seconds for another one that has apt's or dpkg's locks, for both commands together.
PATIENCE=300

# apt_get FAILURE WHY WORDS...: it can wait for dpkg's lock by itself, but not for those of the lists and of the archives, and says nothing.
apt_get() {
  local words failure=$1 why=$2
  shift 2
  until words=$(with_proxy apt-get -qq "$@" 2>&1); do
    case $words in
      *"Could not get lock "* | *"Unable to acquire "* | *"Unable to lock "*) ;;
      *)
        printf '%s\n' "$words" | printable >&2
        fail "$failure (apt-get $*), $why; its output is above"
        ;;
    esac
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "$failure: another process has held the lock of the package manager for $PATIENCE s: $(lock_words); wait until it is done, and run pulumi up again"
    fi
    if [ "$told" = no ]; then info "waiting up to $PATIENCE s for the package manager: $(lock_words)"; fi
    told=yes
    sleep 2
  done
  [ -z "$words" ] || printf '%s\n' "$words" | printable >&2
}

# lock_words: apt's own in "words", which name the lock and who has it.
lock_words() { sed -n 's/^E: \(Could not get lock .*\)/\1/p' <<<"$words" | grep '.' || tail -n 1 <<<"$words"; }

# A user that somebody deleted comes back with its old numbers, which the data and a running etcd still have.
ensure_user() {
  local id="" group="" known=no
  if ! getent passwd etcd >/dev/null; then
    if [ -e "$STATE/made-user" ]; then
      known=yes
      read -r id group <"$STATE/made-user" || true
    fi
    # Written first: a user made just before a power cut is known as ours all the same.
    install_file 0644 root:root "$STATE/made-user" <<<"$id $group"
    if getent group etcd >/dev/null; then
      if [ "$known" = no ]; then install_file 0644 root:root "$STATE/found-group" </dev/null; fi
    else
      groupadd --system ${group:+--gid "$group"} etcd
    fi
    useradd --system --gid etcd ${id:+--uid "$id"} --home-dir "$DATA" --no-create-home --shell /usr/sbin/nologin etcd
    install_file 0644 root:root "$STATE/made-user" <<<"$(id -u etcd) $(id -g etcd)"
    return
  fi
  # "useradd -g users etcd" and adduser --system make none.
  if ! getent group etcd >/dev/null; then
    install_file 0644 root:root "$STATE/made-group" </dev/null
    if [ -e "$STATE/made-user" ]; then read -r id group <"$STATE/made-user" || true; fi
    groupadd --system ${group:+--gid "$group"} etcd
  fi
  if [ -e "$STATE/made-user" ] && [ "$(getent passwd etcd | cut -d : -f 6,7)" != "$DATA:/usr/sbin/nologin" ]; then
    usermod --home "$DATA" --shell /usr/sbin/nologin etcd
  fi
}

hosts_block() {
  refuse_broken_block
  {
    # awk ends a last line that had no end, so that the block starts a line of its own.
    sed "/^$BLOCK_BEGIN\$/,/^$BLOCK_END\$/d" /etc/hosts | awk 1
    printf '%s\n' "$BLOCK_BEGIN"
    awk 'NF == 2 { print $2 "\t" $1 }' <<<"$NODES"
    printf '%s\n' "$BLOCK_END"
  } | replace_hosts
}

remove_hosts_block() {
  refuse_broken_block
  if grep -qs "^$BLOCK_BEGIN\$" /etc/hosts; then
    sed "/^$BLOCK_BEGIN\$/,/^$BLOCK_END\$/d" /etc/hosts | replace_hosts
  fi
}

# /etc/hosts may be a mount point of its own (containers) or a link: then it is written in place.
replace_hosts() {
  local content
  content=$(cat; printf x)
  content=${content%x}
  if [ "$content" = "$(cat /etc/hosts; printf x)" ]; then return; fi
  if mountpoint -q /etc/hosts || [ -L /etc/hosts ]; then
    printf '%s' "$content" >/etc/hosts
  else
    printf '%s' "$content" | install_file "$(stat -c %a /etc/hosts)" "$(stat -c %U:%G /etc/hosts)" /etc/hosts
  fi
}

# remove_host: what install_host has done.
remove_host() {
  doing "removing the packet filter"
  remove_firewall
  doing "removing the names of the nodes from /etc/hosts"
  remove_hosts_block
  doing "removing the etcd user"
  if [ -e "$STATE/made-user" ]; then
    remove_user
  elif [ -e "$STATE/made-group" ] && getent group etcd >/dev/null; then
    groupdel etcd
  fi
}

# remove_user: userdel takes its group along. A run that was killed in between has left the one without the other; a group that was
# there before is there again.
remove_user() {
  local group="" now
  read -r _ group <"$STATE/made-user" || true
  now=$({ getent group etcd || true; } | cut -d : -f 3)
  if getent passwd etcd >/dev/null; then
    group=${now:-$group}
    userdel etcd
  fi
  if [ -z "$group" ]; then return; fi
  if [ -e "$STATE/found-group" ]; then
    getent group etcd >/dev/null || groupadd --gid "$group" etcd
  elif getent group etcd >/dev/null; then
    groupdel etcd
  fi
}
