/** `npm run etcdctl -- ARGS`: etcdctl against the selected stack's cluster. */
import { etcdctl } from "./client";
import { main, stackOutputs } from "./stack";

void main(async () => {
  const { code } = await etcdctl(await stackOutputs(), process.argv.slice(2), "inherit");
  return code;
});
