#!/usr/bin/env bash
# What on a host is this program's and what is somebody else's. A path that the program writes is ours when a receipt or a claim names
# it, when the file bears our mark, or when it is a link to one of our releases. Whatever else is there when it is to be written is a
# finding; whatever else is there when the host is left stays. Takes PKI FIREWALL, and JOBS where it is known.

# Directories for certificates that were not there before, a path a line.
MADE_DIRECTORIES=$STATE/made-directories
OUR_MARK='# Managed by etcd on Pulumi'

# written_paths: all files and links that the program makes outside of its own directories, a line each.
written_paths() {
  local name
  printf '%s\n' /etc/etcd.env "$UNIT"
  printf '/usr/local/bin/%s\n' etcd etcdctl etcdutl
  if [ "$FIREWALL" = yes ]; then printf '%s\n' "$FIREWALL_RULES" "$FIREWALL_UNIT" "$FIREWALL_DROP_IN" "$FIREWALL_KEEPER"; fi
  if [ -n "${JOBS:-}" ]; then configured_jobs | while read -r name; do job_files "$name"; done; fi
  for name in ca client client-key server server-key peer peer-key gateway gateway-key; do printf '%s/%s.pem\n' "$PKI" "$name"; done
}

# configured_jobs: the units of the timers, a line each.
configured_jobs() { [ -z "${JOBS:-}" ] || cut -d ' ' -f 1 <<<"$JOBS"; }

# job_files UNIT: among systemd's.
job_files() { printf '%s\n' "/etc/systemd/system/$1.service" "/etc/systemd/system/$1.timer"; }

# The inspection asks for every path, so none of these starts a process where it need not.
is_marked() {
  local line=
  [ -f "$1" ] && { IFS= read -r line <"$1" || true; } && [[ $line == "$OUR_MARK"* ]]
}

# is_ours PATH
is_ours() {
  if is_marked "$1" || is_last_word "$1" "$CLAIMS" || is_in_receipt "$1"; then return; fi
  [ -L "$1" ] && [[ $(readlink "$1") == "$RELEASES"/* ]]
}

# is_in_receipt THING: as base.sh's describe has it.
is_in_receipt() { is_last_word "$1" "$STATE"/receipts/*; }

# is_last_word WORD FILE...: of a line of one of the files.
is_last_word() {
  local file line
  for file in "${@:2}"; do
    [ -f "$file" ] || continue
    while IFS= read -r line; do
      if [ "${line##* }" = "$1" ]; then return 0; fi
    done <"$file"
  done
  return 1
}

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# belongings_findings: what of others is where this program would write.
belongings_findings() {
  local path
  while read -r path; do
    if is_there "$path" && ! is_ours "$path"; then echo "has a file that is not this program's at $path; move it away first"; fi
  done < <(written_paths)
  # Where the member runs already they are drift.
  if ! is_ours "$UNIT"; then
    for path in {/etc,/run,/usr/local/lib,/usr/lib}/systemd/system/etcd.service.d/*.conf; do
      [ "$path" = "$FIREWALL_DROP_IN" ] || ! is_there "$path" || echo "has a drop-in that is not this program's at $path; move it away first"
    done
  fi
  if [ "$FIREWALL" = yes ] && ! is_ours "$FIREWALL_RULES" && ! is_in_receipt @firewall && nft list table inet etcd >/dev/null 2>&1; then
    echo "has a table inet etcd in its packet filter that is not this program's; rename it, or delete it (nft delete table inet etcd)"
  fi
  broken_block
}

# overrides_of_all: drop-ins for every service of the host, as the images of containers generate them, are no override of etcd's unit.
# Said as long as there is no member.
overrides_of_all() {
  local path found=
  [ ! -e "$STATE/receipts/member" ] || return 0
  for path in /etc/systemd/system{,.control}/service.d/*.conf /run/systemd/{system,system.control,transient,generator,generator.early,generator.late}/service.d/*.conf \
    /usr/local/lib/systemd/system/service.d/*.conf /usr/lib/systemd/system/service.d/*.conf; do
    if is_there "$path"; then found=${found:+$found, }$path; fi
  done
  [ -z "$found" ] || echo "note has drop-ins for all of its services ($found), which apply to etcd.service too; they are left unchanged"
}

# claim PATH...: before they are written for the first time.
claim() {
  local path
  for path in "$@"; do
    if is_there "$path" && ! is_ours "$path"; then fail "has a file that is not this program's at $path; move it away first"; fi
  done
  for path in "$@"; do is_last_word "$path" "$CLAIMS" || append "$path" "$CLAIMS"; done
}

# give_up PATH...: those that are ours go, and the claims with them; so does what a killed run was writing beside them.
give_up() {
  local path
  for path in "$@"; do
    if ! is_there "$path" || is_ours "$path"; then remove_file "$path"; fi
  done
  if [ -e "$CLAIMS" ]; then
    { grep -vxF -f <(printf '%s\n' "$@") "$CLAIMS" || true; } | install_file 0644 root:root "$CLAIMS"
    [ -s "$CLAIMS" ] || rm -f "$CLAIMS"
  fi
}

# leave_other_directories: of certificates, after pki.directory was changed and nothing reads there any more: what is ours goes.
leave_other_directories() {
  local path
  local -a others=() made=() kept=()
  [ -e "$CLAIMS" ] || return 0
  while IFS= read -r path; do
    if [[ $path == *.pem && ${path%/*} != "$PKI" ]]; then others+=("$path"); fi
  done <"$CLAIMS"
  [ "${#others[@]}" -gt 0 ] || return 0
  doing "removing the certificates from ${others[0]%/*}, which is not etcd:pki.directory any more"
  for path in server peer gateway; do remove_file "${others[0]%/*}/$path.pem.next"; done
  give_up "${others[@]}"
  if [ ! -e "$MADE_DIRECTORIES" ]; then return; fi
  mapfile -t made < <(sort -ru "$MADE_DIRECTORIES")
  for path in "${made[@]}"; do
    if [[ $PKI/ == "$path"/* ]] || ! rmdir "$path" 2>/dev/null; then kept+=("$path"); fi
  done
  install_file 0644 root:root "$MADE_DIRECTORIES" < <([ "${#kept[@]}" -eq 0 ] || printf '%s\n' "${kept[@]}")
}

# keep_aside PATH: somebody's file that is in the way goes where only root finds it. Prints where.
keep_aside() {
  local kept
  kept=$BACKUPS/kept/$(date -u +%Y%m%dT%H%M%SZ)$1
  (umask 077 && mkdir -p "${kept%/*}")
  mv -fT "$1" "$kept"
  printf '%s' "$kept"
}

# broken_block: our block in /etc/hosts can only be told from the lines of others when each of its ends stands there once.
broken_block() {
  awk -v first="$BLOCK_BEGIN" -v last="$BLOCK_END" '
    $0 == first { begins++; begin = NR }
    $0 == last { ends++; end = NR }
    END {
      if (begins + ends == 0 || (begins == 1 && ends == 1 && begin < end)) exit
      printf "has a damaged block in /etc/hosts: the line \"%s\" occurs %d times and \"%s\" %d times, not once each in this order; delete the rest of the block by hand\n", first, begins, last, ends
    }' /etc/hosts
}

refuse_broken_block() {
  local words
  words=$(broken_block)
  [ -z "$words" ] || fail "$words; nothing was changed"
}
