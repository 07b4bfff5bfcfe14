/** What the tools are made of: the registry, and nothing else. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import Ajv from "ajv";
import { execute } from "../../src/commands/execute.ts";
import { callOf, toolsOf } from "../../src/commands/mcp/toolbox.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { openContext } from "../../src/wire.ts";
import { fleet } from "../support/fleet.ts";
import { stdioClient } from "../support/mcp.ts";

const tools = await toolsOf(REGISTRY);

test("there are at most 14, and what a client gets for tools/list stays under 8 KB", async () => {
  using here = await fleet();
  await using agent = await stdioClient(here);
  const listed = await agent.client.listTools();
  const size = Buffer.byteLength(JSON.stringify({ tools: listed.tools }));
  expect(listed.tools.length).toBeLessThanOrEqual(14);
  expect(size).toBeLessThan(8192);
  expect(await here.ok("mcp tools")).toMatchObject({ count: listed.tools.length, bytes: size });
  for (const tool of listed.tools) {
    expect(tool.name).toMatch(/^[a-z]+(_[a-z]+)?$/);
    expect(tool.outputSchema).toBeUndefined();
  }
});

test.each(tools.map((tool) => [tool.name, tool] as const))(
  "%s: its schema is one, and offers only fields that a command of it has",
  (_name, { listing, commands }) => {
    const ajv = new Ajv({ strict: false });
    expect(ajv.validateSchema(listing.inputSchema)).toBe(true);
    expect(listing.inputSchema.additionalProperties).toBe(false);
    const known = commands.flatMap(({ input }) => Object.keys(input.properties));
    const of_tools = ["do", "fields"];
    for (const name of Object.keys(listing.inputSchema.properties))
      if (!of_tools.includes(name)) expect(known).toContain(name);
    for (const name of listing.inputSchema.required ?? [])
      for (const { input } of commands) expect(input.required).toContain(name);
    const isReading = commands.every(({ effect }) => effect === "read");
    expect(listing.annotations?.readOnlyHint === true).toBe(isReading);
    const isGentle = !isReading && !commands.some(({ destructive }) => destructive);
    expect(listing.annotations?.destructiveHint === false).toBe(isGentle);
    expect(listing.annotations?.openWorldHint === false).toBe(isGentle);
    expect(() => callOf({ name: "", commands, listing }, { of_no_command: 1 })).toThrow("not known");
    for (const command of commands) {
      for (const name of [...command.files, ...command.hidden, ...command.tool_omits])
        expect(() => callOf({ name: "", commands: [command], listing }, { [name]: "x" })).toThrow("not known");
      for (const name of [...command.tool_omits, ...command.tool_bare, ...command.files])
        expect([...Object.keys(command.input.properties), "fields"]).toContain(name);
    }
  },
);

test("a person need not be asked about a task's loop, but about what overwrites or deletes", () => {
  const gentle = tools.filter(({ listing }) => listing.annotations?.destructiveHint === false).map(({ name }) => name);
  expect(gentle.sort()).toEqual(
    [
      "agent_join",
      "msg_inbox",
      "msg_send",
      "task_claim",
      "task_done",
      "task_next",
      "task_release",
      "task_verify",
    ].sort(),
  );
});

describe("a call that nobody wants any more", () => {
  test.each([
    ["task.claim", { task_ids: ["A", "B"] }],
    ["task.next", { claim: true }],
    ["task.next", { claim: true, wait: "1m" }],
  ] as const)("%s gives back what it was granted in that moment", async (name, input) => {
    using here = await fleet();
    here.tasks(["A", "B"]);
    await here.join("ALICE");
    const command = (await REGISTRY[name]?.())?.default;
    if (command === undefined) throw new Error(`There is no ${name}.`);
    const open = (signal: AbortSignal) =>
      openContext({ cwd: here.path, env: {}, agent: "ALICE", interactive: false, signal });
    const context = await open(AbortSignal.abort());
    expect(await execute(command, { ...input }, context)).toMatchObject({ ok: false, error: { code: "TIMEOUT" } });
    context.close();
    expect((await here.ok("status")).leases).toBeUndefined();
    // The same call, wanted, is granted; and what it renews is not given back when that call is unwanted.
    const wanted = await open(new AbortController().signal);
    expect(await execute(command, { ...input }, wanted)).toMatchObject({ ok: true });
    wanted.close();
    const again = await open(AbortSignal.abort());
    await execute(command, { ...input }, again);
    again.close();
    expect((await here.ok("status")).leases).toHaveLength(name === "task.claim" ? 2 : 1);
  });
});

describe("start-up", () => {
  const SRC = join(import.meta.dir, "..", "..", "src");
  const scanner = new Bun.Transpiler({ loader: "ts" });
  /** Every file and package that these load at once, directly or through others. */
  function loadedBy(...entries: readonly string[]): string[] {
    const seen = new Set<string>();
    const queue = entries.map((entry) => join(SRC, entry));
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      if (!path.endsWith(".ts")) continue;
      for (const { kind, path: from } of scanner.scanImports(readFileSync(path, "utf8")))
        if (kind === "import-statement") queue.push(from.startsWith(".") ? join(dirname(path), from) : from);
    }
    return [...seen].map((path) => (path.startsWith("/") ? relative(SRC, path) : path));
  }
  const isOfMcp = (path: string) => /(^|\/)mcp\/|modelcontextprotocol|^zod|serving/.test(path);

  test.each(["task/next.ts", "task/claim.ts", "task/done.ts", "repo/status.ts"])(
    "commands/%s, and what the command line needs for it, load nothing of MCP",
    (file) => {
      const start = ["main.ts", "cli/run.ts", "commands/registry.ts", "wire.ts"];
      expect(loadedBy(...start, `commands/${file}`).filter(isOfMcp)).toEqual([]);
    },
  );

  test("the test would see it", () => {
    expect(loadedBy("mcp/server.ts")).toContain("@modelcontextprotocol/server");
  });
});
