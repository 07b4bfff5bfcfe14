import { type ListToolsResult, ProtocolError, ProtocolErrorCode, Server } from "@modelcontextprotocol/server";
import { VERSION } from "../core/version.ts";
import { callTool, type House, type Session } from "./calls.ts";
import { getPrompt, listing as PROMPTS } from "./prompts.ts";
import { RESOURCES, readResource, TEMPLATES } from "./resources.ts";

const INSTRUCTIONS =
  "Lodestar shares out the tasks of one Git repository among agents. Join once (agent_join), take a task (task_next with claim: true), work, then task_done; task_verify is for reviewers. A lease expires: claim the task again to renew it, and pass the fencing_token to task_done. An error says in `retriable` whether trying again can help, and in `hint` what to do.";

/** How often a call that waits says that it is still there, to clients that asked: most give up after a minute of silence. */
const PULSE_MS = 5_000;

/** The server of one session: the commands as tools. */
export function serverOf(house: House, session: Session): Server {
  const server = new Server(
    { name: "lodestar", version: VERSION },
    { capabilities: { tools: {}, resources: {}, prompts: {} }, instructions: INSTRUCTIONS },
  );
  // The same JSON Schema; only its type is wider here.
  const listing = { tools: house.tools.map((tool) => tool.listing) } as unknown as ListToolsResult;
  server.setRequestHandler("tools/list", () => listing);
  server.setRequestHandler("tools/call", async ({ params }, { mcpReq, http }) => {
    const tool = house.tools.find(({ name }) => name === params.name);
    if (tool === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no tool ${JSON.stringify(params.name)}.`);
    const token = mcpReq._meta?.progressToken;
    let progress = 0;
    const pulse =
      token === undefined
        ? undefined
        : setInterval(() => {
            progress += 1;
            const said = { progressToken: token, progress, message: "Waiting" };
            mcpReq.notify({ method: "notifications/progress", params: said }).catch(() => clearInterval(pulse));
          }, PULSE_MS);
    // Over HTTP a connection that breaks loses the answer for good: nothing keeps it for a client that comes back.
    const signal = http?.req === undefined ? mcpReq.signal : AbortSignal.any([mcpReq.signal, http.req.signal]);
    const call = callTool(house, session, tool, params.arguments ?? {}, signal);
    house.running.add(call);
    try {
      return await call;
    } finally {
      house.running.delete(call);
      clearInterval(pulse);
    }
  });
  server.setRequestHandler("resources/list", () => ({ resources: RESOURCES }));
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: TEMPLATES }));
  server.setRequestHandler("resources/read", ({ params }, { mcpReq }) =>
    readResource(house, session, params.uri, mcpReq.signal),
  );
  server.setRequestHandler("prompts/list", () => ({ prompts: PROMPTS }));
  server.setRequestHandler("prompts/get", ({ params }) => getPrompt(params.name, params.arguments ?? {}));
  return server;
}
