/** Requests of somebody who means ill, as raw bytes where no client would send them. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { fleet } from "../support/fleet.ts";
import { heldByBen, httpServer } from "../support/mcp.ts";

const TOKEN = "a-token-that-nobody-guesses";
const PROTOCOL = "2025-03-26";
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: PROTOCOL, capabilities: {}, clientInfo: { name: "raw", version: "1" } },
};

/** Sends these bytes on a connection of their own; the first line of the answer, or `closed`. */
async function raw(url: string, lines: readonly string[], body = ""): Promise<string> {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    if (text.includes("\r\n")) resolve(text.slice(0, text.indexOf("\r\n")));
  });
  socket.on("error", () => resolve("closed"));
  socket.on("close", () => resolve("closed"));
  socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
  const said = await promise;
  socket.destroy();
  return said;
}

const post = (url: string, body: unknown, headers: Readonly<Record<string, string>> = {}, signal?: AbortSignal) =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });

test("what is no clean request for this server is not answered as one", async () => {
  using here = await fleet();
  await using server = await httpServer(here);
  const { port } = new URL(server.url);
  const body = JSON.stringify(INITIALIZE);
  const usual = ["Content-Type: application/json", "Accept: application/json, text/event-stream"];
  const length = `Content-Length: ${body.length}`;
  const host = `Host: 127.0.0.1:${port}`;
  // So far it works; each of the others differs in one thing.
  expect(await raw(server.url, ["POST /mcp HTTP/1.1", host, ...usual, length], body)).toBe("HTTP/1.1 200 OK");
  const others: readonly (readonly string[])[] = [
    ["POST /mcp HTTP/1.1", ...usual, length],
    ["POST /mcp HTTP/1.0", ...usual, length],
    ["POST /mcp HTTP/1.1", "Host: evil.example", host, ...usual, length],
    ["POST /mcp HTTP/1.1", host, "Host: evil.example", ...usual, length],
    ["POST http://evil.example/mcp HTTP/1.1", "Host: evil.example", ...usual, length],
    ["POST /mcp HTTP/1.1", `Host: 127.0.0.1:${port}@evil.example`, ...usual, length],
    ["POST /mcp HTTP/1.1", host, "Origin: http://evil.example", "Origin: http://localhost", ...usual, length],
    ["POST /mcp HTTP/1.1", host, "Origin: ", "Origin: http://evil.example", ...usual, length],
    ["POST /mcp/../mcp/x HTTP/1.1", host, ...usual, length],
    ["POST /%6dcp HTTP/1.1", host, ...usual, length],
    ["POST //mcp HTTP/1.1", host, ...usual, length],
  ];
  for (const lines of others) {
    const said = await raw(server.url, lines, body);
    expect({ lines: lines.slice(0, 3), answered: said.startsWith("HTTP/1.1 200") }).toEqual({
      lines: lines.slice(0, 3),
      answered: false,
    });
  }
});

test("a body without a length, or with one that lies, is cut off where the bound is", async () => {
  using here = await fleet();
  await using server = await httpServer(here);
  const { port } = new URL(server.url);
  const head = [
    "POST /mcp HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
  ];
  const mebibyte = `100000\r\n${" ".repeat(0x100000)}\r\n`;
  expect(await raw(server.url, [...head, "Transfer-Encoding: chunked"], mebibyte.repeat(5))).not.toContain("200");
  expect(await raw(server.url, [...head, "Content-Length: 99999999"], "{")).toBe(
    "HTTP/1.1 413 Request Entity Too Large",
  );
  expect(await raw(server.url, [...head, "Content-Length: -1"], "{}")).not.toContain("200");
  const both = [...head, "Content-Length: 3", "Transfer-Encoding: chunked"];
  expect(await raw(server.url, both, "0\r\n\r\nGET /mcp HTTP/1.1\r\n\r\n")).not.toContain("200");
  expect((await post(server.url, `${"[".repeat(1_000_000)}`)).status).toBe(400);
  expect((await post(server.url, `{"a":${"[".repeat(500_000)}${"]".repeat(500_000)}}`)).status).toBe(400);
  await using agent = await server.connect();
  expect(await agent.ok("status")).toMatchObject({ initialized: true });
});

test("a token is taken from the header alone, and from one header alone", async () => {
  using here = await fleet();
  await using server = await httpServer(here, [], { LODESTAR_MCP_TOKEN: TOKEN });
  const { port } = new URL(server.url);
  const lines = (...more: readonly string[]) => [
    "DELETE /mcp HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Content-Length: 0",
    ...more,
  ];
  expect(await raw(server.url, lines())).toContain(" 401 ");
  expect(await raw(server.url, lines(`Authorization: Bearer ${TOKEN}`))).not.toContain(" 401 ");
  expect(await raw(server.url, lines(`Authorization: Bearer x${TOKEN}`, `Authorization: Bearer ${TOKEN}`))).toContain(
    " 401 ",
  );
  expect((await post(`${server.url}?token=${TOKEN}&access_token=${TOKEN}`, INITIALIZE)).status).toBe(401);
  expect((await post(server.url, INITIALIZE, { cookie: `token=${TOKEN}` })).status).toBe(401);
  expect((await post(server.url.replace("http://", `http://x:${TOKEN}@`), INITIALIZE)).status).toBe(401);
});

test("one message with many requests gets no more done at once than is allowed", async () => {
  using here = await heldByBen();
  await using server = await httpServer(here);
  const begun = await post(server.url, INITIALIZE);
  await begun.text();
  const stop = new AbortController();
  const given = { name: "task_next", arguments: { claim: true, wait: "5m", agent_id: "ADA" } };
  const many = Array.from({ length: 100 }, (_, id) => ({ jsonrpc: "2.0", id, method: "tools/call", params: given }));
  const session = { "mcp-session-id": begun.headers.get("mcp-session-id") ?? "", "mcp-protocol-version": PROTOCOL };
  const answer = await post(server.url, many, session, stop.signal);
  let text = "";
  for await (const chunk of answer.body ?? []) {
    text += new TextDecoder().decode(chunk);
    if (text.split("requests under way").length > 100 - 64) break;
  }
  expect(text.split("requests under way")).toHaveLength(100 - 64 + 1);
  expect(text).not.toContain('"result"');
  stop.abort();
});
