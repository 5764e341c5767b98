#!/usr/bin/env bash
# Shared by every step that runs on a host: messages, atomic files, receipts.
# Values reach a step as quoted assignments in front of this text (NODE, ADDRESS, ...), never inside it.
set -Eeuo pipefail
# POSIXLY_CORRECT in a login's environment.
set +o posix
umask 022
# Nothing that the login brought along (/etc/environment, a shell's own files, what sudo keeps) reaches a program that is called here: no
# proxy, no option of a tool, no ETCDCTL_*. What is not exported stays readable.
mapfile -t BROUGHT < <(compgen -e)
if [ "${#BROUGHT[@]}" -gt 0 ]; then export -n "${BROUGHT[@]}"; fi
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

# What the program keeps on a host about its own doings; never etcd's data.
export STATE=/var/lib/etcd-on-pulumi
export DATA=/var/lib/etcd
export RELEASES=/opt/etcd-on-pulumi
export BACKUPS=/var/backups/etcd
export UNIT=/etc/systemd/system/etcd.service
export FIREWALL_RULES=/etc/etcd-firewall.nft
export FIREWALL_UNIT=/etc/systemd/system/etcd-firewall.service
# The packet filter's rule for etcd's own unit. A drop-in, because systemd applies it to a running unit on daemon-reload.
export FIREWALL_DROP_IN=/etc/systemd/system/etcd.service.d/addresses.conf
# Puts our rules back whenever Debian's own unit has flushed those of all.
export FIREWALL_KEEPER=/etc/systemd/system/nftables.service.d/etcd-on-pulumi.conf
# Exists from the moment this host's member was ready in a cluster for the first time (the unit's ExecStartPost makes it).
export FORMED=$STATE/formed
# What the running etcd was told, kept by the gate when a start by this program came out well (etcd.sh, process_of).
export PROCESS=$STATE/process
# initial-cluster settings of a first start; the unit reads it, its ExecStartPost removes it.
export FIRST_START=$STATE/first-start.env
# Files of a step that has not written its receipt yet, a path a line.
export CLAIMS=$STATE/made-files
# The CAs by name, one a line, that the running etcd certainly trusts, and the one that signed the leaves on this host: what the
# program judges a CA rotation by.
export TRUST_MARK=$STATE/trust
export ISSUER_MARK=$STATE/issuer
# What the jobs of this host's timers are told: quoted assignments (components/scripts/jobs.ts), some of them secret.
export JOB_SETTINGS=$STATE/jobs/values
# A file a job, of one line: "OUTCOME TIME SECONDS REVISION SIZE HASH ID[ # REASON]", of its last run, and in NAME.good of the last good one.
export RESULTS=$STATE/results
# restic's, of its repository's index: it is made again when it is gone.
export JOB_CACHE=/var/cache/etcd-on-pulumi

# info WORDS: where nobody is left to read them, because the run was killed, the step goes on all the same.
info() { printf '%s: %s\n' "$NODE" "$*" | printable >&2 || true; }

# Where a job keeps why it ends (jobs-run.sh); steps have none.
ERROR_WORDS=""
keep_words() { [ -z "$ERROR_WORDS" ] || printf '%s\n' "$*" >"$ERROR_WORDS"; }

fail() {
  info "$*"
  keep_words "$*"
  report_full_disks
  exit 1
}

# Less than this on the disk of etcd's data is too little, in MiB: etcd begins a journal file of 64 MiB while it still writes the one before.
LEAST_FREE=128
# Less than this is for the files of these scripts.
LEAST_FREE_FOR_FILES=8

# Directories that a step and etcd write to.
WRITTEN_PLACES=("$DATA" "$STATE" "$RELEASES" "$BACKUPS" /etc /usr/local/bin)

# report_full_disks: which of the disks that the steps and etcd write to takes nothing more. Tools and etcd that fail for it often name
# something else, or nothing.
report_full_disks() {
  local place path device free inodes free_inodes mount least writable seen=" "
  # The end of a subshell is reported by its caller, if it matters there.
  if [ "$BASHPID" != "$$" ]; then return 0; fi
  for place in "${WRITTEN_PLACES[@]}"; do
    path=$place
    until [ -d "$path/" ]; do path=${path%/*}; done
    read -r free inodes free_inodes mount < <(timeout 5 df --block-size 1M --output=avail,itotal,iavail,target -- "$path/" 2>/dev/null | sed '1d') || continue
    # A disk may be mounted in many places, in one of them read-only.
    device=$(stat -c %d "$path/" 2>/dev/null) || continue
    if [ -w "$path/" ]; then writable=yes; else writable=no; fi
    case $seen in *" $device$writable "*) continue ;; esac
    seen="$seen$device$writable " least=$LEAST_FREE_FOR_FILES
    if [ "$place" = "$DATA" ]; then least=$LEAST_FREE; fi
    if [ "$writable" = no ]; then
      info "$mount, the disk of $place, is mounted read-only: find out why (dmesg), remount it read-write, and run pulumi up again"
    elif [ "$inodes" != 0 ] && [ "$free_inodes" = 0 ]; then
      info "$mount, the disk of $place, has no free inodes: delete some files, and run pulumi up again"
    elif [[ $free =~ ^[0-9]+$ ]] && [ "$free" -lt "$least" ]; then
      info "$mount, the disk of $place, has only $free MiB free: free some space, and run pulumi up again"
    fi
  done
}

# printable: standard input, of which some may be the word of etcd or of somebody else on this host, as a terminal and the engine's
# log can take it: control characters and whatever is not ASCII are replaced, lines are cut. At most 64 KiB of it.
printable() { { head -c 65536 && cat >/dev/null; } | tr -c '\n\t -~' '?' | cut -c 1-1000; }

# Standard error of the step, wherever the function that ends it was called.
exec {STEP_ERRORS}>&2
# Status with which end_step leaves the subshell that it was called in; no tool that is called here has it.
ENDED=97
trap 'exit 1' USR1

# end_step WORDS: ends the whole step, from a subshell as well: the exit of that alone its caller may take for an answer.
end_step() {
  info "$*" 2>&"$STEP_ERRORS"
  keep_words "$*"
  kill -USR1 "$$"
  exit "$ENDED"
}

# begin_answer, end_answer: what the program reads stands between these (components/hosts/marks.ts). A shell's own words come before it, even
# without a line end. Takes MARK.
begin_answer() { printf '\nbegin %s\n' "$MARK"; }
end_answer() { printf 'end %s\n' "$MARK"; }
# announce_wait: the answer begins later than usual.
announce_wait() { printf '\nwait %s\n' "$MARK"; }

# What the step is at, for the error of a command that says no more than its own name, or nothing. Functions that others call in
# the middle of something have a local DOING.
DOING="starting"
doing() { DOING=$1; }

# failed: a command ended the step, and nobody has said why. What fails in a subshell is told where that was begun, if it matters there.
failed() {
  local status=$? command=${BASH_COMMAND%%[[:space:]]*} words
  if [ "$BASHPID" != "$$" ]; then return; fi
  # An assignment, or a function of these scripts, says nothing to a reader.
  if ! [[ $command =~ ^[a-z0-9_-]+$ ]] || [ "$(type -t "$command")" = function ]; then command="a command"; fi
  words="failed while $DOING: $command exited with status $status"
  info "$words; its output, if any, is above"
  # A subshell may have said more.
  if [ ! -s "$ERROR_WORDS" ]; then keep_words "$words"; fi
  report_full_disks
}
trap failed ERR

# with_proxy COMMAND...: a download takes the way through a proxy that the login knows, and believes whom it believes.
with_proxy() (
  export http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
  export SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE
  "$@"
)

# install_file MODE OWNER PATH: standard input becomes PATH, by rename, and only when something differs. Called often, so it starts as few
# processes as it can.
install_file() {
  local temporary words DOING="writing $3"
  [ -d "${3%/*}" ] || mkdir -p "${3%/*}"
  # What a killed run was writing; it may be a key.
  for temporary in "$3".new-[0-9][0-9][0-9][0-9][0-9][0-9]; do [ ! -e "$temporary" ] || rm -f "$temporary"; done
  printf -v temporary '%s.new-%06d' "$3" "$((BASHPID % 1000000))"
  words=$(umask 077 && { exec cat >"$temporary"; } 2>&1) || fail "cannot write $3: ${words##*: }"
  if [ "$1" != 0600 ]; then chmod "$1" "$temporary"; fi
  if [ "$2" != root:root ] || [ ! -O "$temporary" ] || [ ! -G "$temporary" ]; then chown "$2" "$temporary"; fi
  if [ -e "$3" ] && [ ! -L "$3" ] && cmp -s "$temporary" "$3"; then
    chmod "$1" "$3"
    chown "$2" "$3"
    rm -f "$temporary"
  else
    mv -fT "$temporary" "$3"
  fi
}

# append LINE PATH: a line more at the end of PATH; a failure is reported here, not by the shell.
append() {
  local words
  words=$({ printf '%s\n' "$1" >>"$2"; } 2>&1) || fail "cannot write $2: ${words##*: }"
}

# remove_file PATH...: removes files of install_file, and with what a killed run was writing beside them.
remove_file() {
  local path
  for path in "$@"; do rm -f "$path" "$path".new-[0-9][0-9][0-9][0-9][0-9][0-9]; done
}

# symlink TARGET PATH: PATH becomes a symbolic link to TARGET, by rename.
symlink() {
  local temporary DOING="linking $2 to $1"
  printf -v temporary '%s.new-%06d' "$2" "$((BASHPID % 1000000))"
  rm -f "$2".new-[0-9][0-9][0-9][0-9][0-9][0-9]
  ln -s "$1" "$temporary"
  mv -fT "$temporary" "$2"
}

# describe THING...: one line a thing, as receipts hold it and as the probe compares it. A thing is a path, or one of
# @hosts (our block in /etc/hosts), @firewall (our table as the kernel has it), @user.
#   file MODE OWNER:GROUP SHA256 PATH | directory MODE OWNER:GROUP PATH | link TARGET PATH | state SHA256 THING | absent THING
# Asks for all of them at once: a host with slow processes has many things to be asked for.
describe() {
  local thing content mode owner size changed digest descriptor
  local -a found=() hashed=() links=() targets=()
  local -A attributes=() digests=() descriptors=()
  for thing in "$@"; do
    if [[ $thing == @* ]]; then
      content=$(state_of "$thing")
      [ -n "$content" ] || continue
      exec {descriptor}<<<"$content"
      descriptors[$thing]=$descriptor
      hashed+=("/dev/fd/$descriptor")
      continue
    fi
    if [ -L "$thing" ]; then links+=("$thing"); fi
    if [ -L "$thing" ] || [ ! -e "$thing" ]; then continue; fi
    found+=("$thing")
    # Of a release's binaries (tens of megabytes) size and time of the last change, which a swapped binary cannot keep without
    # meaning to, stand for the content.
    if [ -f "$thing" ] && [[ $thing != "$RELEASES"/* ]]; then hashed+=("$thing"); fi
  done
  if [ "${#found[@]}" -gt 0 ]; then
    while read -r mode owner size changed thing; do
      attributes[$thing]="$mode $owner" digests[$thing]=size-$size-changed-$changed
    done < <(stat -c '%a %U:%G %s %Y %n' "${found[@]}" 2>/dev/null)
  fi
  if [ "${#hashed[@]}" -gt 0 ]; then
    while read -r digest thing; do digests[$thing]=$digest; done < <(sha256sum "${hashed[@]}" 2>/dev/null)
  fi
  for descriptor in "${descriptors[@]}"; do exec {descriptor}<&-; done
  # A line for each, in their order.
  if [ "${#links[@]}" -gt 0 ]; then mapfile -t targets < <(readlink "${links[@]}"); fi
  for thing in "$@"; do
    if [[ $thing == @* ]]; then
      if [ -n "${descriptors[$thing]-}" ]; then
        printf 'state %s %s\n' "${digests[/dev/fd/${descriptors[$thing]}]}" "$thing"
      else
        printf 'absent %s\n' "$thing"
      fi
    elif [ -L "$thing" ]; then
      printf 'link %s %s\n' "${targets[0]}" "$thing"
      targets=("${targets[@]:1}")
    elif [ -z "${attributes[$thing]-}" ]; then
      printf 'absent %s\n' "$thing"
    elif [ -d "$thing" ]; then
      printf 'directory %s %s\n' "${attributes[$thing]}" "$thing"
    elif [ -f "$thing" ]; then
      printf 'file %s %s %s\n' "${attributes[$thing]}" "${digests[$thing]}" "$thing"
    else
      printf 'absent %s\n' "$thing"
    fi
  done
}

BLOCK_BEGIN='# BEGIN etcd on Pulumi'
BLOCK_END='# END etcd on Pulumi'

state_of() {
  case $1 in
    @hosts) sed -n "/^$BLOCK_BEGIN\$/,/^$BLOCK_END\$/p" /etc/hosts ;;
    @firewall) nft list table inet etcd 2>/dev/null || true ;;
    @user) getent passwd etcd || true ;;
  esac
}

# What the step is told to do, by read_revision: "mode", "time", and its values by name.
declare -A REVISION=()

REVISION_FORM='^[a-z-]+( [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z( [a-z]+=[A-Za-z0-9_./,+-]+)*)?$'

# read_revision REVISION: "MODE[ TIME[ NAME=VALUE]...][ # REASON]" (components/scripts/revision.ts). Nothing else looks into a revision, and
# nothing at all into its reason. Takes STEP_MODES, the step's: each with the names of its values in their order, "MODE:NAME:NAME?". A "?"
# is behind the name of a value that may be missing, and behind a mode whose time may.
read_revision() {
  local told=${1%%' # '*} spec name word value known
  local -a specs names words
  doing "reading its revision"
  read -ra specs <<<"$STEP_MODES"
  read -ra words <<<"$told"
  for spec in "${specs[@]}"; do
    IFS=: read -ra names <<<"$spec"
    if ! [[ $told =~ $REVISION_FORM ]] || [ "${names[0]%\?}" != "${words[0]}" ]; then continue; fi
    if [ "${#words[@]}" -eq 1 ] && [[ ${names[0]} != *\? ]]; then continue; fi
    REVISION=(["mode"]=${words[0]} ["time"]=${words[1]-})
    known="${words[*]:0:2}"
    for name in "${names[@]:1}"; do
      value=
      for word in "${words[@]:2}"; do
        if [ "${word%%=*}" = "${name%\?}" ]; then value=${word#*=}; fi
      done
      if [ -z "$value" ] && [[ $name != *\? ]]; then continue 2; fi
      REVISION["${name%\?}"]=$value
      known=$known${value:+ ${name%\?}=$value}
    done
    if [ "$known" = "$told" ]; then
      refuse_outdated
      return
    fi
  done
  fail "cannot apply \"$1\", which is none of this step's revisions, so nothing was changed. Another release of this program wrote it; run pulumi up with etcd:drift true, which inspects the hosts and makes a new one"
}

# refuse_outdated: a run was killed when this step was still on its way to the host, and the next run has been here meanwhile. By the
# times of their revisions. Takes STEP_RECEIPTS.
refuse_outdated() {
  local name time
  for name in $STEP_RECEIPTS; do
    read -r _ _ time _ 2>/dev/null <"$STATE/receipts/$name" || continue
    if ! [[ $time =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$ ]] || ! [[ $time > ${REVISION[time]:-9999} ]]; then continue; fi
    fail "not applied: this step's revision is from ${REVISION[time]}, and a later run has applied one from $time. The run that started this step was killed, or the stack's state is older than this host; run pulumi up again, with etcd:drift true"
  done
}

# mode MODE...: whether it is one of these.
mode() { [[ " $* " == *" ${REVISION[mode]} "* ]]; }

# receipt NAME REVISION PATH...: what the step's last successful run left behind, for the probe to compare with.
receipt() {
  local step=$1 revision=$2 DOING="writing the receipt of $1"
  shift 2
  refuse_outdated
  {
    printf 'revision %s\n' "$revision"
    describe "$@"
  } | install_file 0600 root:root "$STATE/receipts/$step"
  keep_own_script
}

# The machine's architecture as etcd's releases spell it; fails where there is none.
architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) return 1 ;;
  esac
}

# etcdctl_as_client ARGUMENT...: etcdctl with the client certificate that lies on this host.
etcdctl_as_client() {
  local pki
  pki=$(pki_in_use)
  /usr/local/bin/etcdctl --cacert "$pki/ca.pem" --cert "$pki/client.pem" --key "$pki/client-key.pem" "$@"
}

# pki_in_use: the directory of a whole set of certificates: PKI, or where etcd still has its own when the configuration has changed it.
# The CA bundle comes last to a new one.
pki_in_use() {
  local ca=
  if [ ! -e "$PKI/ca.pem" ] && [ -f "$UNIT" ]; then ca=$(ca_of "$UNIT"); fi
  if [ -n "$ca" ] && [ -e "$ca" ]; then printf '%s' "${ca%/*}"; else printf '%s' "$PKI"; fi
}

# ca_of UNIT_FILE: the CA bundle that it has etcd read.
ca_of() { sed -nE 's|^  --trusted-ca-file=(/[^ ]*)( .*)?$|\1|p' "$1" | head -n 1; }

# reload_units UNIT...: systemd reads its files again, which takes a while, only if it has an older text of one of these.
reload_units() {
  local unit DOING="reloading systemd"
  for unit in "$@"; do
    if [ "$(systemctl show --property NeedDaemonReload --value "$unit")" = yes ]; then
      systemctl daemon-reload
      return
    fi
  done
}

# url HOST PORT: an https URL, with brackets round an IPv6 address.
url() {
  case $1 in
    *:*) printf 'https://[%s]:%s' "$1" "$2" ;;
    *) printf 'https://%s:%s' "$1" "$2" ;;
  esac
}

# journal LINES [UNIT]: what etcd said, and systemd of it, the newest first. Its readers may end early.
journal() {
  journalctl --unit "${2:-etcd.service}" --reverse --lines "$1" --no-pager --output cat 2>/dev/null | cut -c 1-8000
}
