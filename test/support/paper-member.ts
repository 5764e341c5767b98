import { type PaperCluster, PKI, STATE, THREE } from "./paper-cluster";
import type { PaperHost } from "./paper-host";

const UNIT = "/etc/systemd/system/etcd.service";

/** The member step's values on a paper host, which is etcd01. */
export const RUNNING = {
  ADDRESS: "192.168.1.83",
  VERSION: "3.6.14",
  PREDECESSORS: "3.5.32\n3.6.0\n3.7.0",
  WANTED: "a digest",
  TOKEN: "etcd-cluster-0badcafe",
  SNAPSHOT: "yes",
  TRUST: "-",
  CA_PEM: "certificate ca",
  ENVIRONMENT: "PEER_NAME=etcd01",
  UNIT_TEXT: "[Service]",
};

/**
 * A member in order: every file as its process has loaded it, another member leads. Etcd starts
 * unless its unit says "broken", as the release that the link points to.
 */
export function runningMember(
  host: PaperHost,
  cluster: PaperCluster,
  values: Readonly<Record<string, string>>,
): void {
  cluster.is({ members: THREE, leader: "a2" });
  host.sh(`
    cd /var/paper
    echo active >property-ActiveState; echo 0 >property-NRestarts; echo loaded >property-LoadState
    cat >on-start <<'END'
if grep -q broken ${UNIT}; then echo failed; else echo active; fi >/var/paper/property-ActiveState
readlink /usr/local/bin/etcd | cut -d / -f 4 | tr -d v >/var/paper/field-a1-Version
END
    mkdir -p /var/lib/etcd/member/wal ${STATE} ${PKI}
    for version in 3.5.35 3.6.14 3.6.17 3.7.2; do
      mkdir -p /opt/etcd-on-pulumi/v$version
      ln -sfn /var/paper/etcdctl-stub /opt/etcd-on-pulumi/v$version/etcdctl
      ln -sfn /var/paper/etcdutl-stub /opt/etcd-on-pulumi/v$version/etcdutl
    done
    printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes
    touch ${STATE}/formed
    getent passwd etcd >/dev/null || useradd --system --user-group etcd
    chown -R etcd:etcd /var/lib/etcd`);
  const made = cluster.run("member", "install_files; record_loaded_config", values);
  if (made.status !== 0 || made.stderr !== "") {
    throw new Error(`no running member on paper: ${made.stderr}`);
  }
  host.sh(": >/var/paper/systemctl; : >/var/paper/etcdctl");
}
