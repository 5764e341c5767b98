import { serve } from "../shared/server";
import { randomId } from "./random-id";

serve({
  name: "random",
  version: "4.21.2",
  acceptSecrets: false,
  resources: { "random:index/randomId:RandomId": randomId },
});
