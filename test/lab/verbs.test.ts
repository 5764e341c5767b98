/** Pulumi's own verbs and options, used by people who know Pulumi and not this program. */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { checkout, hostAddress } from "../support/lab";
import { freshCluster } from "./support/fresh";
import { expectOneCluster, interruptedUp } from "./support/interrupt";
import { hosts, MAIN_PID, onAll, printed, refuse, resources, succeed } from "./support/stack";

const stack = freshCluster("verbs");
const { lab } = stack;
let clusterId: string;

const pids = () => onAll(lab, MAIN_PID);
const step = (name: string) => stack.stepUrn(name);
const value = async () =>
  (await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]))).stdout;
/** Settings that restart every member, another one each time. */
let count = 10_000;
function newSetting(): void {
  count += 1;
  stack.configure({ settings: { "snapshot-count": count } });
}

/** The cluster of before, with its data, and nothing left to do. */
async function expectWhole(): Promise<void> {
  expect(await expectOneCluster(stack)).toBe(clusterId);
  expect(await value()).toBe("Esto es una prueba\n");
}

beforeAll(async () => {
  ({ clusterId } = await stack.outputs());
});

test("up --refresh and refresh change nothing, and restart nothing", async () => {
  const before = await pids();
  await succeed(stack.up({ args: ["--refresh"] }));
  await succeed(stack.pulumi(["refresh", "--yes", "--config-file", stack.configFile]));
  expect(await pids()).toEqual(before);
  await expectWhole();
});

describe("Ctrl-C in a rolling restart", () => {
  test("once: the step that runs ends, no further one begins, and the next up finishes", async () => {
    newSetting();
    const before = await pids();
    await interruptedUp(stack, { word: "updated", events: 1, delay: 0 }, 1);
    const between = await pids();
    const restarted = hosts.filter((_, index) => between[index] !== before[index]);
    expect(restarted.length).toBeLessThan(3);
    // Nothing is left locked or pending.
    expect(printed(await succeed(stack.up()))).not.toContain("pending operations");
    await expectWhole();
    // Whoever was restarted already is not once more.
    const after = await pids();
    for (const host of restarted) {
      expect(after[hosts.indexOf(host)], host).toBe(between[hosts.indexOf(host)]);
    }
  });

  test("twice: after pulumi cancel the next up finishes", async () => {
    newSetting();
    await interruptedUp(stack, { word: "updated", events: 1, delay: 0 }, 2);
    await succeed(stack.cancel());
    await succeed(stack.up());
    await expectWhole();
  });
});

test("up --target of one member restarts that one alone; the next up does the rest", async () => {
  // The engine refuses a target when the order of the others changed since the last run: the leader comes last.
  await succeed(stack.up());
  newSetting();
  const before = await pids();
  await succeed(stack.up({ args: ["--target", step("etcd02-member")] }));
  const between = await pids();
  expect(hosts.filter((_, index) => between[index] !== before[index])).toEqual(["etcd02"]);
  await succeed(stack.up());
  const after = await pids();
  expect(after[1]).toBe(between[1]);
  await expectWhole();
});

test("state delete of a member's step makes the next up run it again, which finds all in order", async () => {
  const before = await pids();
  const remove = ["state", "delete", step("etcd03-member"), "--target-dependents", "--yes"];
  await succeed(stack.pulumi(remove));
  await succeed(stack.up());
  expect(await pids()).toEqual(before);
  await expectWhole();
});

// The chain in which hosts are left is that of the configuration, backwards.
test("destroy --target of the last host's leave takes its member out alone, and the next up lets it join again", async () => {
  const before = await pids();
  const [first = "", second = "", last = ""] = hosts;
  const args = ["--target", step(`${last}-leave`), "--target-dependents"];
  await succeed(stack.destroy({ args }));
  const list = ["--endpoints", `https://${hostAddress(first)}:2379`, "member", "list"];
  const { stdout } = await succeed(stack.etcdctl(list));
  expect([...stdout.matchAll(/, (etcd0\d), /g)].map(([, name]) => name).sort()).toEqual([
    first,
    second,
  ]);
  expect(await value()).toBe("Esto es una prueba\n");
  await succeed(stack.up());
  const after = await pids();
  for (const host of [first, second]) {
    expect(after[hosts.indexOf(host)], host).toBe(before[hosts.indexOf(host)]);
  }
  await expectWhole();
});

test("destroy --target of a member's step takes nothing from any host", async () => {
  const before = await pids();
  const args = ["--target", step("etcd02-member"), "--target-dependents"];
  await succeed(stack.destroy({ args }));
  expect(await pids()).toEqual(before);
  await succeed(stack.up());
  expect(await pids()).toEqual(before);
  await expectWhole();
});

test("destroy --target of the first host's leave says that all are left", async () => {
  const [first = ""] = hosts;
  const { stdout } = await succeed(
    stack.pulumi([
      ...["destroy", "--preview-only", "--config-file", stack.configFile],
      ...["--target", step(`${first}-leave`), "--target-dependents"],
    ]),
  );
  for (const host of hosts) {
    expect(stdout).toContain(`${host}-leave`);
  }
  await expectWhole();
});

describe("the component within another one", () => {
  /** A project like this one, whose program does that. */
  function wrapped(name: string, options: string): string {
    const directory = join(lab.directory, name);
    mkdirSync(join(directory, "tools"), { recursive: true });
    for (const file of [
      "Pulumi.yaml",
      "package.json",
      "program.cjs",
      "tools/start.cjs",
      "tools/preload.cjs",
    ]) {
      copyFileSync(join(checkout, file), join(directory, file));
    }
    for (const link of ["components", "node_modules"]) {
      symlinkSync(join(checkout, link), join(directory, link));
    }
    const made = 'EtcdCluster.fromConfig("etcd", new pulumi.Config())';
    const program = readFileSync(join(checkout, "index.ts"), "utf8");
    expect(program).toContain(made);
    writeFileSync(
      join(directory, "index.ts"),
      program.replace(
        made,
        `EtcdCluster.fromConfig("etcd", new pulumi.Config(), { parent: new pulumi.ComponentResource("other:index:Platform", "platform"), ${options} })`,
      ),
    );
    return directory;
  }

  test("is refused, with the way to do it, and touches nothing", async () => {
    const before = await pids();
    const args = ["--cwd", wrapped("wrapped", "")];
    for (const run of [
      () => stack.preview({ args }),
      () => stack.up({ args, skipPreview: false }),
    ]) {
      expect(await refuse(run())).toContain(
        "if the component was renamed or moved, give it aliases",
      );
    }
    expect(await pids()).toEqual(before);
  });

  test("with aliases is the same cluster, and no step runs", async () => {
    const before = await pids();
    const args = ["--cwd", wrapped("aliased", "aliases: [{ parent: pulumi.rootStackResource }]")];
    expect(resources(await succeed(stack.up({ args })))).toMatchObject({
      created: 1,
      updated: 0,
    });
    expect(await pids()).toEqual(before);
    expect(await value()).toBe("Esto es una prueba\n");
    await succeed(stack.preview({ args: [...args, "--expect-no-changes"] }));
  });
});
