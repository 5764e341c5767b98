/** The members' client endpoints, each with a connection of its own, so that failover is ours to see. */
import type { CallOptions } from "@grpc/grpc-js";
import { noop } from "cockatiel";
import {
  ClusterClient,
  type IHashKVResponse,
  KVClient,
  MaintenanceClient,
  WatchClient,
} from "etcd3";
import { ConnectionPool } from "etcd3/lib/connection-pool";

/** PEM texts. */
export interface Credentials {
  readonly caCertificate: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

/**
 * etcd3's pool of one host, without its retries: they would hide attempts whose outcome is unknown,
 * and its circuit breaker would leave a member alone for 5 s after it is back.
 */
function connect(url: string, credentials: Credentials): ConnectionPool {
  return new ConnectionPool({
    hosts: [url],
    credentials: {
      rootCertificate: Buffer.from(credentials.caCertificate),
      certChain: Buffer.from(credentials.clientCertificate),
      privateKey: Buffer.from(credentials.clientKey),
    },
    faultHandling: { global: noop, host: () => noop },
    grpcOptions: {
      // etcd3 makes a new channel after an error. With the shared pool that one would get the old
      // connection attempt again, and grpc-js never gives up an attempt into a black hole.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    },
  });
}

class Services {
  readonly kv: KVClient;
  readonly watch: WatchClient;
  readonly cluster: ClusterClient;
  readonly maintenance: MaintenanceClient;
  readonly #pool: ConnectionPool;

  constructor(url: string, credentials: Credentials) {
    this.#pool = connect(url, credentials);
    this.kv = new KVClient(this.#pool);
    this.watch = new WatchClient(this.#pool);
    this.cluster = new ClusterClient(this.#pool);
    this.maintenance = new MaintenanceClient(this.#pool);
  }

  /** etcd3's own `hashKV` asks for a method of a name that grpc-js does not make. */
  hashKV(revision: number, options: CallOptions): Promise<IHashKVResponse> {
    return this.#pool.exec("Maintenance", "HashKV", { revision }, options);
  }

  close(): void {
    this.#pool.close();
  }
}

export class Endpoint {
  /** Whether its last call was answered; others are asked first when it was not. */
  answering = true;
  closed = false;
  #services: Services;
  #observed: Services;

  constructor(
    readonly url: string,
    credentials: Credentials,
  ) {
    this.#services = new Services(url, credentials);
    this.#observed = new Services(url, credentials);
  }

  get services(): Services {
    return this.#services;
  }

  /**
   * For the sampler alone: after an error in one call etcd3 closes the channels of all, and calls
   * that were waiting fail with it. Those would look like an absence of the member.
   */
  get observed(): Services {
    return this.#observed;
  }

  renew(credentials: Credentials): void {
    this.#disconnect();
    this.#services = new Services(this.url, credentials);
    this.#observed = new Services(this.url, credentials);
  }

  close(): void {
    this.closed = true;
    this.#disconnect();
  }

  #disconnect(): void {
    this.#services.close();
    this.#observed.close();
  }
}

/** The endpoints of the members there are now. */
export class Endpoints {
  readonly #all = new Map<string, Endpoint>();

  constructor(
    urls: readonly string[],
    private credentials: Credentials,
  ) {
    this.follow(urls);
  }

  /** New members are used from now on, those that left no longer. */
  follow(urls: readonly string[]): void {
    for (const [url, endpoint] of this.#all) {
      if (!urls.includes(url)) {
        endpoint.close();
        this.#all.delete(url);
      }
    }
    for (const url of urls) {
      if (!this.#all.has(url)) {
        this.#all.set(url, new Endpoint(url, this.credentials));
      }
    }
  }

  renew(credentials: Credentials): void {
    this.credentials = credentials;
    for (const endpoint of this.#all.values()) {
      endpoint.renew(credentials);
    }
  }

  list(): readonly Endpoint[] {
    return [...this.#all.values()];
  }

  /** All of them, starting with number `home`; those that did not answer lately come last. */
  inOrder(home: number): readonly Endpoint[] {
    const all = this.list();
    const first = all.length === 0 ? 0 : home % all.length;
    const turned = [...all.slice(first), ...all.slice(0, first)];
    return [
      ...turned.filter(({ answering }) => answering),
      ...turned.filter(({ answering }) => !answering),
    ];
  }

  close(): void {
    this.follow([]);
  }
}
