import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster, type EtcdClusterArgs } from "etcd-on-pulumi";

const config = new pulumi.Config();
const machine = config.require("machine");
const privateKey = config.requireSecret("privateKey");
const hostKey = config.require("machineHostKey");
/** A mirror of etcd's releases, and the digests of what it has; not needed where GitHub is reached. */
const release: Pick<EtcdClusterArgs, "downloadUrl" | "sha256"> = {
  downloadUrl: config.get("downloadUrl"),
  sha256: config.getObject("sha256"),
};

/** Stands for a machine that the program makes: nobody knows its address before the first `pulumi up`. */
const made = new remote.Command("machine", {
  connection: { host: machine, user: "root", privateKey, hostKey },
  create: 'ip -4 -o address show scope global | awk \'{ sub("/.*", "", $4); print $4; exit }\'',
});

const first = new EtcdCluster("first", {
  nodes: [
    {
      name: "etcd01",
      address: made.stdout.apply((line) => line.trim()),
      ssh: { hostKey },
    },
  ],
  ssh: { privateKey },
  ...release,
});

const second = new EtcdCluster("second", {
  nodes: config.requireObject<EtcdClusterArgs["nodes"]>("nodes"),
  ssh: { privateKey },
  settings: { "snapshot-count": "20000" },
  ...release,
});

export const firstEndpoints = first.endpoints;
export const secondEndpoints = second.endpoints;
