/**
 * What agents pay in bytes for a list of tools, a list of tasks and one task's loop, here and with two peers from npm, pinned, in a
 * scratch folder; each through MCP, by the official client:
 *
 *   bun scripts/bench/peers.ts                 installs and removes them
 *   bun scripts/bench/peers.ts --scratch DIR   keeps what is installed
 *
 * A call's bytes are the JSON of its arguments and of its answer. A task has the same title, description of 192 characters and two criteria.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { build } from "../../build.ts";

const PINS = { backlog: "backlog.md@1.52.0", taskmaster: "task-master-ai@0.43.1" };
const MANY = 1000;
const TASK = {
  title: "Log in",
  description: "A form with two fields. ".repeat(8).trim(),
  criteria: ["Wrong passwords are refused", "Ten tries a minute at the most"],
};

const at = process.argv.indexOf("--scratch");
const kept = at < 0 ? undefined : process.argv[at + 1];
const scratch = kept ?? mkdtempSync(join(tmpdir(), "peers-"));
const env = (more: Record<string, string> = {}) => ({ PATH: process.env.PATH ?? "", HOME: scratch, ...more });

function install(name: keyof typeof PINS): string {
  const folder = join(scratch, name);
  const bins = join(folder, "node_modules", ".bin");
  if (!existsSync(bins)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"private":true}');
    const ran = Bun.spawnSync(["npm", "install", "--no-audit", "--no-fund", PINS[name]], { cwd: folder });
    if (ran.exitCode !== 0) throw new Error(`npm install ${PINS[name]}: ${ran.stderr}`);
  }
  return bins;
}

function repository(...setUp: readonly (readonly string[])[]): string {
  const path = mkdtempSync(join(scratch, "repo-"));
  for (const argv of [["git", "init", "-q"], ...setUp])
    Bun.spawnSync([...argv], { cwd: path, env: env(), stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  return path;
}

async function connect(cwd: string, command: string, args: readonly string[], more: Record<string, string> = {}) {
  const client = new Client({ name: "peers", version: "1" }, { capabilities: {} });
  const transport = new StdioClientTransport({ command, args: [...args], cwd, env: env(more), stderr: "ignore" });
  await client.connect(transport, { timeout: 120_000 });
  let calls = 0;
  let bytes = 0;
  return {
    client,
    tools: async (): Promise<string> => {
      const { tools } = await client.listTools();
      return `${tools.length} tools, ${Buffer.byteLength(JSON.stringify({ tools }))}`;
    },
    // biome-ignore lint/suspicious/noExplicitAny: whatever the peer answers.
    call: async (name: string, given: Record<string, unknown>): Promise<any> => {
      const answer = await client.callTool({ name, arguments: given }, { timeout: 120_000 });
      if (answer.isError === true) throw new Error(`${name}: ${JSON.stringify(answer.content)}`);
      calls += 1;
      bytes += Buffer.byteLength(JSON.stringify(given)) + Buffer.byteLength(JSON.stringify(answer.content));
      return answer.structuredContent;
    },
    /** Since the last time. */
    spent: (): string => {
      const said = `${calls} calls, ${bytes}`;
      calls = 0;
      bytes = 0;
      return said;
    },
  };
}

async function lodestar(): Promise<string[]> {
  const program = build();
  const path = repository([program, "init", "--no-agents-md"]);
  const { client, tools, call, spent } = await connect(path, program, ["mcp", "serve"]);
  const list = await tools();
  const { title, description, criteria } = TASK;
  await call("task_import", { tasks: [{ id: "AUTH-1", title, description, acceptance_criteria: criteria }] });
  spent();
  await call("agent_join", {});
  const { task_id } = await call("task_next", { claim: true });
  await call("task_done", { task_id, verify: true });
  const loop = spent();
  const many = Array.from({ length: MANY }, (_, i) => ({ id: `TASK-${i + 2}`, title: `Number ${i + 2}` }));
  await call("task_import", { tasks: many });
  spent();
  await call("task_list", { status: "ready" });
  const listed = spent();
  await client.close();
  return [list, loop, listed];
}

async function backlog(): Promise<string[]> {
  const program = join(install("backlog"), "backlog");
  const path = repository([program, "init", "shop", "--defaults", "--integration-mode", "none"]);
  const { client, tools, call, spent } = await connect(path, program, ["mcp", "start"]);
  const list = await tools();
  await call("task_create", { title: TASK.title, description: TASK.description, acceptanceCriteria: TASK.criteria });
  const folder = join(path, "backlog", "tasks");
  const [file = ""] = readdirSync(folder);
  const text = readFileSync(join(folder, file), "utf8");
  const [, id = ""] = /^id: *['"]?([A-Za-z]+-\d+)/m.exec(text) ?? [];
  spent();
  await call("task_list", { status: "To Do" });
  await call("task_view", { id });
  await call("task_edit", { id, status: "In Progress", assignee: ["@ada"] });
  await call("task_edit", { id, status: "Done" });
  const loop = spent();
  for (let i = 2; i < MANY + 2; i += 1) {
    const number = text.replace(id, id.replace(/\d+/, String(i))).replace(/^title: .*/m, `title: Number ${i}`);
    writeFileSync(join(folder, file.replace(/\d+/, String(i)).replace(/Log-in/i, `Number-${i}`)), number);
  }
  await call("task_list", { status: "To Do", limit: MANY });
  const listed = spent();
  await client.close();
  return [list, loop, listed];
}

async function taskmaster(which: string): Promise<string[]> {
  const bins = install("taskmaster");
  const path = repository();
  const { client, tools } = await connect(path, join(bins, "task-master-mcp"), [], { TASK_MASTER_TOOLS: which });
  const list = await tools();
  await client.close();
  return [list, "–", "–"];
}

const rows: readonly (readonly [string, () => Promise<string[]>])[] = [
  ["Lodestar", lodestar],
  [PINS.backlog, backlog],
  [`${PINS.taskmaster}, all tools`, () => taskmaster("all")],
  [`${PINS.taskmaster}, its core tools`, () => taskmaster("core")],
];
console.log(`| | tools/list | one task's loop | ${MANY} open tasks listed |\n| --- | --- | --- | --- |`);
for (const [name, measure] of rows) {
  const figures = await measure().catch((cause: Error) => [`failed: ${cause.message.slice(0, 200)}`, "", ""]);
  console.log(`| ${[name, ...figures].join(" | ")} |`);
}
if (kept === undefined) rmSync(scratch, { recursive: true, force: true });
process.exit(0);
