import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "./components/cluster";
import { loadConfig } from "./components/config";
import { surveyHosts } from "./components/look";
import { refuseOthers } from "./components/ownership";

export = async () => {
  const config = loadConfig(new pulumi.Config());
  const { verdicts, rotation, tokens } = await surveyHosts(config);
  const cluster = new EtcdCluster("etcd", config, rotation);
  await refuseOthers(cluster.token, tokens);
  return cluster.converge(verdicts);
};
