#!/bin/bash
# etcdutl of a paper host: any file is a snapshot.
case "$1 $2" in 'snapshot status') echo '{"hash":3735928559,"revision":7,"totalKey":1,"totalSize":20480}' ;; esac
