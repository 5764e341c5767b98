/** What the npm package has for other programs. */
export { EtcdCluster } from "./cluster";
export type * from "./config/args";
