/** Connections over HTTP that keep the server waiting. In this process, because the bound is shortened and no option does that. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { PassThrough } from "node:stream";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { toolsOf } from "../../src/commands/mcp/toolbox.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { SECOND } from "../../src/core/time.ts";
import { serveHttp } from "../../src/mcp/http.ts";
import { openContext } from "../../src/wire.ts";
import type { Fleet } from "../support/fleet.ts";
import { heldByBen } from "../support/mcp.ts";

/** The shortest that the platform tells apart. */
const SILENCE = 4 * SECOND;

/** A server with this bound, until `stop`. */
async function serving(here: Fleet) {
  const stop = new AbortController();
  const started = Promise.withResolvers<URL>();
  const house = {
    input: { transport: "streamable-http", port: 0 },
    registry: REGISTRY,
    tools: await toolsOf(REGISTRY),
    open: (call: object) => openContext({ cwd: here.path, env: {}, interactive: false, ...call }),
    log: ({ message }: { readonly message: string }) => {
      const [url] = /http:\S+\/mcp/.exec(message) ?? [];
      if (url !== undefined) started.resolve(new URL(url));
    },
    running: new Set<Promise<unknown>>(),
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    clock: { now: () => Date.now() },
    stop: stop.signal,
  };
  const ended = serveHttp(house, { cwd: here.path, env: {} }, SILENCE);
  const url = await started.promise;
  return {
    url,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

/** Says these words, and this again and again; resolves with what came when the other side closes. */
function closed({ hostname, port }: URL, words: string, again = ""): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect(Number(port), hostname, () => void (words !== "" && socket.write(words)));
    const drip = setInterval(() => void (again !== "" && socket.write(again)), SILENCE / 4);
    socket.on("data", (data) => (heard += data));
    // Who writes to what is closed is told so.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(drip);
      resolve(heard);
    });
  });
}

test("who keeps a connection and sends nothing, or never a whole request, is closed; who waits for an answer is not", async () => {
  using here = await heldByBen();
  await using server = await serving(here);
  const client = new Client({ name: "test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(server.url));
  const pulse = Promise.withResolvers<void>();
  let isAnswered = false;
  const waiting = client
    .callTool(
      { name: "task_next", arguments: { claim: true, wait: "5m", agent_id: "ADA" } },
      { onprogress: () => pulse.resolve(), timeout: 120_000 },
    )
    .finally(() => (isAnswered = true));
  await pulse.promise;

  const head = `POST /mcp HTTP/1.1\r\nHost: ${server.url.host}\r\nContent-Type: application/json\r\n`;
  const silent = {
    nothing: closed(server.url, ""),
    "one sign": closed(server.url, "P"),
    "half a head": closed(server.url, head),
    "a head without end": closed(server.url, head, "X-More: more\r\n"),
    "half a body": closed(server.url, `${head}Content-Length: 100\r\n\r\n{"jsonrpc"`),
    "a body without end": closed(server.url, `${head}Content-Length: 100000\r\n\r\n{`, " "),
    "a request, and then nothing": closed(server.url, `GET /elsewhere HTTP/1.1\r\nHost: ${server.url.host}\r\n\r\n`),
  };
  for (const [what, connection] of Object.entries(silent)) {
    const heard = await connection;
    expect({ what, isDone: heard.includes("200 OK") }).toEqual({ what, isDone: false });
  }
  // It began before them, and has outlived them all.
  expect(isAnswered).toBe(false);
  await here.ok("task release A --agent BEN");
  expect((await waiting).structuredContent).toMatchObject({ task_id: "A", agent_id: "ADA" });
  await client.close();
}, 90_000);
