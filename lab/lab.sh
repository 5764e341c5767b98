#!/usr/bin/env bash
# The lab: real Debian hosts on one Linux machine. Every verb is one line of the usage below.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$LAB_SOURCE/cache.sh"
. "$LAB_SOURCE/groups.sh"
. "$LAB_SOURCE/network.sh"
. "$LAB_SOURCE/hosts.sh"
. "$LAB_SOURCE/keys.sh"
. "$LAB_SOURCE/rootfs.sh"
. "$LAB_SOURCE/releases.sh"
. "$LAB_SOURCE/toolchain.sh"
. "$LAB_SOURCE/mirror.sh"
. "$LAB_SOURCE/repositories.sh"
. "$LAB_SOURCE/environment.sh"
. "$LAB_SOURCE/prerequisites.sh"
. "$LAB_SOURCE/lifecycle.sh"
. "$LAB_SOURCE/verbs.sh"

usage() {
  cat <<'END'
usage: npm run lab -- VERB ...
  up [--nodes N]        build what is missing and boot the hosts (1 to 7, 4 at first)
  down [--purge]        stop them and remove the namespaces; --purge: disks and stacks too
  run -- COMMAND...     run it in the operator namespace with Pulumi and etcdctl set up
  exec HOST -- CMD...   run CMD on a host as root, also when its sshd is down
  status                one line per host
  kill HOST             power cut
  boot HOST             power on again, same disk
  wipe HOST             a new empty disk, same address and host key
  reset                 a new empty disk for every host
  save IMAGE            power cut, and a copy of all disks and stacks
  load IMAGE            all disks and stacks as they were then
  release VERSION...    build these etcd releases too and serve them to the hosts
  cut HOST [HOST...]    drop traffic between these hosts and the other hosts
  heal                  undo every cut
  repository KIND ...   serve a repository of restic to the hosts: versitygw, rclone or sftp
END
}

[[ $# -gt 0 ]] || {
  usage >&2
  exit 2
}
verb=$1
shift
case $verb in
  up | down | run | exec | status | kill | boot | wipe | reset | save | load | release | cut | heal | repository)
    require_machine
    "verb_$verb" "$@"
    ;;
  help | --help | -h) usage ;;
  *) usage_error "there is no verb \"$verb\", see: npm run lab -- help" ;;
esac
