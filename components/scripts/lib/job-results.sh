#!/usr/bin/env bash
# What the jobs of this host's timers have left behind, for the program to read: by an inspection, and by the tools.

RESULT_FORM='^(ok|failed) ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z) [0-9]{1,9} ([0-9]{1,19}|-) ([0-9]{1,15}|-) [0-9A-Za-z-]{1,64} ([!-~]{1,1024})( # (.*))?$'

# tell_jobs: what each last did, and last did well, by the one grammar of results: what is none is not told.
tell_jobs() {
  local name
  for name in backup backup-check drill maintenance maintenance-nospace; do
    tell_job "$name"
    tell_good_job "$name"
  done
}

# tell_job NAME
tell_job() {
  local line="" interval=
  read -r interval 2>/dev/null <"$STATE/jobs/etcd-$1.interval" || true
  if ! [[ $interval =~ ^[0-9]{1,12}$ ]]; then interval=-; fi
  IFS= read -r -n 4096 line 2>/dev/null <"$RESULTS/$1" || true
  if [[ $line =~ $RESULT_FORM ]]; then
    printf 'job %s %s %s\n' "$1" "${BASH_REMATCH[*]:1:5}" "$interval${BASH_REMATCH[7]:+ ${BASH_REMATCH[7]}}"
  fi
}

# tell_good_job NAME
tell_good_job() {
  local line=""
  IFS= read -r -n 4096 line 2>/dev/null <"$RESULTS/$1.good" || true
  if [[ $line =~ $RESULT_FORM ]]; then printf 'job-good %s %s\n' "$1" "${BASH_REMATCH[*]:2:4}"; fi
}
