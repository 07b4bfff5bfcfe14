/** Clients of HTTP whose connection breaks, and who come back for what they missed. */
import { expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { CallToolResult } from "@modelcontextprotocol/server";
import { Line, untilAnswered } from "../../src/mcp/return.ts";
import { fleet, until } from "../support/fleet.ts";
import { heldByBen, httpServer } from "../support/mcp.ts";
import { rows } from "../support/runtime-file.ts";

const PROTOCOL = "2025-11-25";

/** A session by hand, on connections that can be broken. */
async function session(url: string) {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  const post = (message: object, signal?: AbortSignal) =>
    fetch(url, {
      method: "POST",
      headers,
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
      ...(signal === undefined ? {} : { signal }),
    });
  const clientInfo = { name: "raw", version: "1" };
  const begun = await post({
    id: 1,
    method: "initialize",
    params: { protocolVersion: PROTOCOL, capabilities: {}, clientInfo },
  });
  await begun.text();
  headers["mcp-session-id"] = begun.headers.get("mcp-session-id") ?? "";
  headers["mcp-protocol-version"] = PROTOCOL;
  await post({ method: "notifications/initialized" });
  return {
    post,
    call: (id: number, name: string, given: object, signal?: AbortSignal) =>
      post({ id, method: "tools/call", params: { name, arguments: given } }, signal),
    get: (last?: string, signal?: AbortSignal) =>
      fetch(url, {
        headers: { ...headers, ...(last === undefined ? {} : { "last-event-id": last }) },
        ...(signal === undefined ? {} : { signal }),
      }),
  };
}

interface Event {
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into any message, and asserts what it finds.
  readonly data: any;
}

/** The events of an answer as they come. */
async function* events(response: Response): AsyncGenerator<Event> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk);
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      const [, id = ""] = /^id: (.*)$/m.exec(event) ?? [];
      const [, data = ""] = /^data: ?(.*)$/m.exec(event) ?? [];
      if (id !== "") yield { id, data: data === "" ? undefined : JSON.parse(data) };
    }
  }
}

async function first(response: Response): Promise<Event> {
  for await (const event of events(response)) return event;
  throw new Error("There was no event.");
}

async function all(response: Response): Promise<Event[]> {
  const found: Event[] = [];
  for await (const event of events(response)) found.push(event);
  return found;
}

/** ADA waits for what BEN holds. */
const WAIT = { claim: true, wait: "5m", agent_id: "ADA" };

test("a call whose connection breaks takes nothing while its client is away, and goes on when the client is back", async () => {
  using here = await heldByBen();
  await using server = await httpServer(here);
  const ada = await session(server.url);
  const gone = new AbortController();
  const { id } = await first(await ada.call(2, "task_next", WAIT, gone.signal));
  const waiters = () => rows(here.path, "select 1 from ticket").length;
  await until("the call waits", () => waiters() === 1);
  gone.abort();
  // The server has seen it when nobody waits any more.
  await until("the wait is broken off", () => waiters() === 0);
  await here.ok("task release A --agent BEN");
  expect((await here.ok("status")).leases).toBeUndefined();
  await here.ok("task claim A --agent BEN");
  const back = await ada.get(id);
  expect(back.status).toBe(200);
  await here.ok("task release A --agent BEN");
  const answer = await first(back);
  expect(answer.data).toMatchObject({ id: 2, result: { structuredContent: { task_id: "A", agent_id: "ADA" } } });
});

test("an answer and a notification that were missed are told again, to their own session alone", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ADA");
  await using server = await httpServer(here);
  const ada = await session(server.url);
  const answered = await all(await ada.call(2, "task_show", { task_id: "A" }));
  expect(answered.map(({ data }) => data?.id)).toEqual([undefined, 2]);
  const [begin] = answered as [Event];
  await all(await ada.call(4, "status", {}));
  expect(await all(await ada.get(begin.id))).toEqual(answered.slice(1));

  await (await ada.post({ id: 3, method: "resources/subscribe", params: { uri: "lodestar://task/A" } })).text();
  const away = new AbortController();
  const stream = events(await ada.get(undefined, away.signal));
  await here.ok("task claim A --agent ADA");
  const one = (await stream.next()).value as Event;
  expect(one.data.params.uri).toBe("lodestar://task/A");
  away.abort();
  await here.ok("task release A --agent ADA");
  let two: Response | undefined;
  while (two?.status !== 200) two = await ada.get(one.id);
  expect((await first(two)).data).toEqual(one.data);

  const stranger = await session(server.url);
  for (const id of [begin.id, one.id, "made-up", "_GET_stream.9"]) expect((await stranger.get(id)).status).toBe(400);
});

test("the official client comes back by itself when its connections are cut", async () => {
  using here = await heldByBen();
  await using server = await httpServer(here);
  const { port } = new URL(server.url);
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(Number(port), "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address() as { readonly port: number };
  // The proxy's port is another than the server's: it is the client that says which server it means.
  const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${address.port}/mcp`), {
    requestInit: { headers: { host: `127.0.0.1:${port}` } },
    reconnectionOptions: {
      initialReconnectionDelay: 50,
      maxReconnectionDelay: 500,
      reconnectionDelayGrowFactor: 1.5,
      maxRetries: 20,
    },
  });
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  try {
    const { promise: waits, resolve } = Promise.withResolvers<void>();
    const waiting = client.callTool({ name: "task_next", arguments: WAIT }, { onprogress: () => resolve() });
    await waits;
    for (const socket of sockets) socket.destroy();
    await here.ok("task release A --agent BEN");
    expect((await waiting).structuredContent).toMatchObject({ task_id: "A", agent_id: "ADA" });
  } finally {
    await client.close();
    proxy.close();
    for (const socket of sockets) socket.destroy();
  }
});

test("who does not come back, or cancels, gets nothing", async () => {
  const broken = AbortSignal.abort();
  const cancelled = new AbortController();
  const refusal = { content: [], isError: true, structuredContent: { error: { code: "TIMEOUT" } } } as CallToolResult;
  let calls = 0;
  const answer = untilAnswered(new Line(broken), cancelled.signal, async (signal) => {
    calls += 1;
    expect(signal.aborted).toBe(true);
    return refusal;
  });
  cancelled.abort();
  expect(await answer).toBe(refusal);
  expect(calls).toBe(1);
});
