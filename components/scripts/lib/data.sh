#!/usr/bin/env bash
# etcd's data directory, Data. It may be a mount point, and others may keep things in it: of all that lies there only member/ is this
# program's to move or to delete, and of what lies in member/ only what etcd made. Data belongs to the etcd user, who may plant links
# in it: root deletes nothing below it itself, and while root moves something there nobody else puts anything into Data.

# on_own_disk: nothing can be renamed out of Data. A bind mount has the device number of its parent, a btrfs subvolume has no mount.
on_own_disk() {
  [ -d "$DATA" ] && { mountpoint -q "$DATA" || [ "$(stat -c %d "$DATA")" != "$(stat -c %d "${DATA%/*}")" ]; }
}

# beside NAME: the path for something that is to stay on the disk of Data. etcd takes no notice of a file of that name in Data.
beside() { if on_own_disk; then printf '%s/aside.%s' "$DATA" "$1"; else printf '%s.%s' "$DATA" "$1"; fi; }

# misplaced: why Data cannot be worked on, in words; nothing when it can.
misplaced() {
  if [ -L "$DATA" ]; then
    echo "has a symbolic link at $DATA, which systemd does not accept as a state directory; remove the link and mount the disk there instead (mount --bind $(readlink "$DATA") $DATA, and the same in /etc/fstab)"
  elif [ -L "$DATA/member" ]; then
    echo "has a symbolic link at $DATA/member, which is not followed; put the directory itself there, or mount its disk at $DATA"
  fi
}

# data_warnings: what would be moved aside with the data.
data_warnings() {
  local name
  [ -z "$(misplaced)" ] || return 0
  strange_things | while read -r name; do
    echo "has $DATA/member/$name, which etcd did not create; move it out of $DATA/member"
  done
}

refuse_misplaced() {
  local words
  words=$(misplaced)
  [ -z "$words" ] || fail "$words"
}

# as_owner COMMAND...: as the user that Data belongs to. Where that one cannot lead itself to, it cannot lead this program either.
as_owner() {
  local owner
  owner=$(stat -c '%u %g' "$DATA")
  (cd / && exec setpriv --reuid "${owner% *}" --regid "${owner#* }" --clear-groups -- "$@")
}

# The names that etcd 3.5 to 3.7 gives to what it makes below member/ (its packages wal, snap and backend): the journal, all else,
# and the directories.
JOURNAL_NAMES='wal(\.tmp|\.broken\.[0-9.]+)?/([0-9a-f]+-[0-9a-f]+\.wal(\.broken)?|[0-9]+\.tmp)'
OTHER_NAMES='(.*/)?\.touch|snap/(db|db\.tmp\.[0-9]+|tmp[0-9]+|[0-9a-f]+-[0-9a-f]+\.snap(\.broken)?|[0-9a-f]+\.snap\.db)'
DIRECTORY_NAMES='wal(\.tmp|\.broken\.[0-9.]+)?|snap'

# below_member TEST...: find there, on its disk alone.
below_member() { as_owner find -P "$DATA/member" -xdev -mindepth 1 -regextype posix-extended "$@" 2>/dev/null; }

# strange_things: what lies in member/ and is none of etcd's, relative to it, a few.
strange_things() {
  [ -d "$DATA/member" ] || return 0
  (below_member ! \( -type f -regex "$DATA/member/($JOURNAL_NAMES|$OTHER_NAMES)" -o -type d -regex "$DATA/member/($DIRECTORY_NAMES)" \) \
    -printf '%P\n' || true) | head -n 3 | tr -c '[:print:]\n' '?' | cut -c 1-200
}

# copy_data DIRECTORY: what etcd made in member/ to DIRECTORY/member, as the etcd user. Whatever else comes and goes there meanwhile
# is neither copied nor missed.
copy_data() {
  as_etcd env -C "$DATA" find member -xdev -ignore_readdir_race -regextype posix-extended \
    -type f -regex "member/($JOURNAL_NAMES|$OTHER_NAMES)" -exec cp -a --reflink=auto --parents -t "$1" {} +
}

# delete_data: what etcd made. The journal goes last: by it a run after one that was killed knows whose the rest is. What else lies
# there is moved aside.
delete_data() {
  refuse_misplaced
  [ -d "$DATA/member" ] || return 0
  below_member -depth \( -type f -regex "$DATA/member/($OTHER_NAMES)" -o -type d -regex "$DATA/member/($DIRECTORY_NAMES)" -empty \) -delete || true
  below_member -depth \( -type f -regex "$DATA/member/($JOURNAL_NAMES)" -o -type d -regex "$DATA/member/($DIRECTORY_NAMES)" -empty \) -delete || true
  # A mount point stays.
  if ! rmdir "$DATA/member" 2>/dev/null && [ -n "$(below_member -print -quit)" ]; then
    info "$DATA/member has something that etcd did not create: $(strange_things | paste -sd ' ' -)"
    set_aside others
  fi
}

# set_aside WHY: data that may be the only copy is never deleted.
set_aside() {
  local aside owner
  refuse_misplaced
  if mountpoint -q "$DATA/member"; then fail "has a mount point at $DATA/member, so the data cannot be moved aside; mount that disk at $DATA instead"; fi
  aside=$(beside "$1-$(date -u +%Y%m%dT%H%M%SZ)")
  systemctl stop etcd.service
  owner=$(stat -c %u:%g "$DATA")
  chown root:root "$DATA"
  chmod 0700 "$DATA"
  mkdir -m 0700 "$aside" || fail "cannot create $aside for the previous data"
  mv -T "$DATA/member" "$aside/member" || fail "cannot move $DATA/member to $aside"
  chown "$owner" "$DATA"
  rm -f "$IDENTITY"
  info "the previous data was moved to $aside; delete it when no longer needed"
}

# part_with_data: after this host's member has left, or never was one. What etcd made for it goes: the cluster has it, or the final
# snapshot, or a person gave it up. Any other data may be somebody's only copy.
part_with_data() {
  local words
  words=$(misplaced)
  if [ -n "$words" ]; then
    info "$words; it is left unchanged"
    return
  fi
  if [ -d "$DATA/member" ]; then
    if is_own_data; then
      delete_data
    else
      info "the data in $DATA/member is left unchanged, because it does not belong to this host's own member"
    fi
  fi
  give_data_back
}

# give_data_back: a mount point stays, and so does what else there is in Data, with the owner and mode of before; the etcd user may go.
give_data_back() {
  local mode="" owner=""
  if [ -d "$DATA" ] && { mountpoint -q "$DATA" || ! rmdir "$DATA" 2>/dev/null; }; then
    if [ -e "$FOUND_DATA" ]; then read -r mode owner <"$FOUND_DATA" || true; fi
    if [ -n "$owner" ]; then
      chown "$owner" "$DATA"
      chmod "$mode" "$DATA"
    elif [ -e "$STATE/made-user" ]; then
      chown root:root "$DATA"
    fi
  fi
  rm -f "$FOUND_DATA"
}

# is_own_data: made for this host's member, of the cluster that answers if one does. With the file abandon a person has said so.
is_own_data() {
  local found endpoint answering
  if [ -z "$(below_member ! -type d -print -quit)" ]; then return 0; fi
  found=$(data_identity)
  if [ ! -e "$FORMED" ]; then
    [ -e "$FIRST_START" ] || [ -e "$RECOVERED" ]
    return
  fi
  [ -n "$found" ] || return 1
  if [ -f "$IDENTITY" ] && [ "$(<"$IDENTITY")" != "$found" ]; then return 1; fi
  if [ -e "$STATE/abandon" ]; then return 0; fi
  while read -r endpoint; do
    if answers "$endpoint" && answering=$(status_field "$endpoint" ClusterID); then
      [ "$answering" = "${found% *}" ]
      return
    fi
  done < <(endpoints_of_others)
}
