#!/usr/bin/env bash
# A member's restart: the files that only a start of etcd reads, the guard, the way back when etcd does not start with them.
# Part of the step "member", with its values.

# The files of the last start that succeeded, to go back to.
GOOD=$STATE/good

# needs_restart: the running etcd has loaded something else than what is configured, be it that this program started it with
# other files or that somebody else did.
needs_restart() {
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
  doing "installing the files of etcd"
  # From here to the end of the step etcd may run with the CAs of before or with the new ones: it trusts what is in both.
  if [ -f "$TRUST_MARK" ]; then { grep -xF -e "$TRUST" "$TRUST_MARK" || true; } | install_file 0644 root:root "$TRUST_MARK"; fi
  claim "$PKI/ca.pem" /etc/etcd.env "$UNIT"
  install_file 0644 root:root "$PKI/ca.pem" <<<"$CA_PEM"
  take_held_back
  install_file 0644 root:root /etc/etcd.env <<<"$ENVIRONMENT"
  install_file 0644 root:root "$UNIT" <<<"$UNIT_TEXT"
  for name in etcd etcdctl etcdutl; do
    if [ "$(readlink "/usr/local/bin/$name" || true)" != "$RELEASES/v$VERSION/$name" ]; then
      if [ -e "/usr/local/bin/$name" ] && [ ! -L "/usr/local/bin/$name" ]; then
        info "/usr/local/bin/$name, which is not this program's, was moved to $(keep_aside "/usr/local/bin/$name")"
      fi
      symlink "$RELEASES/v$VERSION/$name" "/usr/local/bin/$name"
    fi
  done
  # systemd makes it at a start; here it is put right while etcd runs.
  own_data
  # Also what was left half done by a run that was killed: systemd knows whether it has read the unit.
  systemctl --quiet --no-reload enable etcd.service
  reload_units etcd.service
}

# save_last_good, roll_back: the files that the running member has loaded, and the way back to them. After a run that was killed
# in the middle the files on the host are not those any more; then the copies of that run still are.
save_last_good() {
  local loaded ca
  doing "saving the files that etcd has loaded in $GOOD"
  ca=$(ca_of "$UNIT")
  loaded=$(printf '%s\n' "$(cat "$UNIT")" "$(cat /etc/etcd.env)" "$(cat "${ca:-$PKI/ca.pem}")" \
    "$(basename "$(dirname "$(readlink /usr/local/bin/etcd)")" | sed 's/^v//')" | sha256sum | cut -d ' ' -f 1)
  if [ "$loaded" != "$(cat "$STATE/running" 2>/dev/null || true)" ]; then
    # Copies of an older start would be a way back too far.
    cmp -s "$GOOD/running" "$STATE/running" || rm -rf "$GOOD"
    return
  fi
  # The certificates of an older move are none of these; those of one that was interrupted are (held-back.sh).
  if [ ! -e "$MOVING" ] || ! cmp -s "$GOOD/running" "$STATE/running"; then rm -rf "$GOOD"; fi
  mkdir -p "$GOOD"
  cp -a "${ca:-$PKI/ca.pem}" /etc/etcd.env "$UNIT" "$GOOD/"
  readlink /usr/local/bin/etcd | install_file 0644 root:root "$GOOD/release"
  # Last: until then they are no way back.
  cp -a "$STATE/running" "$GOOD/running"
}

roll_back() {
  local name release ca
  doing "restoring the last working files"
  give_leaves_back
  release=$(dirname "$(cat "$GOOD/release")")
  ca=$(ca_of "$GOOD/etcd.service")
  install_file 0644 root:root "${ca:-$PKI/ca.pem}" <"$GOOD/ca.pem"
  install_file 0644 root:root /etc/etcd.env <"$GOOD/etcd.env"
  install_file 0644 root:root "$UNIT" <"$GOOD/etcd.service"
  for name in etcd etcdctl etcdutl; do symlink "$release/$name" "/usr/local/bin/$name"; done
  cp -a "$GOOD/running" "$STATE/running"
  systemctl daemon-reload
  systemctl reset-failed etcd.service 2>/dev/null || true
  systemctl restart --no-block etcd.service
}

# Drop-ins that change the unit behind its file's back: somebody wrote them. The one with the addresses is the packet filter's.
remove_overrides() {
  local path
  for path in $(unit_property DropInPaths); do
    case $path in
      # The latter are for all services of the host (belongings.sh).
      "$FIREWALL_DROP_IN" | */service.d/*) ;;
      /etc/systemd/system/etcd.service.d/* | /run/systemd/system/etcd.service.d/* | /etc/systemd/system.control/etcd.service.d/* | /run/systemd/system.control/etcd.service.d/*)
        # What it set may be part of the running process: the fingerprint no longer says what that one has loaded.
        if was_loaded "$path"; then rm -f "$STATE/running"; fi
        if [ "$path" = "$SNAPSHOT_COUNT_DROP_IN" ]; then
          info "removing $path, which an earlier run left behind"
          rm -f "$path"
        else
          info "$path, which overrides the unit, was moved to $(keep_aside "$path")"
        fi
        ;;
      *) fail "$path overrides the unit from a directory of packages; move it away" ;;
    esac
  done
}

# was_loaded DROP_IN: a process that is older than the file has not read it. What "systemctl set-property" writes are limits of
# the control group, which a reload takes back.
was_loaded() {
  local since
  case $1 in */system.control/*) return 1 ;; esac
  since=$(unit_property ExecMainStartTimestamp)
  if [ -z "$since" ] || ! since=$(date -d "$since" +%s); then return 0; fi
  [ "$(stat -c %Z "$1")" -le "$since" ]
}

# record_loaded_config: what the process has loaded.
record_loaded_config() {
  fingerprint | install_file 0644 root:root "$STATE/running"
  rm -f "$PROCESS"
}

# reasons FROM: why the member restarts, in words: how what it is given differs from what it has loaded (save_last_good's copies).
reasons() {
  local words=()
  if [ "$1" != "$VERSION" ]; then words+=("version $1 to $VERSION"); fi
  # Somebody else started it.
  mapfile -t -O "${#words[@]}" words < <(process_differences "$(unit_property MainPID)" "$RELEASES/v$1/etcd")
  if [ "$(cat "$STATE/running" 2>/dev/null || true)" != "$(fingerprint)" ] && [ ! -d "$GOOD" ]; then
    words+=("the loaded configuration is unknown")
  elif [ -e "$GOOD/running" ]; then
    mapfile -t -O "${#words[@]}" words < <(settings_changed "$(cat "$GOOD/etcd.service")" "$UNIT_TEXT")
    if [ "$(grep -v '^  --' "$GOOD/etcd.service")" != "$(grep -v '^  --' <<<"$UNIT_TEXT")" ]; then words+=("unit changed"); fi
    if [ "$(cat "$GOOD/ca.pem")" != "$CA_PEM" ]; then words+=("CA bundle changed"); fi
    if [ "$(cat "$GOOD/etcd.env")" != "$ENVIRONMENT" ]; then words+=("/etc/etcd.env changed"); fi
  fi
  if [ "${#words[@]}" -eq 0 ]; then words=("files of an interrupted run"); fi
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

# others_are_well ID: nothing restarts beside a voter that is not healthy.
others_are_well() {
  local sick
  sick=$(sick_others "$LOCAL" "$1") ||
    fail "not restarted, because the cluster has no quorum; start the other members first"
  if [ -n "$sick" ]; then
    fail "not restarted, because another member is unhealthy: $(paste -sd ' ' - <<<"$sick"); start it first"
  fi
}

# others_pass ID: the unit that is to come asks peers for a name. Members whose certificate lacks it, because no run has reached their
# host since it has one, would be cut off by every restart of another.
others_pass() {
  local name id called peers lacking=""
  name=$(sed -n 's/^  --peer-cert-allowed-hostname=\([^ ,]*\).*/\1/p' <<<"$UNIT_TEXT")
  [ -n "$name" ] || return 0
  while read -r id called peers _; do
    [ "$id" != "$1" ] || continue
    peers=${peers%%,*}
    case $(peer_certificate "${peers#https://}" | openssl x509 -noout -checkhost "$name" 2>/dev/null || true) in
      *NOT*) lacking="$lacking, $called ($peers)" ;;
    esac
  done < <(members "$LOCAL")
  if [ -n "$lacking" ]; then
    fail "not restarted, because it would reject the peer certificate of ${lacking#, }, which lacks the name $name; the next pulumi up that reaches that host installs a new one"
  fi
}

# peer_certificate HOST:PORT: what a member shows there, also one that refuses ours then.
peer_certificate() {
  timeout 5 openssl s_client -connect "$1" -cert "$PKI/peer.pem" -key "$PKI/peer-key.pem" </dev/null 2>/dev/null || true
}

not_healthy() {
  echo "etcd is ready but has no quorum:"
  why etcd.service
  return 1
}

# restart: only with every other voter healthy; on failure the last good files come back and etcd's own words are shown.
restart() {
  local id from words reason
  doing "restarting etcd"
  if ! id=$(status_field "$LOCAL" MemberID) || ! from=$(status_field "$LOCAL" Version); then
    fail "$NO_ANSWER"
  fi
  others_are_well "$id"
  others_pass "$id"
  save_last_good
  reason=$(reasons "$from")
  if [ "$from" != "$VERSION" ]; then
    change_version "$from" "$id"
    # That may have taken a minute.
    others_are_well "$id"
  fi
  transfer_leadership_if_leader "$id"
  info "restarting etcd: $reason"
  install_files
  begin_restart
  if ! words=$(until_ready etcd.service && { retry 30 healthy "$LOCAL" 2>&1 >/dev/null || not_healthy; }); then
    if [ -e "$GOOD/running" ]; then
      roll_back
      # Also when this step has waited as long as it may.
      export WAIT_LIMIT=$((SECONDS + READY_SECONDS + 60))
      (wait_until_ready) || fail "etcd starts neither with the new configuration nor with the last working one. With the new one: $words"
      fail "etcd did not become ready with the new configuration; rolled back to the last working one: $words"
    fi
    fail "etcd did not become ready: $words"
  fi
  record_loaded_config
}
