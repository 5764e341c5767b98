import { describe, expect, test } from "vitest";
import { asMap, theGraph } from "../support/cluster-graph";
import { type Graph, visible } from "../support/graph";

describe("certificates", () => {
  const leafInputs = (graph: Graph, name: string) => ({
    request: asMap(visible(graph.get(`${name}-request`).inputs)),
    certificate: asMap(visible(graph.get(`${name}-certificate`).inputs)),
  });

  test("the authority is RSA-2048, named etcd, with the whole subject", async () => {
    const graph = await theGraph();
    expect(graph.get("ca-key").inputs).toMatchObject({ algorithm: "RSA", rsaBits: 2048 });
    expect(graph.get("ca-certificate").inputs).toMatchObject({
      isCaCertificate: true,
      validityPeriodHours: 43800,
      subject: {
        commonName: "etcd",
        country: "ES",
        province: "Madrid",
        locality: "Madrid",
        organization: "Example",
        organizationalUnit: "etcd",
      },
    });
  });

  test.each(["server", "peer"])("a node's %s certificate serves and dials", async (profile) => {
    const { request, certificate } = leafInputs(await theGraph(), `etcd02-${profile}`);
    expect(request).toMatchObject({
      subject: { commonName: "etcd02", country: "ES", province: "Madrid", locality: "Madrid" },
      dnsNames: ["etcd02", "etcd02.local", "localhost"],
      ipAddresses: ["192.168.1.84", "127.0.0.1"],
    });
    expect(asMap(request.subject)).not.toHaveProperty("organization");
    expect(certificate.allowedUses).toEqual([
      "digital_signature",
      "key_encipherment",
      "server_auth",
      "client_auth",
    ]);
    expect(certificate).toMatchObject({ validityPeriodHours: 43800, earlyRenewalHours: 720 });
  });

  test("a client's cannot pass as a server or a peer: no name, no server usage", async () => {
    const { request, certificate } = leafInputs(await theGraph(), "client");
    expect(request).not.toHaveProperty("dnsNames");
    expect(request).not.toHaveProperty("ipAddresses");
    expect(certificate.allowedUses).toEqual([
      "digital_signature",
      "key_encipherment",
      "client_auth",
    ]);
  });

  test("every leaf has an ECDSA P-256 key of its own", async () => {
    const graph = await theGraph();
    const keys = graph
      .ofType("tls:index/privateKey:PrivateKey")
      .filter(({ name }) => name !== "ca-key");
    expect(keys).toHaveLength(7);
    for (const { inputs } of keys) {
      expect(inputs).toMatchObject({ algorithm: "ECDSA", ecdsaCurve: "P256" });
    }
  });
});
