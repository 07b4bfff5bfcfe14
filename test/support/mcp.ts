/** The official client, at the other end of the compiled program. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { type Fleet, fleet } from "./fleet.ts";
import { binary, type Sandbox } from "./sandbox.ts";

// biome-ignore lint/suspicious/noExplicitAny: a test looks into any answer, and asserts what it finds.
type Json = any;

export interface Connected {
  readonly client: Client;
  readonly pid: number | undefined;
  /** The structured content; fails when the tool answers with an error. */
  ok(tool: string, given?: Record<string, unknown>): Promise<Json>;
  /** The error of the tool; fails when it answers without one, or with another code. */
  refused(code: string, tool: string, given?: Record<string, unknown>): Promise<Json>;
  [Symbol.asyncDispose](): Promise<void>;
}

function connected(client: Client, pid?: number): Connected {
  const call = async (name: string, given: Record<string, unknown> = {}): Promise<Json> =>
    await client.callTool({ name, arguments: given });
  return {
    client,
    pid,
    async ok(tool, given) {
      const answer = await call(tool, given);
      if (answer.isError) throw new Error(`${tool} ${JSON.stringify(given)}: ${JSON.stringify(answer.content)}`);
      return answer.structuredContent;
    },
    async refused(code, tool, given) {
      const answer = await call(tool, given);
      const error = answer.structuredContent?.error;
      if (answer.isError !== true || error?.code !== code)
        throw new Error(`${tool} ${JSON.stringify(given)}: not ${code}, but ${JSON.stringify(answer.content)}`);
      return error;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** A client and its own server over stdio. */
export async function stdioClient(
  here: Sandbox,
  env: Readonly<Record<string, string>> = {},
  mode: "legacy" | "auto" = "legacy",
  args: readonly string[] = ["mcp", "serve"],
): Promise<Connected> {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const transport = new StdioClientTransport({
    command: binary(),
    args: [...args],
    cwd: here.path,
    env: here.environment(env),
    stderr: "pipe",
  });
  await client.connect(transport);
  return connected(client, transport.pid ?? undefined);
}

/** A server over HTTP, in a process of its own, at a free port. */
export async function httpServer(
  here: Sandbox,
  options: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  const child = Bun.spawn([binary(), "mcp", "serve", "--transport", "streamable-http", "--port", "0", ...options], {
    cwd: here.path,
    env: here.environment(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let said = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stderr) {
    said += decoder.decode(chunk);
    if (said.includes("\n")) break;
  }
  const url = /http:\/\/\S+\/mcp/.exec(said)?.[0];
  if (url === undefined) throw new Error(`The server did not start: ${said}`);
  return {
    url,
    said,
    child,
    async connect(
      headers: Readonly<Record<string, string>> = {},
      mode: "legacy" | "auto" = "legacy",
    ): Promise<Connected> {
      const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
      await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
      return connected(client);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

/** A repository with one task, A, which BEN holds: ADA, who has joined too, waits for it. */
export async function heldByBen(): Promise<Fleet> {
  const here = await fleet();
  here.tasks(["A"]);
  await here.join("ADA", "BEN");
  await here.ok("task claim A --agent BEN");
  return here;
}
