import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "./components/cluster";
import { loadConfig } from "./components/config";
import { keepNodes } from "./components/hosts/probe";
import { inspectHosts } from "./components/inspect";
import { refuseOtherKeys, refuseOthers } from "./components/ownership";

export = async () => {
  const config = loadConfig(new pulumi.Config());
  const cluster = new EtcdCluster("etcd", config);
  try {
    const { tokens, authorityKeys, ...plan } = await inspectHosts(config);
    await refuseOthers(cluster.token, tokens);
    await refuseOtherKeys(cluster.authorityKey, authorityKeys);
    keepNodes();
    return cluster.converge(plan);
  } catch (error) {
    // What was begun beside the inspection would be left half done.
    await Promise.allSettled([cluster.founded]);
    throw error;
  }
};
