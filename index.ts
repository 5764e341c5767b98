import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "./components/cluster";
import { loadConfig } from "./components/config";
import { surveyHosts } from "./components/look";

export = async () => {
  const config = loadConfig(new pulumi.Config());
  const { verdicts, rotation } = await surveyHosts(config);
  const cluster = new EtcdCluster("etcd", { config, verdicts, rotation });
  return {
    endpoints: cluster.endpoints,
    members: cluster.members,
    clusterId: cluster.clusterId,
    version: cluster.version,
    caCertificate: cluster.caCertificate,
    clientCertificate: cluster.clientCertificate,
    clientKey: cluster.clientKey,
  };
};
