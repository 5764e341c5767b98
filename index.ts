import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "./components/cluster";
import { loadConfig } from "./components/config";
import { refuseOthers } from "./components/ownership";
import { surveyHosts } from "./components/survey";

export = async () => {
  const config = loadConfig(new pulumi.Config());
  const cluster = new EtcdCluster("etcd", config);
  try {
    const { verdicts, rotation, tokens } = await surveyHosts(config);
    await refuseOthers(cluster.token, tokens);
    return cluster.converge(rotation, verdicts);
  } catch (error) {
    // What was begun beside the look would be left half done.
    await Promise.allSettled([cluster.founded]);
    throw error;
  }
};
