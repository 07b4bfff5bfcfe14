/**
 * Some of the agents of a measurement, in a process of their own: says "ready" when all have joined, begins when a line comes, claims
 * and gives back without a pause until time is over, and prints how long each grant took, in microseconds.
 *
 *   bun runtime-agents.ts JSON     see {@link Part}
 */
import { CODES, LodestarError } from "../../src/core/errors.ts";
import { openPostgresRuntime } from "../../src/runtime/postgres/open.ts";
import { openRuntime } from "../../src/runtime/sqlite/open.ts";
import type { Candidate, RuntimeStore } from "../../src/runtime/store.ts";
import type { Granter } from "./runtime-results.ts";

export interface Part {
  readonly kind: Granter;
  /** A path or a URL. */
  readonly where: string;
  readonly project_id: string;
  /** Numbers of the agents in this process: from, and up to but not with. */
  readonly agents: readonly [number, number];
  /** Of all processes together. */
  readonly tasks: number;
  readonly seconds: number;
}

/** An agent's way to a task: true when it was granted. */
interface Taker {
  readonly claim: () => Promise<boolean>;
  readonly giveBack: () => Promise<void>;
}

const part = JSON.parse(process.argv[2] ?? "") as Part;
const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };
const clock = { now: Date.now };
const TTL = 600_000;
/** How many tasks an agent looks at; what is held is passed over. */
const OFFERED = 8;
const some = () => Math.floor(Math.random() * part.tasks);

async function openStore(): Promise<RuntimeStore> {
  const { kind, where, project_id } = part;
  const store =
    kind === "sqlite"
      ? openRuntime({ path: where, clock, random, create: true })
      : await openPostgresRuntime({ url: where, project_id, env: process.env, clock, random, create: true });
  if (store === undefined) throw new Error(`${where} was not opened`);
  return store;
}

const candidate = (task: number): Candidate => ({
  key: { task_id: `T${task}`, created_at: "" },
  reopens: [],
  locks: [],
  basis: [],
});

async function agentOf(store: RuntimeStore, agent: number): Promise<Taker> {
  const agent_id = `A${agent}`;
  await persistently(() => store.join({ agent_id, worktree: "/", session: agent_id }));
  let held: { readonly task_id: string; readonly created_at: string; readonly fencing_token: number } | undefined;
  return {
    claim: async () => {
      const first = some();
      const candidates = Array.from({ length: OFFERED }, (_, nth) => candidate((first + nth) % part.tasks));
      const who = { agent_id, session: agent_id, ttl: TTL, lease_ids: [crypto.randomUUID()] };
      const rules = { take: "first", kind: "work", resume: false, locks: "warn", force: false } as const;
      const seen = Number.MAX_SAFE_INTEGER;
      const result = await store.claim({ seen, candidates, handoff_chars: 0, ...who, ...rules });
      held = result.kind === "granted" ? result.grants[0]?.lease : undefined;
      return held !== undefined;
    },
    giveBack: async () => {
      if (held === undefined) return;
      const { task_id, created_at, fencing_token } = held;
      await store.release({ key: { task_id, created_at }, agent_id, fencing_token, force: false, how: "released" });
    },
  };
}

const UPSERT = `
insert into bare (task, agent, expires_at) values ($1, $2, now() + interval '10 minutes')
on conflict (task) do update set agent = excluded.agent, expires_at = excluded.expires_at
where bare.expires_at <= now() returning task`;

/** The least that a grant can be: one statement, one row, no events, no tokens, no rules. */
function bareAgent(agent: number): Taker {
  const client = new Bun.SQL(part.where, { max: 1, prepare: false });
  let task = 0;
  return {
    claim: async () => {
      task = some();
      return (await client.unsafe(UPSERT, [task, agent])).length > 0;
    },
    giveBack: async () => {
      await client.unsafe("update bare set expires_at = now() where task = $1", [task]);
    },
  };
}

/** What came of it: how long each grant took, and how many calls were sent away, to try again. */
export interface Took {
  readonly took: readonly number[];
  readonly refused: number;
}

async function work({ claim, giveBack }: Taker, until: number): Promise<Took> {
  const took: number[] = [];
  let refused = 0;
  while (Bun.nanoseconds() < until) {
    const began = Bun.nanoseconds();
    try {
      if (!(await claim())) continue;
      took.push(Math.round((Bun.nanoseconds() - began) / 1000));
      await giveBack();
    } catch (cause) {
      if (!isRetriable(cause)) throw cause;
      refused += 1;
    }
  }
  return { took, refused };
}

/** More agents than the server can serve within the time that a call waits. */
const isRetriable = (cause: unknown): boolean => cause instanceof LodestarError && CODES[cause.code].retriable;

async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let nth = 1; ; nth += 1) {
    try {
      return await attempt();
    } catch (cause) {
      if (!isRetriable(cause) || nth === 20) throw cause;
    }
  }
}

const [from, to] = part.agents;
const numbers = Array.from({ length: to - from }, (_, nth) => from + nth);
// Agents of one process share a file's connection, which serves one after the other anyway; a server gives each its own.
const shared = part.kind === "sqlite" ? await openStore() : undefined;
const takers = await Promise.all(
  numbers.map(async (agent) =>
    part.kind === "bare" ? bareAgent(agent) : agentOf(shared ?? (await persistently(openStore)), agent),
  ),
);
console.log("ready");
for await (const _line of console) break;
const until = Bun.nanoseconds() + part.seconds * 1e9;
const all = await Promise.all(takers.map((taker) => work(taker, until)));
const answer: Took = {
  took: all.flatMap(({ took }) => took),
  refused: all.reduce((sum, { refused }) => sum + refused, 0),
};
console.log(JSON.stringify(answer));
process.exit(0);
