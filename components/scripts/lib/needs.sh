#!/usr/bin/env bash
# What the steps call, write and fill on a host, checked before anything is changed there: in every inspection, so builtins do it where
# they can. Takes PKI FIREWALL MANAGE_HOSTS UPGRADE JOBS and, in an inspection, VERSION.

# Everything that the scripts call, by Debian's package (test/unit/scripts/needs.test.ts reads the scripts and compares). The inspection itself
# cannot do without the first ones.
# shellcheck disable=SC2034 # for probe.sh and host.sh
LOOK_COMMANDS='bash: bash
coreutils: basename cat chmod chown cp cut date df dirname du env head id install ln mkdir mktemp mv nice od paste readlink rm rmdir sha256sum sleep sort stat sync tac tail timeout touch tr uname wc
dash: sh
diffutils: cmp
findutils: find
grep: grep
iproute2: ip ss
libc-bin: getent
mawk: awk
sed: sed
systemd: journalctl systemctl
sysvinit-utils: pidof
util-linux: findmnt flock mountpoint setpriv'
STEP_COMMANDS='coreutils: base64
gzip: gzip
openssl: openssl
passwd: groupadd groupdel useradd userdel usermod
tar: tar'

# MiB and inodes that a disk must have for the small files that are written to it, and MiB for one release on its way in.
SMALL_FILES=16
LEAST_INODES=200
RELEASE_ROOM=200

# need WORDS: a finding that stops a run which has something to do on this host.
need() { printf 'change %s\n' "$*"; }

# missing_commands TABLE: in words, to "missing", each that is not there. Nothing but bash itself is called.
missing_commands() {
  local name
  local -a line
  while read -ra line; do
    # bash keeps what it finds, so that nothing is looked for twice.
    hash -- "${line[@]:1}" 2>/dev/null && continue
    for name in "${line[@]:1}"; do
      hash -- "$name" 2>/dev/null || missing+=("has no $name command; install the package ${line[0]%:}")
    done
  done <<<"$1"
}

# missing_for_steps: likewise, of what only steps call.
missing_for_steps() {
  missing_commands "$STEP_COMMANDS"
  hash curl 2>/dev/null || hash wget 2>/dev/null || missing+=("has neither curl nor wget; install one of them")
  if [ "$FIREWALL" = yes ] && ! hash nft 2>/dev/null; then
    missing+=("has no nft command; install the package nftables, or set etcd:host.firewall to false")
  fi
  if [ "$UPGRADE" = yes ] && ! hash apt-get 2>/dev/null; then
    missing+=("has no apt-get command, and etcd:host.upgrade is true; set it to false")
  fi
  if [ -n "${JOBS:-}" ] && ! hash systemd-analyze 2>/dev/null; then
    missing+=("has no systemd-analyze command; install the package systemd, or configure neither etcd:backup nor etcd:maintenance")
  fi
  if lacks_restic && ! hash apt-get 2>/dev/null; then
    missing+=("has neither restic nor apt-get to install it, and etcd:backup.repository needs restic; install it")
  fi
}

# lacks_restic: and a repository is configured, which its weekly check shows.
lacks_restic() { [[ $'\n'${JOBS:-} == *$'\n'"etcd-backup-check "* ]] && ! hash restic 2>/dev/null; }

# unmet_needs: what would make a step that has something to do fail half way.
unmet_needs() {
  local words
  local -a places files there=() missing=()
  missing_for_steps
  for words in "${missing[@]}"; do need "$words"; done
  written_places
  no_directory
  closed_places
  no_execution
  full_disks
  if [ "$UPGRADE" = yes ]; then interrupted_dpkg "etcd:host.upgrade is true"; fi
  if [ "$UPGRADE" != yes ] && lacks_restic; then interrupted_dpkg "restic is to be installed for etcd:backup.repository"; fi
}

# written_places: all directories that steps make something in, and files that they replace which may be there already, to "places" and
# "files"; and to "there" the directories as they are now, the next above where one is still to be made.
written_places() {
  local path
  places=(/etc /etc/systemd/system /etc/systemd/system/multi-user.target.wants "${UNIT}.d" /run /run/systemd/system /tmp /usr/local/bin
    /var/lib "$STATE" "$STATE/receipts" "$DATA" "$RELEASES" "$BACKUPS" "$PKI")
  mapfile -t files < <(written_paths)
  if [ "$FIREWALL" = yes ]; then places+=("${FIREWALL_KEEPER%/*}"); fi
  if [ "$MANAGE_HOSTS" = yes ]; then files+=(/etc/hosts); fi
  # Its user is made, or put right.
  if [ ! -e "$STATE/receipts/host" ]; then files+=(/etc/passwd /etc/group /etc/shadow /etc/gshadow); fi
  if [ -n "${JOBS:-}" ]; then places+=(/etc/systemd/system/timers.target.wants /var/cache); fi
  if [ "$UPGRADE" = yes ] || lacks_restic; then places+=(/usr/bin /usr/lib /boot /var/lib/dpkg /var/lib/apt/lists /var/cache/apt/archives); fi
  for path in "${places[@]}"; do
    until [ -e "$path" ] || [ -L "$path" ]; do path=${path%/*} path=${path:-/}; done
    case " ${there[*]} " in *" $path "*) ;; *) there+=("$path") ;; esac
  done
}

no_directory() {
  local path
  for path in "${there[@]}"; do
    if [ -d "$path" ]; then continue; fi
    if [ -L "$path" ]; then
      need "has a symbolic link at $path that does not lead to a directory ($(readlink "$path")); make that directory, or remove the link"
    else
      need "has something at $path that is not a directory; move it away"
    fi
  done
}

# mount_of PATH: where its file system is mounted, and the options; of several on one place the last is the one that is seen.
mount_of() { findmnt --noheadings --output TARGET,OPTIONS --target "$1" 2>/dev/null | tail -n 1; }

# closed_places: nothing is tried. The kernel says what root cannot write: what is on a read-only file system, or immutable.
closed_places() {
  local path target options other
  local -A closed=()
  for path in "${there[@]}" "${files[@]}"; do
    if [ ! -e "$path" ] || [ -w "$path" ]; then continue; fi
    read -r target options < <(mount_of "$path") || true
    case ,$options, in
      *,ro,*)
        for other in ${closed[$target]-}; do if [[ $path == "${other%,}"/* ]]; then continue 2; fi; done
        closed[$target]=${closed[$target]:+${closed[$target]}, }$path
        ;;
      *) need "has $path, which not even root can write to: it is immutable (chattr -i $path), or a security module forbids it" ;;
    esac
  done
  for target in "${!closed[@]}"; do
    need "has a read-only file system at $target, where ${closed[$target]} is written to; make it writable (mount -o remount,rw $target)"
  done
}

# no_execution: a program on a file system with noexec cannot be run, wherever it is linked.
no_execution() {
  local path target options
  # One that is there tells without a process.
  for path in "$RELEASES"/v*/etcd; do
    if [ -x "$path" ]; then return; fi
  done
  path=$RELEASES
  until [ -e "$path" ]; do path=${path%/*} path=${path:-/}; done
  read -r target options < <(mount_of "$path") || true
  case ,$options, in
    *,noexec,*) need "has a file system at $target that is mounted noexec, and etcd is to run from $RELEASES there; mount it without (mount -o remount,exec $target)" ;;
  esac
}

# full_disks: of those that something is written to; that of Data has rules of its own (room, disk.sh).
full_disks() {
  local blocks size inodes free path needed
  local -A seen=()
  while read -r blocks size inodes free path; do
    if [ "$path" = "$DATA" ]; then continue; fi
    needed=$SMALL_FILES
    if [[ $RELEASES == "$path"* ]] && release_comes; then needed=$RELEASE_ROOM; fi
    # A disk has several of these directories.
    if [ -n "${seen[$blocks/$size/$free]-}" ] && [ "${seen[$blocks/$size/$free]}" -ge "$needed" ]; then continue; fi
    seen[$blocks/$size/$free]=$needed
    if [ "$((blocks * size / 1048576))" -lt "$needed" ]; then
      need "has $((blocks * size / 1048576)) MiB free on the disk of $path, and $needed MiB are needed there; free some space"
    elif [ "$inodes" -gt 0 ] && [ "$free" -lt "$LEAST_INODES" ]; then
      need "has $free inodes free on the disk of $path, so hardly any file can be created there; delete some files"
    fi
  done < <(stat -f -c '%a %S %c %d %n' "${there[@]}" 2>/dev/null || true)
}

release_comes() { [ ! -e "$RELEASES/v$VERSION/manifest" ]; }

# unmounted_data: what is to be in Data lies on a disk that is not there now.
unmounted_data() {
  local target unit=
  for unit in {/etc,/run}/systemd/system/var-lib-etcd.mount /run/systemd/generator/var-lib-etcd.mount; do
    if [ -e "$unit" ]; then break; fi
    unit=
  done
  if [ -z "$unit" ] && [ -r /etc/fstab ]; then
    while read -r _ target _; do
      if [ "${target%/}" = "$DATA" ]; then unit=/etc/fstab; fi
    done </etc/fstab
  fi
  if [ -n "$unit" ] && ! mountpoint -q "$DATA"; then
    echo "expects a disk mounted at $DATA (according to $unit), but none is mounted; mount it (mount $DATA), or remove that entry"
  fi
}

# interrupted_dpkg WHY: as dpkg itself tells it.
interrupted_dpkg() {
  local path
  for path in /var/lib/dpkg/updates/[0-9]*; do
    if [ -e "$path" ]; then
      need "has an interrupted dpkg run, and $1; finish it first (dpkg --configure -a)"
      return
    fi
  done
}
