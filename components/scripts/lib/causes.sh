#!/usr/bin/env bash
# Why etcd does not start, or does not get ready, in etcd's and systemd's own words, and what to do about it.

# causes: a line each, KIND: PATTERN => MEANING. PATTERN is an extended regular expression that matches what etcd 3.5 to 3.7 or systemd
# says, in either format of the log. Of the kinds
#   rebuild  etcd ends because of its own data: nothing helps but a rebuild from the other members, which a person has to ask for
#   mend     etcd ends because of something else, or systemd does not start it
#   hint     etcd runs and says why it may not get ready; a better one stands before a worse one
# A colon, an arrow and what is in capitals are the table's own: NODE, MEMBER (the ID), DATA and PKI are replaced.
causes() {
  cat <<'END'
rebuild: tocommit\([0-9]+\) is out of range => Its data is older than what it has acknowledged to the cluster, as after its disk was restored from an old copy.
rebuild: found data inconsistency with peers => Either this member or another one is wrong; "etcdctl endpoint hashkv --cluster" shows which one differs from the majority.
rebuild: walpb: crc mismatch|wal: crc mismatch|wal: file not found|wal: max entry size => Its WAL in DATA/member/wal is damaged.
rebuild: invalid database|[Pp]age expected to be|page [0-9]+ already freed|failed to get all reachable pages|invalid freelist page|checksum error => Its database DATA/member/snap/db is damaged.
rebuild: failed to recover v3 backend from snapshot|failed to find database snapshot file => Its database is older than its WAL, or is missing.
mend: unmarshal should never fail => Its WAL has entries that etcd 3.5 wrote and etcd 3.7 cannot read. Set etcd:version back to the 3.6 release that ran before and run pulumi up again; then upgrade to 3.7 (docs/versions.md).
mend: version ..?3\.[0-9.]+..? is not supported|invalid downgrade; server version is lower|cannot detect downgrade => Its data was written by a newer minor version than this etcd. Set etcd:version back to that minor version, and downgrade one minor version at a time, each in a pulumi up of its own (docs/versions.md).
mend: flag provided but not defined|invalid value .* for flag|failed to verify flags|error verifying flags|unrecognized feature gate => etcd rejects one of its flags. Correct etcd:settings, and remove drop-ins of etcd.service.
mend: bind: address already in use => Another process has that address and port. "ss -ltnp" on the host shows which; stop it.
mend: bind: cannot assign requested address => No interface of the host has that address. Give it to the host, or correct nodes[].address.
mend: open [^ "]*\.pem: no such file or directory => A certificate or key is missing. The next pulumi up writes those in PKI; a file that a setting names must exist on every host.
mend: open [^ "]*\.pem: permission denied => The user etcd may not read that file. The next pulumi up sets its owner and mode; on the directories above PKI that user needs search (x) permission ("namei -l PATH" shows them).
mend: private key does not match public key|failed to find any PEM data|tls: failed to parse|x509: malformed|x509: invalid|asn1: => Certificate and key do not belong together, or are damaged. Remove server.pem and peer.pem in PKI; the next pulumi up writes both with their keys.
mend: [Nn]o space left on device => The disk is full ("df -h DATA", "df -i DATA"). Free some space, and etcd starts by itself.
mend: [Rr]ead-only file system => The disk is mounted read-only, often after a disk error (see "journalctl -k"). Repair it and remount it read-write.
mend: [Ii]nput/output error => The disk is failing (see "journalctl -k"). Replace it; the host rejoins with an empty DATA.
mend: permission denied => The user etcd may not use that file or directory. Below DATA the next pulumi up sets the owner; elsewhere give that user access.
mend: has been permanently removed from the cluster => The other members removed this one. If the node is to stay, run pulumi up again: its data is moved aside and the host rejoins.
mend: member count is unequal|unmatched member while checking PeerURLs|find local name|missing from --initial-advertise-peer-urls|has already been bootstrapped => Its initial cluster does not match the cluster's members, which may have changed meanwhile. Run pulumi up again.
mend: could not retrieve cluster information from the given URLs => None of the other members answered on port 2380. Start them first; their firewall or certificates may also reject this host.
mend: file already locked|is flocked by another process => Another process has its data open. "fuser -v DATA/member/snap/db" on the host shows which; stop it.
mend: killed by the OOM killer|result 'oom-kill'|out of memory|cannot allocate memory => The host ran out of memory (see "journalctl -k"). Add memory, or reduce its load.
mend: 203/EXEC|Failed to locate executable => systemd cannot run /usr/local/bin/etcd. The next pulumi up reinstalls it; its disk must not be mounted noexec.
mend: 238/STATE_DIRECTORY|Failed to set up special execution directory => systemd cannot use DATA. It must be a directory, not a symbolic link; mount a disk there instead (docs/troubleshooting.md).
mend: 217/USER|216/GROUP => The user or the group etcd is missing. The next pulumi up creates them.
mend: 226/NAMESPACE|Failed to set up mount namespacing => The host does not let systemd set up etcd's sandbox, as in a container without the right to mount. Allow it there (for LXC: nesting).
mend: Failed to load environment files => A file with etcd's environment is missing or cannot be read. The next pulumi up writes it.
hint: cluster ID mismatch => The other members belong to a different cluster than this host's data. One of them has the wrong disk, or was created by another stack.
hint: certificate has expired or is not yet valid => A certificate has expired, or the clock of a host is wrong ("timedatectl"; "npm run status" shows the expiry dates). pulumi up renews certificates.
hint: signed by unknown authority|unknown certificate authority => Another host's certificate was signed by a different CA. Run a pulumi up that reaches all hosts (docs/certificates.md).
hint: x509: certificate is valid for => Another member uses an address that its certificate does not list. Check nodes[].address and the routes between the hosts ("ip route get ADDRESS").
hint: remote error: tls: => Another member rejects the certificate of this host; its own journal says why. Often a clock is wrong ("timedatectl").
hint: no route to host|i/o timeout|network is unreachable => Packets to another member do not arrive. Open ports 2379 and 2380 between the hosts.
hint: connection refused => Another member is not listening. Start it first; its own step says why it does not start.
hint: too many requests|request timed out|no leader => The member has no leader, or cannot keep up with it. A majority of the voters must run and reach each other.
END
}

# patterns KIND...: the table's.
patterns() {
  local line kind
  while IFS= read -r line; do
    for kind in "$@"; do
      if [ "${line%%: *}" = "$kind" ]; then line=${line#*: } && printf '%s\n' "${line%% => *}"; fi
    done
  done < <(causes)
}

# recent UNIT: what the unit and systemd said since it last was ready, or was told to end, the newest first.
recent() {
  { journal 1500 "$1" || true; } | sed -E '/^(Started|Stopping) etcd/Q'
}

# why UNIT: the line that says why it does not start or get ready, and what that means; or the gravest ones; or the last ones.
why() {
  local lines line pattern
  lines=$(recent "$1")
  line=$(first_like <(patterns rebuild mend) <<<"$lines")
  while [ -z "$line" ] && read -r pattern; do
    line=$(first_like <(printf '%s\n' "$pattern") <<<"$lines")
  done < <(patterns hint)
  if [ -n "$line" ]; then
    essence <<<"$line"
    meaning "$line"
  else
    gravest <<<"$lines" | awk 'NR < 4' | tac | essence
  fi
}

# first_like FILE: of the lines on standard input the first that matches one of the patterns in FILE; nothing when there is none.
first_like() { { grep -E -f "$1" || true; } | awk 'NR == 1'; }

# meaning LINE: the first cause that it matches, in words.
meaning() {
  local line pattern kind words own=""
  while IFS= read -r line; do
    kind=${line%%: *} words=${line#* => } pattern=${line#*: }
    [ -n "$(first_like <(printf '%s\n' "${pattern%% => *}") <<<"$1")" ] || continue
    if [ "$kind" = rebuild ]; then
      own=$(data_identity)
      own=${own#* }
      words="$words To rebuild NODE from the others, set etcd:nodes[].rebuild of this node to ${own:-"the ID of its member (npm run status)"} and run pulumi up again; its data is moved aside: docs/alarms.md"
    fi
    words=${words//DATA/"$DATA"}
    words=${words//PKI/"$PKI"}
    printf '%s\n' "${words//NODE/"$NODE"}"
    return
  done < <(causes)
}

# gravest: of the lines those that etcd ended with; else errors; else what systemd says of its end; else all that is no stack.
gravest() {
  local lines pattern found
  lines=$(grep -vE 'use of closed network connection|http: Server closed|server is stopping' || true)
  for pattern in '"level":"(fatal|panic)"|^[0-9TZ:.-]+[[:space:]](fatal|panic)[[:space:]]|^panic: |^fatal error: ' \
    '"level":"(error|dpanic)"|^[0-9TZ:.-]+[[:space:]](error|dpanic)[[:space:]]' \
    'Failed at step|Main process exited|Failed with result' '"level":"warn"|^[0-9TZ:.-]+[[:space:]]warn[[:space:]]' '^[^[:space:]]'; do
    if found=$(grep -E -f <(printf '%s\n' "$pattern") <<<"$lines"); then
      printf '%s\n' "$found"
      return
    fi
  done
}

# essence: lines of etcd's log without time, place in its source, and stack.
essence() {
  sed -E 's/"(ts|caller)":"[^"]*",//g; s/,"stacktrace":"([^"\\]|\\.)*"?//; s/^[0-9TZ:.-]+\t([a-z]+)\t([^\t ]+\.go:[0-9]+\t)?/\1: /' | cut -c 1-900 | printable
}

# unusable_data: that etcd exits at every start because of its data, with the remedy; nothing when it is something else.
unusable_data() {
  local lines line
  lines=$(recent etcd.service)
  line=$(first_like <(patterns rebuild mend) <<<"$lines")
  [ -n "$(first_like <(patterns rebuild) <<<"$line")" ] && [ -n "$(data_identity)" ] || return 0
  printf 'etcd exits at startup because of its data: %s\n' "$(essence <<<"$line")"
  meaning "$line"
}
