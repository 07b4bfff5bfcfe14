/**
 * Measures whole calls of the compiled program against floors compiled with the same flags, side by side in one run:
 *
 *   bun run bench                    10, 1 000, 10 000 and 100 000 tasks
 *   bun run bench --tasks 10,1000    these sizes
 *   bun run bench --runs 30          so many counted pairs of each call
 *   bun run bench --only claim,done  the parts in whose names one of these words stands (also drain, writers, memory, peers)
 *   bun run bench --peers            also Backlog.md, which is installed from npm into a scratch folder
 *   bun run bench --agents 16        so many at once, in place of 64
 *   bun run bench --out DIR          results.json, results.md and plot.svg there, in place of docs/performance
 *
 * Writes what it found as data, as a page and as a plot; of some parts alone only where `--out` says. Nothing is
 * asserted, because machines differ and are noisy.
 */
import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, compile } from "../build.ts";
import { VERSION } from "../src/core/version.ts";
import { aboutNow } from "./bench/about.ts";
import { comparePeer, installBacklog, type Own, type Peer } from "./bench/backlog.ts";
import { CALLS, type Call } from "./bench/calls.ts";
import { type Drainable, drain, writers } from "./bench/drain.ts";
import { generatePlan, generateSpec, PRD } from "./bench/generate.ts";
import { inPairs, median, type Place, peakMemory, quartiles, type Ran, rounded, run } from "./bench/measure.ts";
import { plot } from "./bench/plot.ts";
import {
  type CallRow,
  type DrainRow,
  type Floor,
  FOLDER,
  type MemoryRow,
  type PeerRow,
  type Results,
  resultsPage,
  spaced,
  type WorkRow,
  type WritersRow,
} from "./bench/results.ts";
import { readRuntimeResults } from "./bench/runtime-results.ts";

/** A plan of so many is imported, and so many are worked off by all agents at once; fewer where all sizes are smaller. */
const IMPORTED = 10_000;
const DRAINED = 1000;
/** A drain ends after so long, whatever is left. */
const DRAIN_SECONDS = 180;
const WRITER_ROUNDS = 3;
/** Calls that take long are measured no more often than this. */
const FEW = 5;
/** What a spec may hold. */
const MOST_TASKS = 100_000;
/** Peers keep each task in a file of its own: beyond this they do not answer in any useful time. */
const PEER_TASKS = 10_000;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        tasks: { type: "string", default: "10,1000,10000,100000" },
        runs: { type: "string", default: "21" },
        only: { type: "string", default: "" },
        agents: { type: "string", default: "64" },
        out: { type: "string" },
        peers: { type: "boolean", default: false },
      },
    });
    const sizes = values.tasks.split(",").map(Number);
    const [runs, agents] = [Number(values.runs), Number(values.agents)];
    const bad = [...sizes, runs, agents].find((count) => !Number.isInteger(count) || count < 1);
    if (bad !== undefined) throw new Error("--tasks, --runs and --agents take whole numbers from 1 on.");
    return {
      sizes: sizes.sort((a, b) => a - b),
      runs,
      agents,
      out: values.out ?? (values.only === "" ? FOLDER : undefined),
      peers: values.peers,
      only: values.only,
    };
  } catch (cause) {
    console.error(cause instanceof Error ? cause.message : String(cause));
    process.exit(2);
  }
}

const { sizes, runs, agents, out, peers: wantsPeers, only } = options();
const words = only.split(",").filter((word) => word !== "");
const wanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
const largest = Math.max(...sizes);

const scratch = mkdtempSync(join(realpathSync(tmpdir()), "lodestar-bench-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
const lodestar = build();
const floor = (name: string) =>
  compile(join(import.meta.dir, "bench", "floors", `${name}.ts`), join(scratch, `floor-${name}`));
const FLOORS: Readonly<Record<Floor, string>> = {
  E: floor("empty"),
  Q: floor("query"),
  C: floor("commit"),
  W: floor("write"),
};

const env = { PATH: process.env.PATH ?? "", HOME: scratch };
let made = 0;

/** A fresh repository with this spec. */
function repository(spec: string): Place {
  const cwd = join(scratch, `repository-${made++}`);
  mkdirSync(join(cwd, ".lodestar"), { recursive: true });
  run(["git", "init", "-q", "-b", "main"], { cwd, env });
  writeFileSync(join(cwd, ".lodestar", "spec.yaml"), spec);
  writeFileSync(join(cwd, "PRD.md"), PRD);
  return { cwd, env };
}

const specOf = ({ cwd }: Place): string => join(cwd, ".lodestar", "spec.yaml");

/** Registers an agent; who calls from the place that is returned is this one. */
function as(agent: string, { cwd, env }: Place): Place {
  run([lodestar, "agent", "join", "--id", agent, "--json"], { cwd, env });
  return { cwd, env: { ...env, LODESTAR_AGENT: agent, LODESTAR_SESSION: agent } };
}

const listed = (place: Place, count: number): string[] =>
  (
    JSON.parse(run([lodestar, "task", "next", "-n", String(count), "--json"], place).stdout) as {
      data: { tasks: { id: string }[] };
    }
  ).data.tasks.map(({ id }) => id);

/** A database for the floors, and a file of the size of the spec. */
function floorArguments(spec: string): readonly string[] {
  const data = join(scratch, `floor-${made++}.sqlite`);
  const database = new Database(data, { create: true });
  database.run("pragma journal_mode = wal");
  database.run("create table t (text text)");
  database.close();
  const copy = `${data}.yaml`;
  writeFileSync(copy, spec);
  return [data, copy];
}

const found = {
  calls: [] as CallRow[],
  works: [] as WorkRow[],
  memory: [] as MemoryRow[],
  drains: [] as DrainRow[],
  writers: [] as WritersRow[],
  peers: [] as PeerRow[],
};

const tell = (name: string, ms: number, [low, high]: readonly [number, number], rest: string): void =>
  console.log(`  ${name.padEnd(28)} ${ms.toFixed(1).padStart(8)} ms  (${low} … ${high})  ${rest}`);

function measureCall(call: Call, tasks: number, place: Place, free: readonly string[], least: readonly string[]): void {
  let round = 0;
  const stage = () => ({
    call: (...args: readonly string[]) => void run([lodestar, ...args, "--json"], place),
    task: free[round % free.length] ?? "",
    round,
  });
  const [ours, floors] = inPairs(
    runs,
    () => {
      round += 1;
      const here = stage();
      call.before?.(here);
      const ran = run([lodestar, ...call.argv(here)], place);
      call.after?.(here);
      return ran;
    },
    () => run([FLOORS[call.floor], ...least], place),
  );
  const row: CallRow = {
    ...{ tasks, command: call.command, floor: call.floor, aim: call.aim[tasks > 10_000 ? 1 : 0] },
    ...{ median_ms: rounded(median(ours)), quartiles_ms: quartiles(ours), floor_ms: rounded(median(floors)) },
    ratio: rounded3(median(ours) / median(floors)),
    ratio_quartiles: quartiles(ours.map((ms, i) => ms / (floors[i] ?? Number.NaN))),
  };
  found.calls.push(row);
  const against = `${row.ratio.toFixed(2)} × ${row.floor}`;
  tell(row.command, row.median_ms, row.quartiles_ms, `${against} (${row.floor_ms} ms; aim ${row.aim})`);
}

const rounded3 = (value: number): number => Number(value.toFixed(2));

function work(name: string, tasks: number, times: readonly number[], aim?: number): void {
  const figures = { median_ms: rounded(median(times)), quartiles_ms: quartiles(times) };
  found.works.push({
    tasks,
    work: name,
    runs: times.length,
    ...figures,
    ...(aim === undefined ? {} : { aim_ms: aim }),
  });
  tell(name, figures.median_ms, figures.quartiles_ms, aim === undefined ? "" : `aim ${aim}`);
}

const AFTER_EDIT = "task next after an edit by hand";
const NO_INDEX = "task update without an index";
const IMPORT = "task import of that many";

/** The first call after an edit of one task by hand. */
function afterEdit(tasks: number, place: Place): void {
  const path = specOf(place);
  const times: number[] = [];
  for (let i = 0; i < Math.min(runs, FEW); i += 1) {
    const text = readFileSync(path, "utf8");
    const at = text.indexOf("    title: ", text.length >> 1);
    writeFileSync(path, `${text.slice(0, at)}    title: edited by hand ${i}${text.slice(text.indexOf("\n", at))}`);
    // Longer than the grain of the file system's clock: within it no reader may trust what it sees.
    Bun.sleepSync(80);
    times.push(run([lodestar, "task", "next", "--json"], place).ms);
    // A call that writes may keep what it read; the next edit begins from there.
    run([lodestar, "task", "update", "T-000000", "--priority", String(i + 7), "--json"], place);
  }
  work(AFTER_EDIT, tasks, times, tasks === 10_000 ? 250 : tasks === 100_000 ? 2500 : undefined);
}

/** The first call that needs the spec in a clone that has no index. */
function withoutIndex(tasks: number, place: Place): void {
  const times = Array.from({ length: Math.min(runs, FEW) }, (_, i) => {
    for (const suffix of ["", "-wal", "-shm"])
      rmSync(`${join(place.cwd, ".lodestar", "index.sqlite")}${suffix}`, { force: true });
    return run([lodestar, "task", "update", "T-000000", "--priority", String(i + 20), "--json"], place).ms;
  });
  work(NO_INDEX, tasks, times);
}

function importPlan(): void {
  const count = Math.min(IMPORTED, largest);
  const plan = join(scratch, "plan.json");
  writeFileSync(plan, JSON.stringify(generatePlan(count)));
  const times = Array.from({ length: Math.min(runs, FEW) }, () => {
    const place = repository("project:\n  name: bench\ntasks: {}\n");
    return run([lodestar, "task", "import", plan, "--json"], place).ms;
  });
  work(IMPORT, count, times, count === IMPORTED ? 1500 : undefined);
}

async function memoryOfNext(tasks: number, place: Place, least: readonly string[]): Promise<void> {
  if (process.platform !== "linux") return;
  const argv = [lodestar, "task", "next", "--json"];
  const ours: number[] = [];
  const floors: number[] = [];
  for (let i = 0; i < Math.min(runs, FEW); i += 1) {
    ours.push(await peakMemory(argv, place, scratch));
    floors.push(await peakMemory([FLOORS.Q, ...least], place, scratch));
  }
  const [megabytes, floor_megabytes] = [rounded(median(ours)), rounded(median(floors))];
  const ratio = rounded3(median(ours) / median(floors));
  found.memory.push({ tasks, command: "task next --json", megabytes, floor_megabytes, ratio, aim: 1.5 });
  console.log(`  ${"memory of task next".padEnd(28)} ${megabytes.toFixed(1).padStart(8)} MB  ${ratio.toFixed(2)} × Q`);
}

/** A repository with a flat list of tasks, and what an agent says there. */
function flat(count: number): Place {
  const place = repository("project:\n  name: bench\ntasks: {}\n");
  const plan = join(scratch, "flat.json");
  writeFileSync(plan, JSON.stringify(generatePlan(count)));
  run([lodestar, "task", "import", plan, "--json"], place);
  return place;
}

function ownDrain(count: number): Drainable {
  const place = flat(count);
  const places = Array.from({ length: agents }, (_, nth) => as(`A${nth}`, place));
  return {
    tool: `Lodestar ${VERSION}`,
    async take(worker, call) {
      const ended = await call("take", [lodestar, "task", "next", "--claim", "--json"], places[worker] ?? place);
      return ended.exit === 0 ? (JSON.parse(ended.stdout) as { data: { task_id?: string } }).data.task_id : undefined;
    },
    async finish(worker, task, call) {
      await call("finish", [lodestar, "task", "done", task, "--json"], places[worker] ?? place);
    },
    done: () => readFileSync(specOf(place), "utf8").split("\n    status: done\n").length - 1,
  };
}

async function atOnce(peer: Peer | undefined): Promise<void> {
  const count = Math.min(DRAINED, largest);
  console.log(`\n${agents} at once, ${spaced(count)} tasks`);
  const drainables = [() => ownDrain(count)];
  if (peer !== undefined) {
    drainables.push(() => {
      const folder = join(scratch, "peer-drain");
      mkdirSync(folder);
      return peer.project(folder, count);
    });
  }
  for (const make of drainables) {
    const row = await drain(count, agents, DRAIN_SECONDS, make());
    found.drains.push(row);
    const trouble = `${row.given_twice} given twice, ${row.failed} failed`;
    const took = `take: half within ${row.take?.p50_ms} ms, longest ${row.take?.longest_ms}`;
    console.log(`  ${row.tool}: ${row.done} done in ${row.seconds} s = ${row.done_per_second}/s, ${trouble}; ${took}`);
  }
}

/** All claim a task of their own at the same moment; beside it the floor, which shares the cores in the same way. */
async function allWrite(): Promise<void> {
  const place = flat(agents * WRITER_ROUNDS);
  const places = Array.from({ length: agents }, (_, nth) => as(`A${nth}`, place));
  const ids = listed(place, agents * WRITER_ROUNDS);
  const least = floorArguments("");
  const rows = [
    await writers("C, the floor", agents, WRITER_ROUNDS, () => ({ argv: [FLOORS.C, ...least], place })),
    await writers("task claim, each its own task", agents, WRITER_ROUNDS, (writer, round) => ({
      argv: [lodestar, "task", "claim", ids[round * agents + writer] ?? "", "--json"],
      place: places[writer] ?? place,
    })),
  ];
  found.writers.push(...rows);
  for (const row of rows) {
    const spread = `half within ${row.p50_ms} ms, 90 % ${row.p90_ms}, 99 % ${row.p99_ms}, longest ${row.longest_ms}`;
    console.log(`  ${row.what}: ${spread}; ${row.failed} failed`);
  }
}

function besidePeer(peer: Peer, tasks: number): void {
  const place = as("PEER", flat(tasks));
  const ids = listed(place, Math.min(tasks, runs));
  const task = (round: number) => ids[round % ids.length] ?? "";
  const call = (...args: readonly string[]): Ran => run([lodestar, ...args, "--json"], place);
  const own: Own = {
    next: () => call("task", "next"),
    claim: (round) => call("task", "claim", task(round)),
    done: (round) => call("task", "done", task(round)),
  };
  for (const row of comparePeer(peer, join(scratch, `peer-${tasks}`), tasks, runs, own)) {
    found.peers.push(row);
    const theirs = row.median_ms === undefined ? "no answer in time" : `${row.median_ms} ms`;
    console.log(`  ${row.tool}: ${row.command} ${theirs}, Lodestar ${row.lodestar_ms} ms`);
  }
}

async function measure(tasks: number, peer: Peer | undefined): Promise<void> {
  // A spec has so many tasks at most: there is room for those that are created here.
  const spec = generateSpec(Math.min(tasks, MOST_TASKS - runs - 2));
  const place = as("BENCH", repository(spec));
  console.log(`\n${spaced(tasks)} tasks, ${(statSync(specOf(place)).size / 1e6).toFixed(2)} MB`);
  const least = floorArguments(spec);
  const free = listed(place, 20);
  for (const call of CALLS) if (wanted(call.command)) measureCall(call, tasks, place, free, least);
  if (wanted("memory")) await memoryOfNext(tasks, place, least);
  if (wanted(AFTER_EDIT)) afterEdit(tasks, place);
  if (wanted(NO_INDEX)) withoutIndex(tasks, place);
  rmSync(place.cwd, { recursive: true, force: true });
  if (peer !== undefined && tasks <= PEER_TASKS && wanted("peers")) besidePeer(peer, tasks);
}

const about = { ...aboutNow(), runs };
console.log(
  `${about.machine.processor}, ${about.machine.cores} cores, ${about.machine.kernel}, Bun ${Bun.version}, load ${about.load}; ${runs} pairs of each, in turn`,
);

const installed = wantsPeers ? installBacklog(scratch) : undefined;
if (typeof installed === "string") console.log(`Without peers: ${installed}.`);
const peer = typeof installed === "string" ? undefined : installed;
for (const size of sizes) await measure(size, peer);
if (wanted(IMPORT)) importPlan();
if (wanted("drain")) await atOnce(peer);
if (wanted("writers")) await allWrite();

const results: Results = { ...about, ...found };
if (out === undefined) process.exit();
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
writeFileSync(join(out, "results.md"), resultsPage(results, readRuntimeResults(out) !== undefined));
writeFileSync(join(out, "plot.svg"), plot(results));
console.log(`\nWritten: ${out}`);
