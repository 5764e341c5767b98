/** Disks, and what others have on them where this program writes. */
import { holds, lines, type Situation, says } from "./situation";

const DATA = "/var/lib/etcd";
const PKI = "/etc/kubernetes/pki/etcd";
const COPY = "/run/hosts";

/** A directory that is a disk of its own. */
function disk(path: string, options: string) {
  return {
    of: [path],
    make: `mkdir -p ${path}; mount -t tmpfs -o mode=755,${options} situation ${path}`,
    undo: `umount ${path}; rmdir --ignore-fail-on-non-empty ${path}; mkdir -p /opt`,
  };
}

/** A file system that is mounted there once more, with another option. */
function remounted(path: string, option: string) {
  return {
    of: [path],
    make: `mount --bind ${path} ${path}; mount -o remount,bind,${option} ${path}`,
    undo: `umount ${path}`,
    inForce: holds(`findmnt --noheadings --output OPTIONS ${path} | grep -qw ${option}`),
  };
}

/** A file of somebody's, with what it takes to have it there. */
function file(path: string, of: string = path) {
  const directory = path.slice(0, path.lastIndexOf("/"));
  return {
    of: [of],
    make: `mkdir -p ${directory}; echo theirs >${path}`,
    undo: `rm ${path}; rmdir --parents --ignore-fail-on-non-empty ${directory}`,
    inForce: holds(`grep -qx theirs ${path}`),
  };
}

const THEIRS = [`${DATA}/backup/x.db`, `${DATA}/default/member/wal/x`, `${DATA}/lost+found/x`];
const NAMES = ["127.0.1.1 host.example.org host", "10.9.9.9 etcd02 registry.example.org"];

export const DISKS: readonly Situation[] = [
  {
    name: "has a disk of its own at `/var/lib/etcd`, with a `lost+found`",
    ...disk(DATA, "size=2g"),
    make: `${disk(DATA, "size=2g").make}; mkdir -m 700 ${DATA}/lost+found; echo theirs >${DATA}/lost+found/x`,
    inForce: holds(`mountpoint -q ${DATA}; grep -qx theirs ${DATA}/lost+found/x`),
  },
  {
    name: "has files of others in `/var/lib/etcd`",
    of: [DATA],
    make: `for path in ${THEIRS.join(" ")}; do mkdir -p "$(dirname $path)"; echo theirs >$path; done`,
    undo: `rm -r ${DATA}`,
    inForce: holds(`[ "$(cat ${THEIRS.join(" ")} | grep -cx theirs)" = ${THEIRS.length} ]`),
  },
  {
    name: "has too small a disk at `/var/lib/etcd`",
    ...disk(DATA, "size=512m"),
    inForce: holds(`[ "$(df -Pm ${DATA} | awk 'NR == 2 { print $4 }')" = 512 ]`),
    refused: says(`has 512 MiB free under ${DATA}; etcd:host.minimumDisk asks for 1024`),
  },
  {
    name: "has a symbolic link at `/var/lib/etcd`",
    of: [DATA],
    make: `mkdir /srv/data; ln -s /srv/data ${DATA}`,
    undo: `rm ${DATA}; rmdir /srv/data`,
    inForce: holds(`[ -L ${DATA} ]`),
    refused: says(
      `has a symbolic link at ${DATA}, which systemd does not accept as a state directory; remove the link and mount the disk there instead (mount --bind /srv/data ${DATA}, and the same in /etc/fstab)`,
    ),
  },
  {
    name: "has data of another etcd",
    ...file(`${DATA}/member/wal/x`, DATA),
    refused: says(
      `has data of another etcd in ${DATA}/member; move it away first (mv ${DATA}/member ${DATA}/member.foreign)`,
    ),
  },
  {
    name: "has a data disk in `/etc/fstab` that is not mounted",
    of: [DATA],
    ...lines("/etc/fstab", [`/dev/disk/by-label/data ${DATA} ext4 noauto 0 2`]),
    inForce: holds(`grep -q ' ${DATA} ' /etc/fstab; ! mountpoint -q ${DATA}`),
    refused: says(
      `expects a disk mounted at ${DATA} (according to /etc/fstab), but none is mounted; mount it (mount ${DATA}), or remove that entry`,
    ),
  },
  {
    name: "has a disk of its own at `/opt`",
    ...disk("/opt", "size=1g"),
    inForce: holds("mountpoint -q /opt"),
  },
  {
    name: "has too little room in `/opt`",
    ...disk("/opt", "size=100m"),
    inForce: holds("[ \"$(df -Pm /opt | awk 'NR == 2 { print $4 }')\" = 100 ]"),
    refused: says(
      "has 100 MiB free on the disk of /opt, and 200 MiB are needed there; free some space",
    ),
  },
  {
    name: "has a `/opt` that no program can be run from",
    ...remounted("/opt", "noexec"),
    refused: says(
      "has a file system at /opt that is mounted noexec, and etcd is to run from /opt/etcd-on-pulumi there; mount it without (mount -o remount,exec /opt)",
    ),
  },
  {
    name: "has a read-only `/usr/local`",
    ...remounted("/usr/local", "ro"),
    refused: says(
      "has a read-only file system at /usr/local, where /usr/local/bin is written to; make it writable (mount -o remount,rw /usr/local)",
    ),
  },
  {
    name: "has a `/tmp` that no program can be run from",
    ...remounted("/tmp", "noexec"),
  },
  {
    name: "has an etcdctl of somebody's",
    ...file("/usr/local/bin/etcdctl", "/usr/local"),
    undo: "rm /usr/local/bin/etcdctl",
    refused: says(
      "has a file that is not this program's at /usr/local/bin/etcdctl; move it away first",
    ),
  },
  {
    name: "has certificates of Kubernetes beside ours",
    ...file("/etc/kubernetes/pki/ca.crt", PKI),
  },
  {
    name: "has a certificate of somebody's where one of ours is to be",
    ...file(`${PKI}/server.pem`, PKI),
    refused: says(`has a file that is not this program's at ${PKI}/server.pem; move it away first`),
  },
  {
    name: "has names in `/etc/hosts` that cloud-init writes, one of them a neighbour's",
    of: ["/etc/hosts"],
    ...lines("/etc/hosts", NAMES, "head"),
    inForce: holds(`grep -qxF '${NAMES[1]}' /etc/hosts`),
  },
  {
    name: "has an `/etc/hosts` that is mounted, as in a container",
    of: ["/etc/hosts"],
    make: `cp -p /etc/hosts ${COPY}; mount --bind ${COPY} /etc/hosts`,
    undo: `umount /etc/hosts; rm ${COPY}`,
    inForce: holds("mountpoint -q /etc/hosts"),
  },
  {
    name: "has an immutable `/etc/hosts`",
    of: ["/etc/hosts"],
    make: "chattr +i /etc/hosts",
    undo: "chattr -i /etc/hosts",
    inForce: holds("lsattr /etc/hosts | cut -d ' ' -f 1 | grep -q i"),
    refused: says(
      "has /etc/hosts, which not even root can write to: it is immutable (chattr -i /etc/hosts), or a security module forbids it",
    ),
  },
  {
    name: "has half of a block of ours in `/etc/hosts`",
    of: ["/etc/hosts"],
    ...lines("/etc/hosts", ["# BEGIN etcd on Pulumi", "10.0.0.1 theirs"]),
    inForce: holds("grep -qx '# BEGIN etcd on Pulumi' /etc/hosts"),
    refused: says(/^has a damaged block in \/etc\/hosts: .*delete the rest of the block by hand$/),
  },
];
