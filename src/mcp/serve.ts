import { toolsOf } from "../commands/mcp/toolbox.ts";
import type { Serving } from "../commands/serving.ts";
import type { House } from "./calls.ts";
import { logOf } from "./log.ts";

/** Serves MCP over the transport that was asked for, until told to stop or until nobody is left. */
export async function serve(serving: Serving): Promise<void> {
  const place = await serving.open({});
  const { cwd, env } = place;
  place.close();
  const house: House = {
    ...serving,
    tools: await toolsOf(serving.registry),
    log: logOf(serving, cwd),
    running: new Set(),
  };
  if (serving.input.transport === "streamable-http") {
    const { serveHttp } = await import("./http.ts");
    await serveHttp(house, { cwd, env });
  } else {
    const { serveStdio } = await import("./stdio.ts");
    await serveStdio(house);
  }
}
