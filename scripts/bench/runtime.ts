/**
 * Measures how many claims a runtime grants, by how many agents that do nothing else:
 *
 *   bun run bench:runtime                          1 to 256 agents, 3 s each, with a PostgreSQL server of its own
 *   bun run bench:runtime --agents 1,16,256 --seconds 10
 *   bun run bench:runtime --out DIR                runtime.json and runtime.md there, in place of docs/performance
 *   bun run bench:runtime --url postgres://…       a server that is there; makes a project and a table "bare" in it
 *
 * Three stores side by side: a SQLite file, the PostgreSQL runtime, and the bare upsert of one row on the same server, which is the limit
 * of any runtime there. Agents claim one of the tasks that are free and give it back, without a pause, in up to 16 processes; the time
 * of a grant is what its agent waited. Writes what it found as data and as a page, all of it or, of some numbers of agents, only where
 * `--out` says; `bun run docs` then links the page. Nothing is asserted, because machines differ.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Cluster, whyNoPostgres } from "../../test/support/postgres.ts";
import { aboutNow } from "./about.ts";
import { FOLDER } from "./results.ts";
import type { Part, Took } from "./runtime-agents.ts";
import { type GrantsRow, grantsTable, type RuntimeResults, runtimePage } from "./runtime-results.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string" },
    seconds: { type: "string", default: "3" },
    url: { type: "string" },
    out: { type: "string" },
  },
});
const AGENTS = (values.agents ?? "1,2,4,8,16,32,64,128,256").split(",").map(Number);
const SECONDS = Number(values.seconds);
const OUT = values.out ?? (values.agents === undefined ? FOLDER : undefined);
const PROCESSES = 16;

async function measure(agents: number, rest: Omit<Part, "agents" | "tasks" | "seconds">): Promise<GrantsRow> {
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
  const per_second = Math.round(took.length / SECONDS);
  return { agents, by: rest.kind, per_second, p50_ms: at(0.5), p99_ms: at(0.99), refused };
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

/** Sessions in this database, but the asking one. */
async function sessions(client: Bun.SQL): Promise<number> {
  const [{ count }] = await client.unsafe(
    "select count(*)::int as count from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  return count;
}

/** A server needs a moment to notice that hundreds of clients are gone, and has no room for the next ones before. */
async function untilGone(client: Bun.SQL, before: number): Promise<void> {
  for (let nth = 0; nth < 300 && (await sessions(client)) > before; nth += 1) await Bun.sleep(100);
}

const { url: named } = values;
const reason = named === undefined ? whyNoPostgres() : undefined;
if (reason !== undefined) throw new Error(reason);
const about = aboutNow();
const scratch = mkdtempSync(join(tmpdir(), "lodestar-bench-"));
const cluster = named === undefined ? await Cluster.start({ durable: true }) : undefined;
const url = named ?? cluster?.url() ?? "";
const grants: GrantsRow[] = [];
try {
  const client = new Bun.SQL(url, { max: 1, prepare: false });
  const [{ version }] = await client.unsafe("select current_setting('server_version') as version");
  await client.unsafe(
    "create table if not exists bare (task integer primary key, agent integer, expires_at timestamptz)",
  );
  const before = await sessions(client);
  for (const agents of AGENTS) {
    const project_id = `bench-${Date.now()}`;
    await client.unsafe("truncate bare");
    const rows: GrantsRow[] = [];
    for (const [kind, where] of [
      ["sqlite", join(scratch, `${agents}.sqlite`)],
      ["postgres", url],
      ["bare", url],
    ] as const) {
      rows.push(await measure(agents, { kind, where, project_id }));
      await untilGone(client, before);
    }
    grants.push(...rows);
    // One line at a time, so that something is seen.
    const [head, rule, line] = grantsTable(rows).split("\n");
    console.log(grants.length === rows.length ? [head, rule, line].join("\n") : line);
  }
  await client.close();
  const results: RuntimeResults = {
    ...about,
    seconds: SECONDS,
    server: `PostgreSQL ${String(version).split(" ")[0]}`,
    grants,
  };
  if (OUT !== undefined) {
    mkdirSync(OUT, { recursive: true });
    writeFileSync(join(OUT, "runtime.json"), `${JSON.stringify(results, null, 2)}\n`);
    writeFileSync(join(OUT, "runtime.md"), runtimePage(results));
    console.log(`\nWritten: ${OUT}`);
  }
} finally {
  await cluster?.stop();
  rmSync(scratch, { recursive: true, force: true });
}
