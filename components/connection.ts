/** How a machine on the way to a node is reached and logged in to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The text of the key file: secret. */
  readonly privateKey?: string;
  /** Absolute path of the file that `privateKey` was read from. */
  readonly privateKeyFile?: string;
  /** Socket of a running SSH agent. */
  readonly agentSocket?: string;
  /** Public host key as `TYPE BASE64`; absent only when the configuration says so in words. */
  readonly hostKey?: string;
}

/** Everything needed to run commands on one node. */
export interface Connection extends Endpoint {
  /** Commands must go through sudo. */
  readonly sudo: boolean;
  readonly bastion?: Endpoint;
}
