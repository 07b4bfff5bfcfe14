import {
  type HandlerResultTypeMap,
  type ListToolsResult,
  ProtocolError,
  ProtocolErrorCode,
  type RequestMethod,
  type RequestTypeMap,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { VERSION } from "../core/version.ts";
import { callTool, type House, type Session } from "./calls.ts";
import { getPrompt, listing as PROMPTS } from "./prompts.ts";
import { listResources, readResource, TEMPLATES } from "./resources.ts";
import { type Line, untilAnswered } from "./return.ts";
import type { Watch } from "./watch.ts";

const INSTRUCTIONS =
  "Lodestar shares out the tasks of one Git repository among agents. Join once (agent_join), take a task (task_next with claim: true), work, then task_done; task_verify is for reviewers. A lease expires: claim the task again to renew it, and pass the fencing_token to task_done. An error says in `retriable` whether trying again can help, and in `hint` what to do.";

/** How often a call that waits says that it is still there, to clients that asked: most give up after a minute of silence. */
const PULSE_MS = 3_000;
/** The first time soon: then a client knows that the call waits. */
const FIRST_PULSE_MS = 1_000;

/** Requests that one session may have under way. */
const MOST_CALLS = 64;

/** The server of one session: the commands as tools. */
export function serverOf(house: House, watch: Watch, session: Session, lineOf: () => Line | undefined): Server {
  const server = new Server(
    { name: "lodestar", version: VERSION },
    {
      capabilities: { tools: {}, resources: { subscribe: true, listChanged: true }, prompts: {} },
      instructions: INSTRUCTIONS,
    },
  );
  session.server = server;
  // One message may hold a thousand requests.
  const on = <M extends RequestMethod>(
    method: M,
    handler: (
      request: RequestTypeMap[M],
      context: ServerContext,
    ) => HandlerResultTypeMap[M] | Promise<HandlerResultTypeMap[M]>,
  ): void =>
    server.setRequestHandler(method, async (request, context) => {
      if (session.calls >= MOST_CALLS)
        throw new ProtocolError(
          ProtocolErrorCode.InvalidRequest,
          `A session may have ${MOST_CALLS} requests under way.`,
        );
      session.calls += 1;
      try {
        return await handler(request, context);
      } finally {
        session.calls -= 1;
      }
    });
  // The same JSON Schema; only its type is wider here.
  const listing = { tools: house.tools.map((tool) => tool.listing) } as unknown as ListToolsResult;
  on("tools/list", () => listing);
  on("tools/call", async ({ params }, { mcpReq }) => {
    const tool = house.tools.find(({ name }) => name === params.name);
    if (tool === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no tool ${JSON.stringify(params.name)}.`);
    const token = mcpReq._meta?.progressToken;
    let progress = 0;
    const say = (): void => {
      progress += 1;
      const said = { progressToken: token ?? "", progress, message: "Waiting" };
      mcpReq.notify({ method: "notifications/progress", params: said }).catch(() => clearTimeout(pulse));
      pulse = setTimeout(say, PULSE_MS);
    };
    let pulse = token === undefined ? undefined : setTimeout(say, FIRST_PULSE_MS);
    const call = untilAnswered(lineOf(), mcpReq.signal, (signal) =>
      callTool(house, session, tool, params.arguments ?? {}, signal),
    );
    house.running.add(call);
    try {
      return await call;
    } finally {
      house.running.delete(call);
      clearTimeout(pulse);
    }
  });
  on("resources/list", async () => {
    const resources = await listResources(house);
    watch.hasListed(session, resources);
    return { resources };
  });
  on("resources/subscribe", async ({ params: { uri } }, { mcpReq }) => {
    // What leads nowhere cannot be subscribed to.
    await readResource(house, session, uri, mcpReq.signal);
    await watch.want(session, uri, [uri]);
    return {};
  });
  on("resources/unsubscribe", ({ params: { uri } }) => {
    watch.unwant(session, uri);
    return {};
  });
  on("resources/templates/list", () => ({ resourceTemplates: TEMPLATES }));
  on("resources/read", ({ params }, { mcpReq }) => readResource(house, session, params.uri, mcpReq.signal));
  on("prompts/list", () => ({ prompts: PROMPTS }));
  on("prompts/get", ({ params }) => getPrompt(params.name, params.arguments ?? {}));
  return server;
}
