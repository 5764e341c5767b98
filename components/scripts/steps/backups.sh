#!/usr/bin/env bash
# Run by npm run backups: what snapshots there are, and one more. Prints between its marks, in the words of components/hosts/backups.ts.
# Takes NODE and MARK; the rest it has from the values of the jobs on this host.

# Of a list the newest ones.
MOST_FILES=100
MOST_SNAPSHOTS=2000

# backups files|repository|now
backups() {
  doing "reading the values of its jobs"
  if [ -e "$JOB_SETTINGS" ]; then
    # shellcheck disable=SC1090 # quoted assignments
    . "$JOB_SETTINGS"
  fi
  begin_answer
  if [ -e "$STATE/jobs/etcd-backup.interval" ]; then echo timer; fi
  if has_repository; then printf 'repository %s\n' "$(repository_name)"; fi
  case $1 in
    files) tell_files ;;
    repository) if has_repository; then tell_snapshots; fi ;;
    now) if [ -e "$STATE/jobs/etcd-backup.interval" ]; then back_up_now; fi ;;
  esac
  end_answer
}

# tell_files: snapshots in files, whoever made them.
tell_files() {
  doing "listing $BACKUPS"
  [ -d "$BACKUPS" ] || return 0
  find "$BACKUPS" -maxdepth 1 -type f -regextype posix-extended -regex "$BACKUPS/[A-Za-z0-9._-]+\.db" -printf '%T@ %s %p\n' |
    sort -rn | awk -v most="$MOST_FILES" '
      NR <= most { print "file", int($1), $2, $3 }
      END { if (NR > most) print "older-files", NR - most }'
}

# tell_snapshots: those in the repository.
tell_snapshots() {
  local list
  doing "asking the repository"
  if ! list=$(list_snapshots); then
    printf 'refused %s\n' "${list##*$'\n'}"
    return
  fi
  # shellcheck disable=SC2153 # TOKEN is a value of the jobs
  awk -v most="$MOST_SNAPSHOTS" -v owner="$TOKEN" '
    NF == 9 { lines[++count] = "snapshot " $1 " " $2 " " $3 " " $4 " " $5 " " $6 " " $8 ($9 == owner ? " yes" : " no") }
    END {
      for (i = count > most ? count - most + 1 : 1; i <= count; i++) print lines[i]
      if (count > most) print "older-snapshots", count - most
    }' <<<"$list"
}

# back_up_now: waits for the job, which does nothing where its member does not lead, and says so.
back_up_now() {
  local before status=0 invocation line words
  doing "starting etcd-backup.service"
  # One that is at work may have taken its snapshot before what is written by now.
  if [ "$(unit_property ActiveState etcd-backup.service)" = activating ]; then systemctl start etcd-backup.service >/dev/null 2>&1 || true; fi
  before=$(cat "$RESULTS/backup" 2>/dev/null || true)
  words=$(systemctl start etcd-backup.service 2>&1) || status=$?
  if [ "$(cat "$RESULTS/backup" 2>/dev/null || true)" != "$before" ]; then
    tell_job backup
    return
  fi
  invocation=$(unit_property InvocationID etcd-backup.service)
  if [[ $invocation =~ ^[0-9a-f]{32}$ ]]; then
    while IFS= read -r line; do
      if [[ $line == "$NODE: "* ]]; then words=${line#"$NODE: "}; fi
    done < <(journalctl "_SYSTEMD_INVOCATION_ID=$invocation" --lines 50 --no-pager --output cat 2>/dev/null | printable)
  fi
  if [ "$status" -eq 0 ]; then printf 'idle %s\n' "$words"; else printf 'broken %s\n' "${words:-systemctl start ended with status $status}"; fi
}
