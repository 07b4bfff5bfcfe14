/**
 * The few figures of README.md, measured on this machine: how many of 16 processes are told that they got one task, how many of 80
 * tasks created at the same moment are still there, how long asking for the next task takes, and what an agent reads for one task.
 *
 *   bun run compare                                        Lodestar
 *   bun run compare --backlog PROGRAM --taskmaster PROGRAM the same with Backlog.md and Task Master, where they are installed
 *
 * The others have no claim: what their own guides tell an agent to do instead (set the status, and the assignee where there is one) is
 * what is raced. `--rounds N` and `--creates N` for slow machines.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { build, compile } from "../build.ts";

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const CLAIMANTS = 16;
const CREATES = Number(option("creates") ?? 80);
const ROUNDS = Number(option("rounds") ?? 10);
const CALLS = Number(option("calls") ?? 21);
/** So many tasks wait to be done while one is taken. */
const TASKS = 20;
const DESCRIPTION = "A form with two fields. ".repeat(8).trim();

interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
}

/** A tool, and its words for what is measured. */
interface Tool {
  readonly name: string;
  readonly program: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What differs from the others. */
  readonly note?: string;
  /** Makes a project with so many tasks in a Git repository. @returns the id of one. */
  prepare(here: Place, tasks: number): Promise<string>;
  /** The nth process takes the task; true when it is told that it has it. */
  claim(here: Place, task: string, nth: number): Promise<boolean>;
  /** The nth process makes a task; true when it is told that it is made. */
  create(here: Place, nth: number): Promise<boolean>;
  /** How many of the tasks that were made have an id of their own. */
  kept(folder: string): number;
  readonly next: readonly string[];
  /** The calls of an agent that does one task. */
  loop(here: Place): Promise<readonly Ran[]>;
}

interface Place {
  readonly folder: string;
  run(...args: readonly string[]): Promise<Ran>;
}

function place(folder: string, { program, env = {} }: Tool): Place {
  return {
    folder,
    async run(...args) {
      const child = Bun.spawn([program, ...args], {
        cwd: folder,
        env: { PATH: process.env.PATH ?? "", HOME: folder, NO_COLOR: "1", ...env },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "ignore",
      });
      const stdout = await new Response(child.stdout).text();
      return { ok: (await child.exited) === 0, stdout };
    },
  };
}

const idsIn = (folder: string, id: RegExp, title: RegExp): number => {
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
  return new Set(texts.filter((text) => title.test(text)).map((text) => id.exec(text)?.[1])).size;
};

const lodestar: Tool = {
  name: "Lodestar",
  program: build(),
  async prepare({ run, folder }, count) {
    await run("init");
    const tasks = Array.from({ length: count }, (_, i) => ({
      id: `T-${i}`,
      title: "Log in",
      description: DESCRIPTION,
    }));
    writeFileSync(join(folder, "plan.json"), JSON.stringify(tasks));
    await run("task", "import", "plan.json");
    for (let nth = 0; nth < CLAIMANTS; nth += 1) await run("agent", "join", "--id", `A${nth}`);
    return "T-0";
  },
  claim: async ({ run }, task, nth) => (await run("task", "claim", task, "--agent", `A${nth}`, "--json")).ok,
  create: async ({ run }, nth) => (await run("task", "create", "--title", `Made ${nth}`, "--json")).ok,
  kept: (folder) => {
    const { tasks } = Bun.YAML.parse(readFileSync(join(folder, ".lodestar", "spec.yaml"), "utf8")) as {
      tasks: Record<string, { title: string }>;
    };
    return Object.values(tasks).filter(({ title }) => title.startsWith("Made ")).length;
  },
  next: ["task", "next", "--json"],
  async loop({ run }) {
    const joined = await run("agent", "join", "--name", "Ada", "--json");
    const agent = ["--agent", JSON.parse(joined.stdout).data.agent_id as string, "--json"];
    const taken = await run("task", "next", "--claim", ...agent);
    const id = JSON.parse(taken.stdout).data.task_id as string;
    return [joined, taken, await run("task", "done", id, ...agent), await run("task", "verify", id, ...agent)];
  },
};

const backlog: Tool = {
  name: "Backlog.md",
  program: option("backlog") ?? "",
  note: '`task edit ID -s "In Progress" -a @me` for a claim, `task list -s "To Do"` for next',
  async prepare({ run }, count) {
    await run("init", "shop", "--defaults", "--integration-mode", "none");
    await run("config", "set", "remoteOperations", "false");
    for (let i = 0; i < count; i += 1) await run("task", "create", "Log in", "-d", DESCRIPTION);
    return "1";
  },
  async claim({ run }, task, nth) {
    const { ok, stdout } = await run("task", "edit", task, "-s", "In Progress", "-a", `@a${nth}`, "--plain");
    return ok && stdout.includes(`@a${nth}`);
  },
  create: async ({ run }, nth) => (await run("task", "create", `Made ${nth}`, "--plain")).ok,
  kept: (folder) => idsIn(join(folder, "backlog", "tasks"), /^id: (.+)$/m, /^title: .*Made /m),
  next: ["task", "list", "-s", "To Do", "--plain"],
  loop: async ({ run }) => [
    await run("task", "list", "-s", "To Do", "--plain"),
    await run("task", "edit", "1", "-s", "In Progress", "-a", "@me", "--plain"),
    await run("task", "edit", "1", "-s", "Done", "--plain"),
  ],
};

const taskmaster: Tool = {
  name: "Task Master",
  program: option("taskmaster") ?? "",
  env: { TASKMASTER_ANONYMOUS_TELEMETRY: "false" },
  note: "`set-status` to in-progress for a claim",
  async prepare({ folder }, count) {
    const tasks = Array.from({ length: count }, (_, i) => ({
      ...{ id: i + 1, title: "Log in", description: DESCRIPTION, status: "pending", priority: "high" },
      ...{ dependencies: [], details: "", testStrategy: "", subtasks: [] },
    }));
    mkdirSync(join(folder, ".taskmaster", "tasks"), { recursive: true });
    writeFileSync(
      join(folder, ".taskmaster", "tasks", "tasks.json"),
      JSON.stringify({ master: { tasks, metadata: {} } }),
    );
    return "1";
  },
  claim: async ({ run }, task) => (await run("set-status", `--id=${task}`, "--status=in-progress")).ok,
  create: async ({ run }, nth) => (await run("add-task", "--title", `Made ${nth}`, "--description", "x")).ok,
  kept: (folder) => {
    const text = readFileSync(join(folder, ".taskmaster", "tasks", "tasks.json"), "utf8");
    const { master } = JSON.parse(text) as { master: { tasks: { id: number; title: string }[] } };
    return new Set(master.tasks.filter(({ title }) => title.startsWith("Made ")).map(({ id }) => id)).size;
  },
  next: ["next", "--format", "json"],
  loop: async ({ run }) => [
    await run("next", "--format", "json"),
    await run("set-status", "--id=1", "--status=in-progress"),
    await run("set-status", "--id=1", "--status=done"),
  ],
};

const scratch = mkdtempSync(join(tmpdir(), "lodestar-compare-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
let made = 0;

async function project(tool: Tool, tasks = 1): Promise<Place & { readonly task: string }> {
  const folder = join(scratch, String(made++));
  mkdirSync(folder);
  Bun.spawnSync(["git", "init", "-q", "-b", "main"], { cwd: folder });
  const here = place(folder, tool);
  return { ...here, task: await tool.prepare(here, tasks) };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const together = <T>(count: number, make: (nth: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, nth) => make(nth)));

async function timed(make: () => Promise<unknown>): Promise<number> {
  const started = Bun.nanoseconds();
  await make();
  return (Bun.nanoseconds() - started) / 1e6;
}

/** The figures of one tool, as the cells of a column. */
async function measure(tool: Tool): Promise<string[]> {
  const winners: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const here = await project(tool);
    winners.push((await together(CLAIMANTS, (nth) => tool.claim(here, here.task, nth))).filter(Boolean).length);
  }
  const here = await project(tool);
  const told = (await together(CREATES, (nth) => tool.create(here, nth))).filter(Boolean).length;
  const kept = tool.kept(here.folder);
  const quiet = await project(tool, TASKS);
  const next: number[] = [];
  const empty: number[] = [];
  for (let call = 0; call < CALLS; call += 1) {
    next.push(await timed(() => quiet.run(...tool.next)));
    empty.push(await timed(() => nothing.run()));
  }
  const calls = await tool.loop(quiet);
  if (calls.some(({ ok }) => !ok)) throw new Error(`${tool.name}: a call of the loop failed.`);
  const bytes = calls.reduce((sum, { stdout }) => sum + Buffer.byteLength(stdout), 0);
  const [fewest, most] = [Math.min(...winners), Math.max(...winners)];
  return [
    tool.name,
    fewest === most ? String(fewest) : `${fewest} to ${most}`,
    told === CREATES ? String(kept) : `${kept}, ${told} acknowledged`,
    `${median(next).toFixed(0)} ms = ${(median(next) / median(empty)).toFixed(1)} x`,
    `${bytes} in ${calls.length} calls`,
  ];
}

const floor = compile(join(import.meta.dir, "bench", "floors", "empty.ts"), join(scratch, "empty"));
const nothing = place(scratch, { ...lodestar, program: floor });
const tools = [lodestar, backlog, taskmaster].filter(({ program }) => program !== "");
const heads = [
  "",
  `told that they have it, of ${CLAIMANTS} (${ROUNDS} rounds)`,
  `kept of ${CREATES} created at once`,
  "asking for the next task (x an empty program)",
  `bytes that an agent reads for one task of ${TASKS}`,
];
const columns = [heads];
for (const tool of tools) columns.push(await measure(tool));
console.log(`${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Bun ${Bun.version}`);
for (const [row] of heads.entries()) {
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length)));
  console.log(
    columns
      .map((cells, column) => (cells[row] ?? "").padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
for (const { name, note } of tools) if (note !== undefined) console.log(`${name}: ${note}`);
