import { describe, expect, test } from "vitest";
import { FIRST_CA } from "../../../components/config/types";
import { PEER_HOSTNAME } from "../../../components/scripts/unit";
import { asMap, changed, graphOf, text, theGraph } from "../../support/cluster-graph";
import { cluster } from "../../support/fixtures";
import { type Graph, visible } from "../../support/graph";

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

  test.each([
    ["server", []],
    // What members ask of each other, so that a server's certificate does not pass as a peer's.
    ["peer", [PEER_HOSTNAME]],
  ])("a node's %s certificate serves and dials", async (profile, names) => {
    const { request, certificate } = leafInputs(await theGraph(), `etcd02-${profile}`);
    expect(request).toMatchObject({
      subject: { commonName: "etcd02", country: "ES", province: "Madrid", locality: "Madrid" },
      dnsNames: ["etcd02", "etcd02.local", "localhost", ...names],
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

  test("a peer's name is on every host before any member asks others for it", async () => {
    const graph = await theGraph();
    const names = ["etcd01", "etcd02", "etcd03"];
    const files = names.map((name) => `${name}-install`);
    for (const name of names) {
      expect(graph.get(`${name}-member`).dependsOn).toEqual(expect.arrayContaining(files));
      expect(text(graph.get(`${name}-member`).inputs.stdin)).toContain(
        `--peer-cert-allowed-hostname=${PEER_HOSTNAME}`,
      );
    }
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

  test("a server's is no client's when so configured, and the gateway has a pair of its own", async () => {
    const { pki, ...rest } = cluster();
    const graph = await graphOf({ ...rest, pki: { ...pki, serverClientAuth: false } });
    const before = await theGraph();
    expect(leafInputs(graph, "etcd02-server").certificate.allowedUses).toEqual([
      "digital_signature",
      "key_encipherment",
      "server_auth",
    ]);
    const { request, certificate } = leafInputs(graph, "etcd02-gateway");
    expect(request).toMatchObject({ subject: { commonName: "gateway" } });
    expect(request).not.toHaveProperty("dnsNames");
    expect(certificate.allowedUses).toEqual([
      "digital_signature",
      "key_encipherment",
      "client_auth",
    ]);
    const numbers = [1, 2, 3];
    // Peers dial each other, and clients dial: theirs stay as they are.
    expect(changed(before, graph).sort()).toEqual(
      numbers
        .flatMap((n) =>
          ["health", "install", "member", "server-certificate"].map((s) => `etcd0${n}-${s}`),
        )
        .sort(),
    );
    expect(before.resources.map(({ name }) => name)).not.toContain("etcd02-gateway");
    expect(text(before.get("etcd01-install").inputs.stdin)).toContain("GATEWAY_PEM=''");
    expect(text(graph.get("etcd01-install").inputs.stdin)).not.toContain("GATEWAY_PEM=''");
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

  test("of every kind, the CA's own too, are renewed by the same hours", async () => {
    const graph = await theGraph();
    const early = graph.resources
      .filter(({ name }) => name.endsWith("-certificate"))
      .map(({ inputs }) => inputs.earlyRenewalHours);
    expect(early).toEqual(Array(8).fill(720));
  });
});

describe("while the CA is rotated", () => {
  const { pki, ...rest } = cluster();
  const rotating = { ...rest, pki: { ...pki, rotate: "2027" } };
  const graphWhile = (signer: string, beside: string[]) =>
    graphOf(rotating, undefined, false, { signer, beside });
  // One after the other: the recording is the process's own.
  const graphs = (async () => {
    const before = await theGraph();
    const learning = await graphWhile(FIRST_CA, ["2027"]);
    const signing = await graphWhile("2027", [FIRST_CA]);
    return { before, learning, signing, over: await graphWhile("2027", []) };
  })();

  test("there are two with names, keys and subjects of their own; after it one", async () => {
    const authorities = (graph: Graph) =>
      graph.resources
        .map(({ name }) => name)
        .filter((name) => /^ca-.*(key|certificate)$/.test(name));
    const both = ["ca-2027-certificate", "ca-2027-key", "ca-certificate", "ca-key"];
    expect(authorities((await graphs).before).sort()).toEqual(["ca-certificate", "ca-key"]);
    expect(authorities((await graphs).learning).sort()).toEqual(both);
    expect(authorities((await graphs).signing).sort()).toEqual(both);
    expect(authorities((await graphs).over).sort()).toEqual(["ca-2027-certificate", "ca-2027-key"]);
    const subject = (name: string) =>
      graphs.then(({ learning }) => asMap(visible(learning.get(name).inputs)).subject);
    expect(await subject("ca-2027-certificate")).toMatchObject({
      commonName: "etcd",
      serialNumber: "2027",
    });
    expect(await subject("ca-certificate")).not.toHaveProperty("serialNumber");
  });

  test("learning to trust changes the members' steps and what waits for them alone", async () => {
    const names = ["etcd01", "etcd02", "etcd03"];
    expect(changed((await graphs).before, (await graphs).learning).sort()).toEqual(
      names.flatMap((name) => [`${name}-health`, `${name}-member`]),
    );
    const stdin = text((await graphs).learning.get("etcd01-member").inputs.stdin);
    expect(stdin).toContain("TRUST='-\n2027'");
  });

  test("signing changes the certificates and the steps that install them alone", async () => {
    const leaves = ["client", ...[1, 2, 3].flatMap((n) => [`etcd0${n}-server`, `etcd0${n}-peer`])];
    expect(changed((await graphs).learning, (await graphs).signing).sort()).toEqual(
      [
        ...leaves.map((name) => `${name}-certificate`),
        ...[1, 2, 3].map((n) => `etcd0${n}-install`),
      ].sort(),
    );
    expect(text((await graphs).signing.get("etcd01-install").inputs.stdin)).toContain(
      "ISSUER=2027",
    );
  });

  test("forgetting changes the members' steps and what waits for them alone", async () => {
    const names = ["etcd01", "etcd02", "etcd03"];
    expect(changed((await graphs).signing, (await graphs).over).sort()).toEqual(
      names.flatMap((name) => [`${name}-health`, `${name}-member`]),
    );
  });
});
