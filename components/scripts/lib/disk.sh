#!/usr/bin/env bash
# Room on the disk that etcd's data is really on, checked on hosts that have some. Part of the inspection.

# With so much there is room for twice the database that etcd advises at most.
AMPLE=16384

# disk_findings: a defragmentation, a snapshot of the leader's and a snapshot to a file each take as much as the data.
disk_findings() {
  local free mount database journal
  [ -d "$DATA/member" ] || return 0
  { read -r && read -r _ _ _ free _ mount; } < <(df -Pm "$DATA" 2>/dev/null) || true
  if [ -z "${free:-}" ] || [ "$free" -ge "$AMPLE" ]; then return 0; fi
  database=$(mebibytes "$DATA/member/snap")
  journal=$(mebibytes "$DATA/member/wal")
  if [ "$free" -lt "$LEAST_FREE" ] || [ "$free" -lt "$database" ]; then
    echo "has $free MiB free on $mount, the disk of $DATA, where etcd's database and snapshots take $database MiB and its WAL $journal MiB: when the disk is full etcd stops and cannot be defragmented; free some space or enlarge the disk"
  fi
}

# mebibytes DIRECTORY: a link is counted, not followed.
mebibytes() { du -smx -- "$1" 2>/dev/null | cut -f 1 | grep '.' || echo 0; }
