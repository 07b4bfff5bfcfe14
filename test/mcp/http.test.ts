/** The MCP server over HTTP: the official client, and requests that no client of good will would make. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fleet } from "../support/fleet.ts";
import { heldByBen, httpServer, stdioClient } from "../support/mcp.ts";

const TOKEN = "a-token-that-nobody-guesses";
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "raw", version: "1" } },
};

/** A request by hand, without a client's manners. */
const post = (url: string, headers: Readonly<Record<string, string>> = {}, body: string | object = INITIALIZE) =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

test("two sessions of one agent do not get one lease", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ALICE");
  await using server = await httpServer(here);
  await using one = await server.connect();
  await using two = await server.connect();
  const claim = await one.ok("task_claim", { task_ids: ["A"], agent_id: "ALICE" });
  expect(await one.ok("task_claim", { task_ids: ["A"], agent_id: "ALICE" })).toMatchObject({
    lease_id: claim.lease_id,
    already: true,
  });
  await two.refused("ALREADY_CLAIMED", "task_claim", { task_ids: ["A"], agent_id: "ALICE" });
});

test("who joined in one session is nobody in another", async () => {
  using here = await fleet();
  here.tasks(["A", "B"]);
  await using server = await httpServer(here);
  await using one = await server.connect();
  await using two = await server.connect();
  const { agent_id } = await one.ok("agent_join", {});
  await two.refused("AGENT_REQUIRED", "task_next", { claim: true });
  expect(await one.ok("task_next", { claim: true })).toMatchObject({ agent_id });
});

test("SIGTERM ends what waits, leaves no lease, and the process ends with 0", async () => {
  using here = await heldByBen();
  const server = await httpServer(here);
  const agent = await server.connect();
  const given = { claim: true, wait: "5m", agent_id: "ADA" };
  const waiting = agent.client.callTool({ name: "task_next", arguments: given }).then(
    () => "answered",
    () => "broken off",
  );
  await Bun.sleep(300);
  server.child.kill("SIGTERM");
  expect(await server.child.exited).toBe(0);
  await agent.client.close();
  expect(await waiting).toBe("broken off");
  await here.ok("task release A --agent BEN");
  expect((await here.ok("status")).leases).toBeUndefined();
});

test.each(["HTTP", "stdio"])("over %s, the lease of a session that dies ends when it ends, not later", async (way) => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ADA", "BEN");
  await using server = await httpServer(here);
  const { client, ok, pid } = way === "HTTP" ? await server.connect() : await stdioClient(here);
  const claim = await ok("task_claim", { task_ids: ["A"], agent_id: "ADA", ttl: "2s" });
  // Without a word: no DELETE, no end of input.
  if (pid === undefined) await client.transport?.close();
  else process.kill(pid, "SIGKILL");
  expect((await here.ok("status")).leases).toMatchObject([{ expires_at: claim.expires_at }]);
  const next = await here.ok("task claim A --agent BEN --wait 1m");
  expect(next.fencing_token).toBeGreaterThan(claim.fencing_token);
  expect(Date.parse(next.expires_at) - next.ttl_seconds * 1000).toBeGreaterThanOrEqual(Date.parse(claim.expires_at));
  await here.refused("LEASE_LOST", `task done A --agent ADA --fencing-token ${claim.fencing_token}`);
});

test("a client that vanishes while it waits leaves no lease, and its server goes on", async () => {
  using here = await heldByBen();
  await using server = await httpServer(here);
  const begun = await post(server.url);
  const session = begun.headers.get("mcp-session-id") ?? "";
  await begun.text();
  const vanish = new AbortController();
  const params = { name: "task_next", arguments: { claim: true, wait: "5m", agent_id: "ADA" } };
  const waiting = fetch(server.url, {
    method: "POST",
    signal: vanish.signal,
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-session-id": session,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 2, method: "tools/call", params }),
  }).then((response) => response.text());
  await Bun.sleep(300);
  vanish.abort();
  await expect(waiting).rejects.toThrow();
  await using other = await server.connect();
  await other.ok("status");
  await Bun.sleep(300);
  await here.ok("task release A --agent BEN");
  await Bun.sleep(300);
  expect((await here.ok("status")).leases).toBeUndefined();
});

test("clients of the newest protocol, too, find their way in", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await using server = await httpServer(here);
  await using agent = await server.connect({}, "auto");
  const { agent_id } = await agent.ok("agent_join", {});
  expect(await agent.ok("task_next", { claim: true })).toMatchObject({ agent_id });
});

describe("who may come in:", () => {
  test("without the token nobody, with a wrong one nobody", async () => {
    using here = await fleet();
    here.write("token.txt", `${TOKEN}\n`);
    await using server = await httpServer(here, ["--token-file", "token.txt"]);
    expect(server.said).not.toContain(TOKEN);
    for (const authorization of [
      "",
      "Bearer",
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Basic ${TOKEN}`,
      TOKEN,
    ]) {
      const { status, headers } = await post(server.url, { authorization });
      expect({ authorization, status }).toEqual({ authorization, status: 401 });
      expect(headers.get("www-authenticate")).toBe("Bearer");
    }
    expect((await post(server.url)).status).toBe(401);
    await using agent = await server.connect({ authorization: `Bearer ${TOKEN}` });
    expect(await agent.ok("status")).toMatchObject({ initialized: true });
    // The token counts for each request, not for the session: its id alone opens nothing.
    const begun = await post(server.url, { authorization: `Bearer ${TOKEN}` });
    const session = begun.headers.get("mcp-session-id") ?? "";
    expect(session).not.toBe("");
    expect((await post(server.url, { "mcp-session-id": session })).status).toBe(401);
  });

  test("web pages of elsewhere, and names that lead here, are refused, and no answer may be read by them", async () => {
    using here = await fleet();
    await using server = await httpServer(here);
    const { port } = new URL(server.url);
    const refused: Record<string, string>[] = [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: `https://localhost:${port}` },
      { origin: `http://localhost:${port}.evil.example` },
      { origin: "http://localhost:1" },
      { host: `evil.example:${port}` },
      { host: "evil.example" },
      { host: `127.0.0.1:${port}.evil.example` },
      { host: "localhost:1" },
    ];
    for (const headers of refused) {
      const answer = await post(server.url, headers);
      expect({ headers, status: answer.status }).toEqual({ headers, status: 403 });
      expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    }
    const preflight = await fetch(server.url, { method: "OPTIONS", headers: { origin: "https://evil.example" } });
    expect(preflight.status).toBe(403);
    const allowed = await post(server.url, { origin: `http://localhost:${port}` });
    expect(allowed.status).toBe(200);
    expect(allowed.headers.get("access-control-allow-origin")).toBeNull();
  });

  test.each([
    [["--host", "0.0.0.0"], {}, "USAGE"],
    [["--host", "::"], {}, "USAGE"],
    [["--host", "127.0.0.1.evil.example"], {}, "USAGE"],
    [["--host", "0.0.0.0"], { LODESTAR_MCP_TOKEN: "short" }, "USAGE"],
    [["--host", "0.0.0.0"], { LODESTAR_MCP_TOKEN: "with blanks in the middle" }, "USAGE"],
    [["--token-file", "empty.txt"], {}, "USAGE"],
    [["--token-file", "."], {}, "PATH_NOT_FOUND"],
    [["--token", TOKEN], {}, "USAGE"],
  ] as const)("%p with %p does not start", async (options, env, code) => {
    using here = await fleet();
    here.write("empty.txt", "\n");
    const call = ["mcp", "serve", "--transport", "streamable-http", "--port", "0", ...options];
    const { message } = await here.refused(code, call, { env });
    expect(message).not.toContain("short");
  });

  test("a port that is taken is told", async () => {
    using here = await fleet();
    await using server = await httpServer(here);
    const { port } = new URL(server.url);
    await here.refused("USAGE", ["mcp", "serve", "--transport", "streamable-http", "--port", port]);
  });
});

test("what is no request of a client ends nothing", async () => {
  using here = await fleet();
  await using server = await httpServer(here);
  const base = server.url.replace("/mcp", "");
  expect((await fetch(`${base}/`)).status).toBe(404);
  expect((await fetch(`${base}/mcp/../etc/passwd`)).status).toBe(404);
  expect((await post(server.url, {}, "{")).status).toBe(400);
  expect((await post(server.url, {}, "[]")).status).toBeGreaterThanOrEqual(400);
  expect((await post(server.url, { "mcp-session-id": "made-up" })).status).toBe(404);
  expect((await post(server.url, { "content-type": "text/plain" })).status).toBe(415);
  expect((await post(server.url, {}, { ...INITIALIZE, id: 2, method: "tools/list", params: {} })).status).toBe(400);
  expect((await post(server.url, {}, "x".repeat(5 * 1024 * 1024))).status).toBe(413);
  expect((await fetch(server.url, { method: "PUT" })).status).toBe(405);
  await using agent = await server.connect();
  expect(await agent.ok("status")).toMatchObject({ initialized: true });
});

test("of too many sessions the one that was silent longest makes room, never one whose call is under way", async () => {
  using here = await heldByBen();
  await using server = await httpServer(here);
  await using waits = await server.connect();
  const waiting = waits.ok("task_next", { claim: true, wait: "5m", agent_id: "ADA" });
  await using silent = await server.connect();
  await silent.ok("status");
  for (let i = 0; i < 300; i += 1) expect((await post(server.url)).status).toBe(200);
  await expect(silent.ok("status")).rejects.toThrow("no such session");
  await here.ok("task release A --agent BEN");
  expect(await waiting).toMatchObject({ task_id: "A", agent_id: "ADA" });
});

test("a flood from one address is slowed down", async () => {
  using here = await fleet();
  await using server = await httpServer(here);
  const answers = new Set<number>();
  for (let round = 0; round < 60 && !answers.has(429); round += 1) {
    const some = await Promise.all(
      Array.from({ length: 100 }, () => fetch(server.url, { headers: { host: "evil.example" } })),
    );
    const more = await Promise.all(Array.from({ length: 100 }, () => fetch(server.url.replace("/mcp", "/other"))));
    for (const { status } of [...some, ...more]) answers.add(status);
  }
  expect([...answers].sort()).toEqual([403, 404, 429]);
});

test("the log names tools, agents and codes, and nothing of what was said", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await using server = await httpServer(here, ["--log-file", "calls.log", "--json-logs"]);
  await using agent = await server.connect();
  await agent.ok("agent_join", { agent_id: "ALICE" });
  await agent.ok("msg_send", { to: "task:A", text: "a secret" });
  await agent.refused("TASK_NOT_FOUND", "task_show", { task_id: "NONE" });
  const text = readFileSync(join(here.path, "calls.log"), "utf8");
  expect(text).not.toContain("secret");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.filter(({ event }) => event === "called").map(({ message }) => message)).toEqual([
    "agent_join by ALICE: ok",
    "msg_send by ALICE: ok",
    "task_show by ALICE: TASK_NOT_FOUND",
  ]);
});
