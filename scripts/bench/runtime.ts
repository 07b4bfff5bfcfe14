/**
 * Measures how many claims a runtime grants, by how many agents that do nothing else:
 *
 *   bun run bench:runtime                          1 to 256 agents, 3 s each, with a PostgreSQL server of its own
 *   bun run bench:runtime --agents 1,16,256 --seconds 10
 *   bun run bench:runtime --url postgres://…       a server that is there; makes a project and a table "bare" in it
 *
 * Three stores side by side: a SQLite file, the PostgreSQL runtime, and the bare upsert of one row on the same server, which is the limit
 * of any runtime there. Agents claim one of the tasks that are free and give it back, without a pause, in up to 16 processes; the time
 * of a grant is what its agent waited. "12!": so many calls waited as long as a call may, and were told to try again. Nothing is asserted,
 * because machines differ; compare within a row.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, whyNoPostgres } from "../../test/support/postgres.ts";
import type { Part, Took } from "./runtime-agents.ts";

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const AGENTS = (option("agents") ?? "1,2,4,8,16,32,64,128,256").split(",").map(Number);
const SECONDS = Number(option("seconds") ?? 3);
const PROCESSES = 16;

interface Figures {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Calls that waited as long as a call may, and were told to try again. */
  readonly refused: number;
}

async function measure(agents: number, rest: Omit<Part, "agents" | "tasks" | "seconds">): Promise<Figures> {
  const processes = Math.min(agents, PROCESSES);
  const bounds = Array.from({ length: processes + 1 }, (_, nth) => Math.round((nth * agents) / processes));
  const children = bounds.slice(1).map((to, nth) => {
    const part: Part = { ...rest, agents: [bounds[nth] ?? 0, to], tasks: agents * 4, seconds: SECONDS };
    const argv = [process.execPath, join(import.meta.dir, "runtime-agents.ts"), JSON.stringify(part)];
    return Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  });
  const outputs = children.map((child) => lines(child.stdout));
  for (const output of outputs) await output.next();
  for (const child of children) {
    child.stdin.write("go\n");
    await child.stdin.end();
  }
  const took: number[] = [];
  let refused = 0;
  for (const output of outputs) {
    const answer = JSON.parse((await output.next()).value ?? "") as Took;
    took.push(...answer.took);
    refused += answer.refused;
  }
  await Promise.all(children.map((child) => child.exited));
  took.sort((a, b) => a - b);
  const at = (share: number) => (took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN) / 1000;
  return { perSecond: took.length / SECONDS, p50: at(0.5), p99: at(0.99), refused };
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
  return undefined;
}

const shown = ({ perSecond, p50, p99, refused }: Figures) =>
  `${perSecond.toFixed(0).padStart(7)}/s ${p50.toFixed(1).padStart(7)} ${p99.toFixed(1).padStart(8)}${refused === 0 ? "" : `, ${refused}!`}`;

const named = option("url");
const reason = named === undefined ? whyNoPostgres() : undefined;
if (reason !== undefined) throw new Error(reason);
const scratch = mkdtempSync(join(tmpdir(), "lodestar-bench-"));
const cluster = named === undefined ? await Cluster.start({ durable: true }) : undefined;
const url = named ?? cluster?.url() ?? "";
try {
  console.log("claims a second; milliseconds of a grant, median and 99 of 100");
  console.log(
    `${"agents".padEnd(8)}${["SQLite", "PostgreSQL", "bare upsert"].map((name) => name.padEnd(30)).join("")}`,
  );
  for (const agents of AGENTS) {
    const project_id = `bench-${Date.now()}`;
    const client = new Bun.SQL(url, { max: 1, prepare: false });
    await client.unsafe(
      "create table if not exists bare (task integer primary key, agent integer, expires_at timestamptz)",
    );
    await client.unsafe("truncate bare");
    await client.close();
    const figures = [
      await measure(agents, { kind: "sqlite", where: join(scratch, `${agents}.sqlite`), project_id }),
      await measure(agents, { kind: "postgres", where: url, project_id }),
      await measure(agents, { kind: "bare", where: url, project_id }),
    ];
    console.log(`${String(agents).padEnd(8)}${figures.map((each) => shown(each).padEnd(30)).join("")}`);
  }
} finally {
  await cluster?.stop();
  rmSync(scratch, { recursive: true, force: true });
}
