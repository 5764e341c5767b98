import * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "./components";

export const {
  endpoints,
  members,
  clusterId,
  version,
  caCertificate,
  clientCertificate,
  clientKey,
  retiredClusters,
} = EtcdCluster.fromConfig("etcd", new pulumi.Config());
