/** The MCP server over stdio: the official client at one end, the compiled program at the other. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, until } from "../support/fleet.ts";
import { stdioClient } from "../support/mcp.ts";
import { binary } from "../support/sandbox.ts";

describe.each(["legacy", "auto"] as const)("protocol: %s", (mode) => {
  test("an agent's whole loop: plan, join, take, finish, verify", async () => {
    using here = await fleet();
    await using agent = await stdioClient(here, {}, mode);
    const { agent_id } = await agent.ok("agent_join", { display_name: "Alice" });
    const made = await agent.ok("task_import", {
      tasks: [
        { title: "One", ref: "one" },
        { title: "Two", depends_on: ["one"] },
      ],
    });
    expect(made.created).toHaveLength(2);
    const claim = await agent.ok("task_next", { claim: true });
    expect(claim).toMatchObject({ agent_id, task_id: made.ids.one, context: { title: "One" } });
    const done = await agent.ok("task_done", { task_id: claim.task_id, fencing_token: claim.fencing_token });
    expect(done).toMatchObject({ status: "done" });
    const verified = await agent.ok("task_verify", { task_ids: [claim.task_id] });
    expect(verified.unblocked).toHaveLength(1);
    expect(await here.show(made.ids.one)).toMatchObject({ status: "verified", completed_by: agent_id });
  });
});

test("structured content is the envelope's data, for answers and for refusals", async () => {
  using here = await fleet();
  here.tasks(["A", "B"]);
  await here.join("ALICE", "BOB");
  await using agent = await stdioClient(here);
  expect(await agent.ok("task_show", { task_id: "A" })).toEqual(await here.show("A"));
  expect(await agent.ok("task_list")).toEqual(await here.ok("task list"));
  expect(await agent.ok("task_show", { do: "context", task_id: "A" })).toEqual(await here.ok("task context A"));
  await here.ok("task claim A --agent BOB");
  const error = await agent.refused("ALREADY_CLAIMED", "task_claim", { task_ids: ["A"], agent_id: "ALICE" });
  const told = await here.refused("ALREADY_CLAIMED", "task claim A --agent ALICE");
  expect(error).toEqual(told);
  expect(error).toMatchObject({ retriable: true, hint: expect.stringContaining(" ") });
  for (const ttl of ["soon", "0s", "8d"])
    expect(await agent.refused("INVALID_TTL", "task_claim", { task_ids: ["B"], ttl, agent_id: "ALICE" })).toEqual(
      await here.refused("INVALID_TTL", `task claim B --ttl ${ttl} --agent ALICE`),
    );
  const { message } = await agent.refused("USAGE", "task_next", { wait: "soon" });
  expect(message).toBe('task.next: wait must be a duration such as 90s, 15m or 1h30m, not "soon".');
});

test("a session is the agent that joined in it, or that the environment names, or that an argument names", async () => {
  using here = await fleet();
  here.tasks(["A", "B", "C"]);
  await here.join("ENVY", "OTHER");
  await using named = await stdioClient(here, { LODESTAR_AGENT: "ENVY" });
  expect(await named.ok("task_claim", { task_ids: ["A"] })).toMatchObject({ agent_id: "ENVY" });
  // Both at once, on purpose: the claim is the new agent's.
  const [joined, claim] = await Promise.all([
    named.ok("agent_join", { display_name: "New" }),
    named.ok("task_claim", { task_ids: ["B"] }),
  ]);
  expect(claim).toMatchObject({ agent_id: joined.agent_id });
  expect(await named.ok("task_claim", { task_ids: ["C"], agent_id: "OTHER" })).toMatchObject({ agent_id: "OTHER" });
  expect(await named.ok("task_list", { mine: true })).toMatchObject({ tasks: [{ id: "B" }] });
  await using nobody = await stdioClient(here);
  const { hint } = await nobody.refused("AGENT_REQUIRED", "task_next", { claim: true });
  expect(hint).toBe("Call agent_join once in this session, or give agent_id.");
});

test("a waiting call that is cancelled leaves no lease, no ticket, and the server goes on", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ALICE", "BOB");
  await here.ok("task claim A --agent BOB");
  await using agent = await stdioClient(here, { LODESTAR_AGENT: "ALICE" });
  const stop = new AbortController();
  const waiting = agent.client.callTool(
    { name: "task_next", arguments: { claim: true, wait: "5m" } },
    { signal: stop.signal },
  );
  // Its ticket shows that it waits.
  await Bun.sleep(300);
  stop.abort("enough");
  await expect(waiting).rejects.toThrow();
  await here.ok("task release A --agent BOB");
  await agent.ok("status");
  await Bun.sleep(300);
  expect((await here.ok("status")).leases).toBeUndefined();
  expect(await here.ok("task claim A --agent BOB")).toMatchObject({ task_id: "A" });
});

test("a client that goes away while it waits leaves no lease, and its server ends", async () => {
  using here = await fleet();
  here.tasks(["A"]);
  await here.join("ALICE", "BOB");
  await here.ok("task claim A --agent BOB");
  const agent = await stdioClient(here, { LODESTAR_AGENT: "ALICE" });
  const waiting = agent.client
    .callTool({ name: "task_next", arguments: { claim: true, wait: "5m" } })
    .catch(() => "gone");
  await Bun.sleep(300);
  const { pid } = agent;
  await agent.client.close();
  expect(await waiting).toBe("gone");
  await until("the server has ended", () => !isAlive(pid));
  await here.ok("task release A --agent BOB");
  expect((await here.ok("status")).leases).toBeUndefined();
});

test("the spec may change between two calls, and the planes may come to be after the server has started", async () => {
  using here = await fleet({ init: false });
  await using agent = await stdioClient(here);
  expect(await agent.ok("status")).toMatchObject({ initialized: false });
  await agent.refused("NOT_INITIALIZED", "task_list");
  await here.ok("init --no-agents-md");
  here.tasks(["A"]);
  expect(await agent.ok("task_list")).toMatchObject({ tasks: [{ id: "A" }] });
  here.tasks(["A", "B"]);
  expect(await agent.ok("task_list")).toMatchObject({ count: 2 });
  here.write(".lodestar/spec.yaml", "tasks: {A: {status: ready}}\n");
  await agent.refused("SPEC_INVALID", "task_list");
  here.tasks(["C"]);
  expect(await agent.ok("task_list")).toMatchObject({ tasks: [{ id: "C" }] });
});

test("lists leave only the fields that are asked for, and what is needed to go on", async () => {
  using here = await fleet();
  here.tasks(["A", "B"]);
  await here.join("ADA");
  await using agent = await stdioClient(here, { LODESTAR_AGENT: "ADA" });
  const text = async (name: string, given: Record<string, unknown>) => {
    const { content, structuredContent } = await agent.client.callTool({ name, arguments: given });
    expect(JSON.parse((content as { text: string }[])[0]?.text ?? "")).toEqual(structuredContent);
    return structuredContent;
  };
  const page = await text("task_list", { fields: "id, status", limit: 1 });
  expect(page).toEqual({ tasks: [{ id: "A", status: "ready" }], count: 1, cursor: expect.any(String) });
  await agent.ok("msg_send", { to: "task:A", text: "Hello" });
  for (const given of [{ do: "inbox" }, { do: "thread", task_id: "A" }])
    for (const message of (await agent.ok("msg_inbox", { ...given, fields: "text" })).messages)
      expect(Object.keys(message)).toEqual(["text"]);
  const { events } = await agent.ok("events", { fields: "type,data.severity" });
  expect(events[0]).toEqual({ type: "agent.joined", data: {} });
  const { message, details } = await agent.refused("USAGE", "task_list", { fields: "id,titel" });
  expect(message).toBe('task_list: fields is wrong: there is no field "titel". Did you mean "title"?');
  expect(details.fields).toContain("title");
  for (const fields of [7, ["id"], "", null]) await agent.refused("USAGE", "task_list", { fields });
  // No lists, or short ones.
  await agent.refused("USAGE", "task_show", { task_id: "A", fields: "id" });
  await agent.refused("USAGE", "events", { do: "wait", conditions: ["task.done:A"], fields: "event" });
});

describe("what a tool does not offer is refused:", () => {
  const cases: readonly (readonly [string, string, Record<string, unknown>])[] = [
    ["a file of the machine", "task_import", { file: "/etc/passwd" }],
    ["standard input", "task_import", { file: "-" }],
    ["a stream", "events", { follow: true }],
    ["what nobody knows", "task_show", { task_id: "A", colour: "red" }],
    ["a field of the other command", "task_update", { do: "delete", task_id: "A", title: "x" }],
    ["a choice that is none", "task_update", { do: "destroy", task_id: "A" }],
    ["a choice where there is none", "status", { do: "status" }],
    ["the wrong type", "task_show", { task_id: 7 }],
    ["nothing where something must be", "task_show", {}],
    ["a name that every object has", "task_show", { task_id: "A", constructor: "x" }],
  ];
  test("each in turn", async () => {
    using here = await fleet();
    here.tasks(["A"]);
    await using agent = await stdioClient(here);
    for (const [, tool, given] of cases) await agent.refused("USAGE", tool, given);
    // A text of `-` is that text, as it is everywhere but on a command line.
    await agent.ok("agent_join", { agent_id: "ALICE" });
    await agent.ok("msg_send", { to: "task:A", text: "-" });
    expect(await agent.ok("msg_inbox", { do: "thread", task_id: "A" })).toMatchObject({ messages: [{ text: "-" }] });
    await agent.ok("task_update", { task_id: "A", description: "-" });
    expect(await agent.ok("task_show", { task_id: "A" })).toMatchObject({ description: "-" });
    expect(agent.client.callTool({ name: "git_hook", arguments: {} })).rejects.toThrow("no tool");
    expect(agent.client.callTool({ name: "constructor", arguments: {} })).rejects.toThrow("no tool");
  });
});

test("status, spec, tasks, their context and their sections can be read as resources", async () => {
  using here = await fleet();
  here.write("PRD.md", "# Shop\n\n## Log in\n\nTwo fields.\n");
  await here.ok(["task", "create", "--id", "A", "--title", "Log in", "--prd-source", "PRD.md", "--prd-ref", "#log-in"]);
  await using agent = await stdioClient(here);
  const read = async (uri: string) => {
    const [content] = (await agent.client.readResource({ uri })).contents;
    return content !== undefined && "text" in content ? content.text : "";
  };
  expect((await agent.client.listResources()).resources.map(({ uri }) => uri)).toEqual([
    "lodestar://status",
    "lodestar://spec",
    "lodestar://prd/PRD.md",
  ]);
  expect((await agent.client.listResourceTemplates()).resourceTemplates).toHaveLength(4);
  expect(JSON.parse(await read("lodestar://status"))).toEqual(await here.ok("status"));
  expect(await read("lodestar://spec")).toBe(readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8"));
  expect(JSON.parse(await read("lodestar://task/A"))).toEqual(await here.ok("task show A"));
  expect(JSON.parse(await read("lodestar://task/A/context"))).toEqual(await here.ok("task context A"));
  expect(JSON.parse(await read("lodestar://task/A/prd"))).toEqual(await here.ok("prd show A"));
  for (const uri of ["lodestar://task/NONE", "lodestar://task/../spec", "lodestar://task/%ff", "file:///etc/passwd"])
    await expect(agent.client.readResource({ uri })).rejects.toThrow();
});

test("prompts for planning, working and reviewing name tools that are there", async () => {
  using here = await fleet();
  await using agent = await stdioClient(here);
  const { prompts } = await agent.client.listPrompts();
  expect(prompts.map(({ name }) => name)).toEqual(["plan", "work", "review"]);
  const tools = (await agent.client.listTools()).tools.map(({ name }) => name);
  for (const given of [{ source: "PRD.md", task_id: "A" }, { source: "PRD.md" }]) {
    for (const { name } of prompts) {
      const { messages } = await agent.client.getPrompt({ name, arguments: given as Record<string, string> });
      const [message] = messages;
      const text = message?.content.type === "text" ? message.content.text : "";
      const named = text.match(/\b(?:task|msg|agent)_[a-z]+\b/g)?.filter((word) => word !== "task_ids") ?? [];
      expect(named.length).toBeGreaterThan(0);
      for (const tool of named) expect(tools).toContain(tool);
    }
  }
  await expect(agent.client.getPrompt({ name: "plan" })).rejects.toThrow("source");
  await expect(agent.client.getPrompt({ name: "rest" })).rejects.toThrow("no prompt");
});

/** A server whose three streams are the test's. */
const serveRaw = (here: Fleet) =>
  Bun.spawn([binary(), "mcp", "serve"], {
    cwd: here.path,
    env: here.environment(),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });

test("lines that are no messages end nothing, and standard output carries the protocol alone", async () => {
  using here = await fleet();
  const lines = [
    "no JSON",
    '{"jsonrpc":"2.0"}',
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}',
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"status","arguments":"none"}}',
    '{"jsonrpc":"2.0","id":3,"method":"nonsense"}',
    '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"status"}}',
  ];
  const child = serveRaw(here);
  child.stdin.write(`${lines.join("\n")}\n`);
  await child.stdin.flush();
  let out = "";
  for await (const chunk of child.stdout) {
    out += new TextDecoder().decode(chunk);
    if (out.includes('"id":4')) break;
  }
  child.stdin.end();
  expect(await child.exited).toBe(0);
  const answers = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(answers.every(({ jsonrpc }) => jsonrpc === "2.0")).toBe(true);
  expect(answers.find(({ id }) => id === 4).result.structuredContent).toMatchObject({ initialized: true });
  for (const id of [2, 3]) expect(answers.find((answer) => answer.id === id)).toHaveProperty("error");
});

test("the server ends when a message is larger than any, and when nobody reads its answers: it does not stay, deaf", async () => {
  using here = await fleet();
  for (const [what, reason] of [
    ["large", "exceeded maximum size"],
    ["unread", ""],
  ] as const) {
    const child = serveRaw(here);
    try {
      if (what === "unread") await child.stdout.cancel();
      const ping = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${"x".repeat(what === "large" ? 17 << 20 : 1)}"}}\n`;
      // The other end may be gone before all of it is written.
      Promise.resolve(child.stdin.write(ping)).catch(() => {});
      Promise.resolve(child.stdin.flush()).catch(() => {});
      expect(await Promise.race([child.exited, Bun.sleep(20_000).then(() => "still there")])).toBe(0);
      expect(await new Response(child.stderr).text()).toContain(reason);
    } finally {
      child.kill("SIGKILL");
    }
  }
});

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("what init --mcp writes starts the server", async () => {
  using here = await fleet();
  await here.ok("init --mcp --no-agents-md");
  for (const [file, key] of [
    [".mcp.json", "mcpServers"],
    [".vscode/mcp.json", "servers"],
  ] as const) {
    const { command, args } = JSON.parse(readFileSync(join(here.path, file), "utf8"))[key].lodestar;
    expect(command).toBe("lodestar");
    await using agent = await stdioClient(here, {}, "legacy", args);
    expect(await agent.ok("status")).toMatchObject({ initialized: true });
  }
});
