#!/usr/bin/env bash
# A member's restart: the files that only a start of etcd reads, the guard, the way back when etcd does not start with them.
# Part of the step «member», with its values.

# The files of the last start that succeeded, to go back to.
GOOD=$STATE/good

# loaded_else: the running etcd has loaded something else than what is configured, be it that this program started it with
# other files or that somebody else did.
loaded_else() {
  [ "$(cat "$STATE/running" 2>/dev/null || true)" != "$(fingerprint)" ] ||
    [ -n "$(process_differences "$(unit_property MainPID)" "$RELEASES/v$VERSION/etcd")" ]
}

# What a running etcd has loaded and cannot reload: a difference means a restart. Leaves are not part of it.
fingerprint() {
  printf '%s\n' "$UNIT_TEXT" "$ENVIRONMENT" "$CA_PEM" "$VERSION" | sha256sum | cut -d ' ' -f 1
}

# install_files: what the next start of etcd will find. Nothing is restarted.
install_files() {
  local name
  # From here to the end of the step etcd may run with the CAs of before or with the new ones: it trusts what is in both.
  if [ -f "$TRUST_MARK" ]; then { grep -xF -e "$TRUST" "$TRUST_MARK" || true; } | put 0644 root:root "$TRUST_MARK"; fi
  put 0644 root:root "$PKI/ca.pem" <<<"$CA_PEM"
  put 0644 root:root /etc/etcd.env <<<"$ENVIRONMENT"
  put 0644 root:root "$UNIT" <<<"$UNIT_TEXT"
  for name in etcd etcdctl etcdutl; do
    if [ "$(readlink "/usr/local/bin/$name" || true)" != "$RELEASES/v$VERSION/$name" ]; then
      point "$RELEASES/v$VERSION/$name" "/usr/local/bin/$name"
    fi
  done
  # systemd makes it at a start; here it is put right while etcd runs.
  install -d -m 0700 "$DATA"
  chown -R etcd:etcd "$DATA"
  # Also what was left half done by a run that was killed: systemd knows whether it has read the unit.
  systemctl --quiet --no-reload enable etcd.service
  reload_units etcd.service
}

# keep_good, back_to_good: the files that the running member has loaded, and the way back to them. After a run that was killed
# in the middle the files on the host are not those any more; then the copies of that run still are.
keep_good() {
  local loaded
  loaded=$(printf '%s\n' "$(cat "$UNIT")" "$(cat /etc/etcd.env)" "$(cat "$PKI/ca.pem")" \
    "$(basename "$(dirname "$(readlink /usr/local/bin/etcd)")" | sed 's/^v//')" | sha256sum | cut -d ' ' -f 1)
  if [ "$loaded" != "$(cat "$STATE/running" 2>/dev/null || true)" ]; then
    # Copies of an older start would be a way back too far.
    cmp -s "$GOOD/running" "$STATE/running" || rm -rf "$GOOD"
    return
  fi
  mkdir -p "$GOOD"
  cp -a "$STATE/running" "$GOOD/running"
  cp -a "$PKI/ca.pem" /etc/etcd.env "$UNIT" "$GOOD/"
  readlink /usr/local/bin/etcd >"$GOOD/release"
}

back_to_good() {
  local name release
  release=$(dirname "$(cat "$GOOD/release")")
  put 0644 root:root "$PKI/ca.pem" <"$GOOD/ca.pem"
  put 0644 root:root /etc/etcd.env <"$GOOD/etcd.env"
  put 0644 root:root "$UNIT" <"$GOOD/etcd.service"
  for name in etcd etcdctl etcdutl; do point "$release/$name" "/usr/local/bin/$name"; done
  cp -a "$GOOD/running" "$STATE/running"
  systemctl daemon-reload
  systemctl reset-failed etcd.service 2>/dev/null || true
  systemctl restart --no-block etcd.service
}

# Drop-ins that change the unit behind its file's back. The one with the addresses is the host step's.
remove_overrides() {
  local path
  for path in $(unit_property DropInPaths); do
    case $path in
      "$FIREWALL_DROP_IN") ;;
      /etc/systemd/system/etcd.service.d/* | /run/systemd/system/etcd.service.d/* | /etc/systemd/system.control/etcd.service.d/* | /run/systemd/system.control/etcd.service.d/*)
        say "removing $path, which overrides the unit"
        # What it set may be part of the running process: the fingerprint no longer says what that one has loaded.
        if was_loaded "$path"; then rm -f "$STATE/running"; fi
        rm -f "$path"
        ;;
      *) fail "$path overrides the unit for more than etcd; move it away" ;;
    esac
  done
}

# was_loaded DROP_IN: a process that is older than the file has not read it. What «systemctl set-property» writes are limits of
# the control group, which a reload takes back.
was_loaded() {
  local since
  case $1 in */system.control/*) return 1 ;; esac
  since=$(unit_property ExecMainStartTimestamp)
  if [ -z "$since" ] || ! since=$(date -d "$since" +%s); then return 0; fi
  [ "$(stat -c %Z "$1")" -le "$since" ]
}

# started: what the process has loaded.
started() {
  fingerprint | put 0644 root:root "$STATE/running"
  rm -f "$PROCESS"
}

# reasons FROM: why the member restarts, in words: how what it is given differs from what it has loaded (keep_good's copies).
reasons() {
  local words=()
  if [ "$1" != "$VERSION" ]; then words+=("version $1 to $VERSION"); fi
  # Somebody else started it.
  mapfile -t -O "${#words[@]}" words < <(process_differences "$(unit_property MainPID)" "$RELEASES/v$1/etcd")
  if [ "$(cat "$STATE/running" 2>/dev/null || true)" != "$(fingerprint)" ] && [ ! -d "$GOOD" ]; then
    words+=("what it has loaded is not known")
  elif [ -d "$GOOD" ]; then
    mapfile -t -O "${#words[@]}" words < <(settings_changed "$(cat "$GOOD/etcd.service")" "$UNIT_TEXT")
    if [ "$(grep -v '^  --' "$GOOD/etcd.service")" != "$(grep -v '^  --' <<<"$UNIT_TEXT")" ]; then words+=("unit changed"); fi
    if [ "$(cat "$GOOD/ca.pem")" != "$CA_PEM" ]; then words+=("CA bundle changed"); fi
    if [ "$(cat "$GOOD/etcd.env")" != "$ENVIRONMENT" ]; then words+=("/etc/etcd.env changed"); fi
  fi
  if [ "${#words[@]}" -eq 0 ]; then words=("files of a run that was interrupted"); fi
  printf '%s\n' "${words[@]}" | paste -sd ';' - | sed 's/;/; /g'
}

# settings_changed BEFORE AFTER: the flags in which two units differ; nothing when they have the same.
settings_changed() {
  awk '
    !/^  --/ { next }
    { sub(/^  --/, ""); sub(/ \\$/, ""); name = $0; sub(/=.*/, "", name); value = substr($0, length(name) + 2) }
    NR == FNR { before[name] = value; next }
    { after[name] }
    !(name in before) { list = list ", " $0 }
    name in before && before[name] != value { list = list ", " $0 " (was " before[name] ")" }
    END {
      for (name in before) if (!(name in after)) list = list ", without " name
      if (list != "") print "settings changed: " substr(list, 3)
    }' <(printf '%s\n' "$1") <(printf '%s\n' "$2")
}

# last_words SINCE: what etcd complained of, without the stacks of a panic, which come after its reason and would hide it. With
# --since journalctl's --lines counts from the beginning, where the old process ends.
last_words() {
  journalctl --unit etcd.service --since "$1" --no-pager --output cat 2>/dev/null |
    grep -vE '"level":"(debug|info)"|^\s|^goroutine |^created by |^[^ {]+\(.*\)$' | cut -c 1-400 | tail -n 10 || true
}

# others_are_well ID: nothing restarts beside a voter that is not healthy.
others_are_well() {
  local sick
  sick=$(sick_others "$LOCAL" "$1") ||
    fail "not restarted, because no quorum of the cluster answers; bring the other members back first"
  if [ -n "$sick" ]; then
    fail "not restarted, because another member is not healthy: $(paste -sd ' ' - <<<"$sick"); bring it back first"
  fi
}

# restart REVISION: only with every other voter healthy; on failure the last good files come back and etcd's own words are shown.
restart() {
  local id from since words reason
  if ! id=$(status_field "$LOCAL" MemberID) || ! from=$(status_field "$LOCAL" Version); then
    fail "etcd runs on this host but does not answer its client"
  fi
  others_are_well "$id"
  keep_good
  reason=$(reasons "$from")
  if [ "$from" != "$VERSION" ]; then
    change_version "$from" "$1" "$id"
    # That may have taken a minute.
    others_are_well "$id"
  fi
  hand_over "$id"
  say "restarting etcd: $reason"
  install_files
  since=$(date '+%Y-%m-%d %H:%M:%S')
  begin_restart
  if ! (wait_until_ready "$READY_SECONDS" && retry 30 healthy "$LOCAL") >/dev/null 2>&1; then
    words=$(last_words "$since")
    if [ -d "$GOOD" ]; then
      back_to_good
      (wait_until_ready "$READY_SECONDS") || fail "etcd starts neither with the new files nor with the last good ones; its words:"$'\n'"$words"
      fail "etcd did not start with the new files, and was started again with the last good ones; its words:"$'\n'"$words"
    fi
    fail "etcd did not start; its words:"$'\n'"$words"
  fi
  started
}
