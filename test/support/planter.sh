#!/usr/bin/env bash
# A process of the etcd user that means harm: until it is ended it keeps putting links, pipes and directories where a root script may
# look or write, among them one to /etc/PLANTED. Takes the names to be planted, below /var/lib; a name's directory may not be there yet.
cd /var/lib || exit

# plant NAME: each thing in its turn.
plant() {
  ln -sfnT /etc/PLANTED "$1"
  ln -sfnT /dev/zero "$1"
  ln -sfnT /etc/PLANTED.d "$1"
  rm -f "$1" && mkfifo "$1"
  rm -f "$1" && mkdir "$1" && ln -s /etc/PLANTED "$1/db"
  rm -rf "$1" && ln /var/lib/etcd/mine "$1"
}

while :; do
  [ ! -d etcd ] || [ -e etcd/mine ] || : >etcd/mine
  for name in "$@"; do
    if [ -d "${name%/*}" ] && [ -w "${name%/*}" ]; then plant "$name" 2>/dev/null; fi
  done
done
