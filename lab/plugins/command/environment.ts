import type { Client } from "ssh2";

export interface Variable {
  readonly name: string;
  readonly value: string;
  /** Called if the host refuses the variable; what it throws keeps the command from running. */
  refused(): void;
}

type Method = (...parameters: unknown[]) => unknown;

function isMethod(value: unknown): value is Method {
  return typeof value === "function";
}

function objectAt(holder: object, key: string): object {
  const value: unknown = Reflect.get(holder, key);
  if (typeof value === "object" && value !== null) return value;
  throw new Error(`the SSH library has no ${key}: this stand-in is made for ssh2 1.17`);
}

function methodAt(holder: object, key: string): Method {
  const value: unknown = Reflect.get(holder, key);
  if (isMethod(value)) return value.bind(holder);
  throw new Error(`the SSH library has no ${key}: this stand-in is made for ssh2 1.17`);
}

/**
 * Has the client's next command run with these variables, each asked for with a reply before the
 * command is sent. The library can only send them without waiting for the host's answer, and the
 * official plugin must not run a command whose variable was refused; hence its protocol object is
 * extended here, for this client alone.
 */
export function requestEnvironment(
  client: Client,
  variables: readonly Variable[],
  failed: (error: unknown) => void,
): void {
  const protocol = objectAt(client, "_protocol");
  const replies = objectAt(protocol, "_handlers");
  const exec = methodAt(protocol, "exec");
  const env = methodAt(protocol, "env");
  const original = {
    CHANNEL_SUCCESS: methodAt(replies, "CHANNEL_SUCCESS"),
    CHANNEL_FAILURE: methodAt(replies, "CHANNEL_FAILURE"),
  };
  Reflect.set(protocol, "exec", (channel: unknown, ...command: unknown[]) => {
    const left = [...variables];
    const proceed = () => {
      const [variable] = left;
      if (variable) {
        env(channel, variable.name, variable.value, true);
      } else {
        Object.assign(replies, original);
        exec(channel, ...command);
      }
    };
    Reflect.set(replies, "CHANNEL_SUCCESS", () => {
      left.shift();
      proceed();
    });
    Reflect.set(replies, "CHANNEL_FAILURE", () => {
      try {
        left.shift()?.refused();
        proceed();
      } catch (error) {
        failed(error);
      }
    });
    proceed();
  });
}
