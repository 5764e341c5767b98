#!/usr/bin/env bash
# curl of a paper host, for what a member tells on /version and /downgrade/enabled; answers from files in /var/paper:
#   cluster-version   storage-version   downgrading (the target; exists while the cluster is on its way down)
cd /var/paper || exit
case ${*: -1} in
  */version)
    [ -e cluster-version ] || exit 7
    printf '{"etcdserver":"x","etcdcluster":"%s.0","storage":"%s.0"}' "$(cat cluster-version)" "$(cat storage-version)"
    ;;
  */downgrade/enabled) if [ -e downgrading ]; then printf true; else printf false; fi ;;
  *) exit 22 ;;
esac
