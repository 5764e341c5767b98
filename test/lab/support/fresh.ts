/** What the tests of a file begin with and leave behind. */
import { afterAll, beforeAll } from "vitest";
import { testLab } from "../../support/lab";
import { freshLab, Stack, succeed, type Values } from "./stack";

export interface Beginning {
  /** @default 3 */
  readonly hosts?: number;
  /** LAB_DEBIAN: what the hosts run. @default the lab's */
  readonly debian?: string;
  /** LAB_PACKAGES: what the hosts have beside a standard server's packages. @default nothing */
  readonly packages?: string;
  /** Releases that the lab serves beside the default: a configuration has the digest of one that is there. @default none */
  readonly releases?: readonly string[];
  /** On top of what reaches the lab's first three hosts. @default nothing */
  readonly config?: Values;
}

/** A stack without resources, and bare hosts that are gone after the file's last test. */
export function freshStack(
  name: string,
  { hosts, debian, packages, releases = [], config }: Beginning = {},
): Stack {
  const lab = testLab({
    ...(debian === undefined ? {} : { LAB_DEBIAN: debian }),
    ...(packages === undefined ? {} : { LAB_PACKAGES: packages }),
  });
  const stack = new Stack(lab, name);
  beforeAll(async () => {
    await freshLab(lab, hosts);
    if (releases.length > 0) {
      await lab.release(...releases);
    }
    await stack.create(config);
  });
  afterAll(() => lab.down(true));
  return stack;
}

/** The same with a cluster on the hosts, and the article's key in it. */
export function freshCluster(name: string, beginning: Beginning = {}): Stack {
  const stack = freshStack(name, beginning);
  beforeAll(async () => {
    await succeed(stack.up());
    await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
  });
  return stack;
}
