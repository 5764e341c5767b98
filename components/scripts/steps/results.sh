#!/usr/bin/env bash
# Run by npm run status: what the jobs of this host's timers have left behind, between its marks, in the words of an inspection
# (components/hosts/probe-words.ts). Takes NODE and MARK.

results() {
  local revision
  doing "reading the results of its jobs"
  begin_answer
  if [ -e "$FORMED" ]; then echo bootstrapped; fi
  if IFS= read -r revision 2>/dev/null <"$STATE/receipts/jobs"; then printf 'receipt jobs %s\n' "${revision#revision }"; fi
  tell_jobs
  end_answer
}
