#!/usr/bin/env bash
# The read-only look at a host that every preview and up begins with. Prints lines of «word rest»:
#   clock MILLISECONDS | finding TEXT | formed | unit ACTIVE ENABLED | receipt STEP REVISION | drift STEP TEXT
# Takes the host step's values.

probe() {
  local step revision line
  printf 'clock %s\n' "$(date +%s%3N)"
  preflight_findings | sed 's/^/finding /'
  if [ -e "$FORMED" ]; then echo formed; fi
  printf 'unit %s %s\n' "$(systemctl is-active etcd.service 2>/dev/null || true)" "$(systemctl is-enabled etcd.service 2>/dev/null || true)"
  for step in host binaries files member; do
    [ -f "$STATE/receipts/$step" ] || continue
    revision=$(sed -n '1s/^revision //p' "$STATE/receipts/$step")
    printf 'receipt %s %s\n' "$step" "$revision"
    while read -r line; do
      printf 'drift %s %s\n' "$step" "$line"
    done < <(differences "$STATE/receipts/$step")
  done
}

# differences RECEIPT: what is not as the step left it, in words, one a line.
differences() {
  local line path now
  sed 1d "$1" | while read -r line; do
    path=${line##* }
    now=$(describe "$path")
    if [ "$now" = "$line" ]; then continue; fi
    case $now in
      absent*) echo "$path removed" ;;
      "${line%% *}"*) explain "$path" "$line" "$now" ;;
      *) echo "$path is a ${now%% *} now, was a ${line%% *}" ;;
    esac
  done
}

# explain PATH BEFORE NOW: two descriptions of the same kind that differ.
explain() {
  local -a before now
  read -ra before <<<"$2"
  read -ra now <<<"$3"
  case ${now[0]} in
    link) echo "$1 points to ${now[1]}, not ${before[1]}" ;;
    *)
      if [ "${before[1]}" != "${now[1]}" ]; then echo "$1 has mode ${now[1]}, not ${before[1]}"; fi
      if [ "${before[2]}" != "${now[2]}" ]; then echo "$1 is owned by ${now[2]}, not ${before[2]}"; fi
      if [ "${now[0]}" = file ] && [ "${before[3]}" != "${now[3]}" ]; then echo "$1 changed"; fi
      ;;
  esac
}
