const pulumi = require("@pulumi/pulumi");
const { EtcdCluster } = require("etcd-on-pulumi");

const config = new pulumi.Config();

// Nothing takes an output of it: the program waits for the cluster all the same.
new EtcdCluster("main", {
  nodes: config.requireObject("nodes"),
  ssh: config.getObject("ssh"),
  downloadUrl: config.get("downloadUrl"),
  sha256: config.getObject("sha256"),
});
