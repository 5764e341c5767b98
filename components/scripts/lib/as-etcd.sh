#!/usr/bin/env bash
# What lies below Data belongs to the etcd user, who may have put a link, a pipe or a device's name in the place of any file, and may
# put it there at any moment. So root opens, copies and moves nothing there itself: it is done as that user, who gets no further than
# on its own, for a bounded time, and what comes back is cut.

# Megabytes of memory and seconds; a journal's segment has 64 MB, and a copy of a large database takes minutes.
AS_ETCD_MEGABYTES=1024
AS_ETCD_SECONDS=10

# as_etcd COMMAND...: as the etcd user; as the owner of Data on a host that has no such user. No descriptor of the step's own goes
# along: with a lock's the user could give the host free, or hold it.
as_etcd() {
  local user group
  IFS=: read -r _ _ user group _ < <(getent passwd etcd) || read -r user group < <(stat -c '%u %g' "$DATA" 2>/dev/null) || return 1
  (
    exec {STEP_ERRORS}>&-
    [ -z "${lock:-}" ] || exec {lock}>&-
    [ -z "${working:-}" ] || exec {working}<&-
    [ -z "${job_lock:-}" ] || exec {job_lock}>&-
    cd /
    [ "$AS_ETCD_MEGABYTES" = unlimited ] || ulimit -v "$((AS_ETCD_MEGABYTES * 1024))"
    exec timeout --kill-after 1 "$AS_ETCD_SECONDS" setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs \
      -- "$@" </dev/null
  )
}

# data_files DIRECTORY PATTERN: names of the regular files in DIRECTORY of Data, a line each, in their order.
data_files() {
  { as_etcd find "$DATA/$1" -maxdepth 1 -type f -name "$2" -printf '%f\n' 2>/dev/null || true; } | head -c 1048576 | sort
}

# strangers_data: a file of the data that is neither the etcd user's nor root's alone, so nobody can tell whose it is; nothing when
# there is none.
strangers_data() {
  { as_etcd find "$DATA/member" ! -user etcd \( ! -user root -o ! -type d -links +1 \) -printf '%p (of %u)\n' -quit 2>/dev/null || true; } |
    head -c 300
}

not_etcds() { echo "has $1, which is not the etcd user's; if it belongs there, give it to that user (chown -h etcd:etcd PATH)"; }

# Mode, owner and group of Data before the first member here, nothing when there was none; for give_data_back.
FOUND_DATA=$STATE/found-data

# own_data: Data and what root put there, who may have brought it back by hand, is the etcd user's. Links are not followed, and where
# the kernel lets a user link somebody else's file to a second name (proc(5), protected_hardlinks) nothing below Data is given away.
own_data() {
  local stranger
  if [ ! -e "$STATE/receipts/member" ] && [ ! -e "$FOUND_DATA" ]; then
    install_file 0644 root:root "$FOUND_DATA" < <(stat -c '%a %u:%g' "$DATA" 2>/dev/null || true)
  fi
  [ -d "$DATA" ] || mkdir -m 0700 "$DATA"
  chmod 0700 "$DATA"
  chown -h etcd:etcd "$DATA"
  stranger=$(strangers_data)
  [ -z "$stranger" ] || fail "$(not_etcds "$stranger")"
  stranger=$({ as_etcd find "$DATA/member" ! -user etcd -printf '%p (of %u)\n' -quit 2>/dev/null || true; } | head -c 300)
  if [ -z "$stranger" ]; then return; fi
  if [ "$(cat /proc/sys/fs/protected_hardlinks)" != 1 ]; then fail "$(not_etcds "$stranger")"; fi
  chown -hR --from=root etcd:etcd "$DATA/member"
}
