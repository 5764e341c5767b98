import { serve } from "../shared/server";
import { remoteCommand } from "./remote-command";

serve({
  name: "command",
  version: "1.2.1",
  acceptSecrets: true,
  resources: { "command:remote:Command": remoteCommand },
});
