import { Integer, List, Shape, Text } from "../../core/schema.ts";
import { line, table } from "../../core/view.ts";
import { command } from "../command.ts";

/** How many bytes of JSON make a token, roughly: what the usual tokenisers of large models come to. */
const BYTES_A_TOKEN = 4;

export default command({
  name: "mcp.tools",
  effect: "read",
  summary: "List the tools of the MCP server, and what they cost",
  explain:
    "Each tool with the commands behind it, and the size of what a client gets for `tools/list`, which it usually puts before its model in every session. The number of tokens is an estimate: bytes divided by four.",
  anywhere: true,
  items: "tools",
  input: Shape({}),
  output: Shape({
    tools: List(Shape({ name: Text(), commands: List(Text()), bytes: Integer() })),
    count: Integer(),
    bytes: Integer({ description: "Of the whole answer to tools/list" }),
    estimated_tokens: Integer(),
  }),
  examples: [{ line: "lodestar mcp tools", shows: "The tools and their size" }],
  run: async () => {
    const [{ toolsOf }, { REGISTRY }] = await Promise.all([import("./toolbox.ts"), import("../registry.ts")]);
    const tools = await toolsOf(REGISTRY);
    const bytes = sizeOf({ tools: tools.map(({ listing }) => listing) });
    return {
      tools: tools.map(({ name, commands, listing }) => ({
        name,
        commands: commands.map((each) => each.name),
        bytes: sizeOf(listing),
      })),
      count: tools.length,
      bytes,
      estimated_tokens: Math.ceil(bytes / BYTES_A_TOKEN),
    };
  },
  next: () => [{ command: "mcp.serve", input: {}, why: "Serve them" }],
  view: ({ tools, count, bytes, estimated_tokens }) => [
    table(
      ["Tool", "Commands", "Bytes"],
      tools.map(({ name, commands, bytes: size }) => [name, commands.join(", "), String(size)]),
    ),
    line(`${count} tools, ${bytes} bytes, about ${estimated_tokens} tokens`),
  ],
});

const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
