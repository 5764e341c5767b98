#!/usr/bin/env bash
# A release on its way to the host: what is written and how long it takes is bounded, and nothing of it is run by root or linked
# before it was found to be the release that was asked for. Each function ends the step with one error when something is wrong.

# In KiB and seconds. The tarballs of 3.5 to 3.7 have up to 26 MB, what is in them up to 80 MB. Tests lower the limits.
TARBALL_KIB=${TARBALL_KIB:-262144}
UNPACKED_KIB=${UNPACKED_KIB:-524288}
SUMS_KIB=64
DOWNLOAD_SECONDS=${DOWNLOAD_SECONDS:-600}
UNPACK_SECONDS=120
RUN_SECONDS=${RUN_SECONDS:-30}

PROGRAMS=(etcd etcdctl etcdutl)

# bounded KIB SECONDS COMMAND...: no file that it writes grows beyond that, whatever it is fed with; such a write fails.
bounded() {
  local kib=$1 seconds=$2
  shift 2
  (
    trap '' XFSZ
    # Refused where the limit is lower already.
    ulimit -f "$kib" 2>/dev/null || true
    exec timeout --kill-after 5 "$seconds" "$@" </dev/null
  )
}

# ran_out STATUS: whether bounded ended the command for the time it took.
ran_out() { [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; }

# full FILE KIB: whether it has reached its bound.
full() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -ge "$(($2 * 1024))" ]; }

size() { if [ "$1" -ge 1024 ]; then printf '%d MiB' $(($1 / 1024)); else printf '%d KiB' "$1"; fi; }

# first_line: the first line with words on standard input, fit to be printed.
first_line() { head -c 4096 | tr -c '[:print:]\n' '?' | awk 'NF && !found++ { print substr($0, 1, 200) }'; }

# fetch URL FILE KIB SECONDS REMEDY
fetch() {
  local status=0
  if command -v curl >/dev/null; then
    with_proxy bounded "$3" "$4" curl --fail --silent --show-error --location --retry 3 --retry-connrefused --connect-timeout 10 \
      --output "$2" "$1" || status=$?
  else
    with_proxy bounded "$3" "$4" wget --quiet --tries 3 --timeout 30 --output-document "$2" "$1" || status=$?
  fi
  if [ "$status" -eq 0 ]; then return; fi
  if full "$2" "$3"; then fail "$1 is larger than $(size "$3"), so it is not what etcd publishes; check etcd:downloadUrl"; fi
  if ran_out "$status"; then fail "cannot download $1 within $4 s; $5"; fi
  fail "cannot download $1; $5"
}

# listed_digest NAME: of NAME.tar.gz, from the list beside the tarball.
listed_digest() {
  local url=$DOWNLOAD_URL/v$VERSION/SHA256SUMS
  fetch "$url" "$WORK/SHA256SUMS" "$SUMS_KIB" 60 "put the digest of $1.tar.gz into etcd:sha256 instead"
  LISTED=$(awk -v name="$1.tar.gz" 'NF == 2 && ($2 == name || $2 == "*" name) { print tolower($1) }' "$WORK/SHA256SUMS")
  [[ $LISTED =~ ^[0-9a-f]{64}$ ]] ||
    fail "$url does not list one SHA-256 digest of $1.tar.gz; check etcd:downloadUrl, or put the digest into etcd:sha256"
}

refuse() { fail "$NAME.tar.gz $*; nothing was installed; check what etcd:downloadUrl serves"; }

# unpack: the three programs of $WORK/$NAME.tar.gz become files of ours in $WORK/release. Their content alone is taken out of the
# archive, never a name, a link, a mode or an owner.
unpack() {
  local program objection said stamp
  said=$(bounded "$UNPACKED_KIB" "$UNPACK_SECONDS" gzip -dc "$WORK/$NAME.tar.gz" 2>&1 >"$WORK/release.tar") || {
    if full "$WORK/release.tar" "$UNPACKED_KIB"; then refuse "unpacks to more than $(size "$UNPACKED_KIB"), which no release does"; fi
    refuse "cannot be unpacked ($(first_line <<<"$said"))"
  }
  rm -f "$WORK/$NAME.tar.gz"
  said=$(bounded "$UNPACKED_KIB" "$UNPACK_SECONDS" tar --list --verbose --full-time --utc --numeric-owner --quoting-style=escape \
    --file "$WORK/release.tar" 2>&1 >"$WORK/list") || refuse "is not a complete tar archive ($(first_line <<<"$said"))"
  objection=$(object_to "$WORK/list")
  if [ -n "$objection" ]; then refuse "$objection"; fi
  mkdir "$WORK/release"
  for program in "${PROGRAMS[@]}"; do
    said=$(bounded "$UNPACKED_KIB" "$UNPACK_SECONDS" tar --extract --to-stdout --file "$WORK/release.tar" "$NAME/$program" \
      2>&1 >"$WORK/release/$program") || refuse "has $program, which cannot be unpacked ($(first_line <<<"$said"))"
    chmod 0755 "$WORK/release/$program"
    # By its size and time a running etcd tells that its release was installed anew, and is the same.
    stamp=$(awk -v name="$NAME/$program" '$6 == name { print $4 " " $5 }' "$WORK/list")
    if [[ $stamp =~ ^[0-9-]{10}\ [0-9:.]{8,18}$ ]]; then touch --date "$stamp UTC" "$WORK/release/$program"; fi
  done
  rm -f "$WORK/release.tar" "$WORK/list"
}

# object_to LIST: the first thing in tar's long list (mode, owner, size, date, time, name) that is in no release; nothing when
# all is well. tar has escaped the names.
object_to() {
  awk -v top="$NAME" -v programs="${PROGRAMS[*]}" '
    function object(words) { if (said == "") said = words " " substr($6, 1, 100) }
    BEGIN { count = split(programs, names, " ") }
    {
      type = substr($1, 1, 1)
      if (type == "l" || type == "h") object("has a link,")
      else if (type == "b" || type == "c" || type == "p") object("has a device or pipe,")
      else if (type != "-" && type != "d") object("has an entry that is not a file,")
      else if (type == "-" && $1 ~ /[sStT]/) object("has a file with a set-user-ID, set-group-ID or sticky bit,")
      else if ($6 ~ /^\// || ("/" $6 "/") ~ /\/\.\.\// || ($6 != top && index($6, top "/") != 1))
        object("has a name outside of its directory,")
      for (i = 1; i <= count; i++) {
        if (index($6, top "/" names[i] "/") == 1) object("has a directory in place of a program,")
        if ($6 != top "/" names[i]) continue
        seen[i]++
        if ($3 == 0) object("has an empty file,")
      }
    }
    END {
      for (i = 1; i <= count; i++) if (said == "" && seen[i] != 1) said = "has " names[i] " " (seen[i] + 0) " times, not once"
      print said
    }' "$1"
}

# look_at ARCHITECTURE: the programs are for this machine and of this version. They say the latter themselves, run by nobody,
# without rights and environment; the output goes to a file, because a child of theirs may keep a pipe open.
look_at() {
  local program built argument status line
  for program in "${PROGRAMS[@]}"; do
    built=$(built_for "$WORK/release/$program")
    if [ "$built" != "$1" ]; then refuse "has $program built for $built, not for $1"; fi
  done
  # For nobody to get in.
  chmod 0711 "$WORK"
  chmod 0755 "$WORK/release"
  for program in "${PROGRAMS[@]}"; do
    argument=version status=0
    if [ "$program" = etcd ]; then argument=--version; fi
    bounded 64 "$RUN_SECONDS" env -i setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
      "$WORK/release/$program" "$argument" >"$WORK/said" 2>&1 || status=$?
    line=$(first_line <"$WORK/said")
    if ran_out "$status"; then refuse "has $program, which does not print its version within $RUN_SECONDS s"; fi
    case "$status $program $line" in
      "0 etcd etcd Version: $VERSION" | "0 etcdctl etcdctl version: $VERSION" | "0 etcdutl etcdutl version: $VERSION") ;;
      *) refuse "has $program, which, run as nobody, exits with status $status and says \"$line\", not version $VERSION" ;;
    esac
  done
}

# built_for FILE: the architecture in the head of a 64-bit little-endian ELF program (e_ident, e_type, e_machine of elf(5)).
built_for() {
  local head
  head=$(od -An -v -tx1 -N20 "$1" | tr -d ' \n')
  case $head in
    7f454c460201????????????????????0[23]003e00) echo amd64 ;;
    7f454c460201????????????????????0[23]00b700) echo arm64 ;;
    7f454c46*) echo "another machine" ;;
    *) echo "no machine (not an ELF file)" ;;
  esac
}
