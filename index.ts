import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "./components/cluster";
import { loadConfig } from "./components/config";
import { refuseOthers } from "./components/ownership";
import { surveyHosts } from "./components/survey";

export = async () => {
  const config = loadConfig(new pulumi.Config());
  const cluster = new EtcdCluster("etcd", config);
  const looking = surveyHosts(config);
  // Beside each other, because it takes the engine as long to start its plugins as the hosts to answer. A refusal waits: what is
  // being made would be left half done.
  await Promise.allSettled([looking, cluster.founded]);
  const { verdicts, rotation, tokens } = await looking;
  await refuseOthers(cluster.token, tokens);
  return cluster.converge(rotation, verdicts);
};
