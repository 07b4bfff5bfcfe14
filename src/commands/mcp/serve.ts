import { Flag, Integer, OneOf, Optional, Shape, Text } from "../../core/schema.ts";
import { field, line } from "../../core/view.ts";
import { command } from "../command.ts";

const TRANSPORTS = ["stdio", "streamable-http"] as const;

export default command({
  name: "mcp.serve",
  effect: "read",
  summary: "Serve the commands as tools to MCP clients",
  explain:
    "Over stdio (default) for the one client that started it, until that client closes its end. With --transport streamable-http over HTTP at /mcp, for many sessions at once, until it is interrupted. The agent is the one that joined in the session, the tool's `agent_id` argument, or LODESTAR_AGENT. Over HTTP it listens on this machine alone; any other --host needs a bearer token, from --token-file or LODESTAR_MCP_TOKEN, and a token that is given is required everywhere. Requests from web pages of other origins are refused. With --check it only says whether it could start.",
  anywhere: true,
  files: ["token_file", "log_file"],
  aliases: { transport: "t" },
  hidden: ["dev"],
  input: Shape({
    transport: Optional(OneOf(TRANSPORTS, { description: "How clients reach it (default stdio)" })),
    host: Optional(Text({ minLength: 1, description: "Address to listen on (default 127.0.0.1)" })),
    port: Optional(Integer({ minimum: 0, maximum: 65_535, description: "Port (default 8000; 0: a free one)" })),
    token_file: Optional(Text({ minLength: 1, description: "File with the token that clients must bring" })),
    log_file: Optional(Text({ minLength: 1, description: "File to append a line to for every call" })),
    json_logs: Optional(Flag({ description: "Each of these lines as JSON" })),
    dev: Optional(Flag()),
    check: Optional(Flag({ description: "Only say whether it could start" })),
  }),
  output: Shape({
    transport: OneOf(TRANSPORTS),
    host: Optional(Text()),
    port: Optional(Integer()),
    path: Optional(Text()),
    token_required: Optional(Flag()),
  }),
  errors: ["PATH_NOT_FOUND"],
  examples: [
    { line: "lodestar mcp serve", shows: "For the client that starts it" },
    { line: "lodestar mcp serve --transport streamable-http --port 8000", shows: "For many, on this machine" },
  ],
  run: async (input, context) => {
    if ((input.transport ?? "stdio") === "stdio") {
      const { refuseHttpOptions } = await import("./listening.ts");
      refuseHttpOptions(input);
      return { transport: "stdio" as const };
    }
    const { listeningOf } = await import("./listening.ts");
    const { host, port, path, token } = listeningOf(input, context);
    return { transport: "streamable-http" as const, host, port, path, token_required: token !== undefined };
  },
  serve: { face: "mcp", asked: (input) => input.check !== true },
  view: ({ transport, host, port, path, token_required }) =>
    transport === "stdio"
      ? [line("The server can start over stdio.", "good")]
      : [
          line("The server can start over HTTP.", "good"),
          field("Address", `http://${host?.includes(":") === true ? `[${host}]` : host}:${port}${path}`),
          field("Token", token_required === true ? "required" : "none"),
        ],
});
