/** Other tools that do the same work, measured in turn with Lodestar. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Caller, Drainable } from "./drain.ts";
import { median, type Place, quartiles, type Ran, rounded, run } from "./measure.ts";
import type { PeerRow } from "./results.ts";

/** Who goes on after so long does not count as an answer. */
const LIMIT_MS = 60_000;
/** So long for all runs of one call; three runs there are in any case. */
const PATIENCE_MS = 45_000;

const BACKLOG = { package: "backlog.md", version: "1.52.0" };

/** A tool and its words for what Lodestar's calls do. */
export interface Peer {
  readonly name: string;
  /** A repository with so many tasks that can be taken. */
  project(folder: string, tasks: number): PeerProject;
}

export interface PeerProject extends Drainable {
  readonly place: Place;
  readonly next: () => readonly string[];
  readonly claim: (task: number) => readonly string[];
  readonly done: () => number;
  readonly finished: (task: number) => readonly string[];
}

/**
 * Installs Backlog.md, in the pinned version, into a folder of its own.
 *
 * @returns why not, where it cannot be had.
 */
export function installBacklog(scratch: string): Peer | string {
  const folder = join(scratch, "peers");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), "{}");
  const wanted = `${BACKLOG.package}@${BACKLOG.version}`;
  // This Bun is a client of npm's registry; an install takes the program for this platform only.
  const add = Bun.spawnSync([process.execPath, "add", "--exact", "--ignore-scripts", wanted], {
    cwd: folder,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 180_000,
  });
  if (add.exitCode !== 0) return `${wanted} cannot be installed: ${add.stderr.toString().trim().split("\n").at(-1)}`;
  // The program itself, not the script in front of it, which would start a second one.
  const modules = join(folder, "node_modules");
  const [program] = readdirSync(modules)
    .filter((name) => name.startsWith(`${BACKLOG.package}-`))
    .flatMap((name) => readdirSync(join(modules, name)).map((file) => join(modules, name, file)))
    .filter((path) => /\/backlog(\.exe)?$/.test(path));
  if (program === undefined) return `${wanted} has no program for this platform`;
  return { name: `Backlog.md ${BACKLOG.version}`, project: (at, tasks) => backlogProject(program, at, tasks) };
}

function backlogProject(program: string, folder: string, tasks: number): PeerProject {
  const place: Place = { cwd: folder, env: { PATH: process.env.PATH ?? "", HOME: folder, NO_COLOR: "1" } };
  run(["git", "init", "-q", "-b", "main"], place);
  run([program, "init", "shop", "--defaults", "--integration-mode", "none"], place);
  run([program, "config", "set", "remoteOperations", "false"], place);
  run(
    [program, "task", "create", "Task number 1", "-d", "A form with two fields. ".repeat(8).trim(), "--plain"],
    place,
  );
  // The rest as it wrote the first: making them one call after the other would take hours.
  const files = join(folder, "backlog", "tasks");
  const [first = ""] = readdirSync(files);
  const text = readFileSync(join(files, first), "utf8");
  for (let nth = 2; nth <= tasks; nth += 1) {
    const name = first.replace("task-1 ", `task-${nth} `).replace("number-1", `number-${nth}`);
    writeFileSync(
      join(files, name),
      text.replace("id: TASK-1\n", `id: TASK-${nth}\n`).replace("number 1\n", `number ${nth}\n`),
    );
  }
  const next = () => [program, "task", "list", "-s", "To Do", "--plain"];
  const claim = (task: number, who = "@me") => [
    ...[program, "task", "edit", String(task), "-s", "In Progress", "-a", who, "--plain"],
  ];
  const finished = (task: number) => [program, "task", "edit", String(task), "-s", "Done", "--plain"];
  const doneFiles = () =>
    readdirSync(files).filter((name) => /^status: Done$/m.test(readFileSync(join(files, name), "utf8"))).length;
  return {
    ...{ tool: `Backlog.md ${BACKLOG.version}`, place, next, claim, finished, done: doneFiles },
    async take(worker: number, call: Caller) {
      const listed = await call("take", next(), place);
      const free = [...listed.stdout.matchAll(/\bTASK-(\d+)\b/g)].map(([, id = ""]) => Number(id));
      // Any of them: if all took the first, which is what its guide tells an agent, most would work on the same.
      const task = free[Math.floor(Math.random() * free.length)];
      if (task === undefined) return undefined;
      await call("take", claim(task, `@a${worker}`), place);
      return String(task);
    },
    async finish(_worker: number, task: string, call: Caller) {
      await call("finish", finished(Number(task)), place);
    },
  };
}

/** Lodestar's side of a comparison: what it does for the same three questions. */
export interface Own {
  readonly next: () => Ran;
  readonly claim: (round: number) => Ran;
  readonly done: (round: number) => Ran;
}

/** Measures the peer's next, claim and done in turn with Lodestar's. */
export function comparePeer(peer: Peer, folder: string, tasks: number, runs: number, own: Own): PeerRow[] {
  mkdirSync(folder);
  const project = peer.project(folder, tasks);
  const measured = [
    ["asking what is next", () => project.next(), own.next],
    ["taking a task", (round: number) => project.claim(1 + (round % tasks)), own.claim],
    ["done", (round: number) => project.finished(1 + (round % tasks)), own.done],
  ] as const;
  return measured.map(([command, argv, mine]): PeerRow => {
    const theirs: number[] = [];
    const ours: number[] = [];
    const name = { tasks, command, tool: peer.name };
    let spent = 0;
    for (let round = 0; round < runs && (round < 3 || spent < PATIENCE_MS); round += 1) {
      ours.push(mine(round).ms);
      try {
        theirs.push(run(argv(round), project.place, LIMIT_MS).ms);
      } catch (cause) {
        if (!(cause instanceof Error && cause.message.endsWith("too slow"))) throw cause;
        return { ...name, runs: round, lodestar_ms: rounded(median(ours)) };
      }
      spent += theirs.at(-1) ?? 0;
    }
    const figures = { median_ms: rounded(median(theirs)), quartiles_ms: quartiles(theirs) };
    return { ...name, runs: theirs.length, ...figures, lodestar_ms: rounded(median(ours)) };
  });
}
