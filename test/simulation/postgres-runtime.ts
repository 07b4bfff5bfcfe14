/**
 * A runtime in a PostgreSQL database, as the simulation sees it. The product's schema and functions are used as they are, but for the
 * clock: the server's reads what the history says. Each statement may be the last of its step, and the network lies between.
 */
import { Connection } from "../../src/runtime/postgres/connection.ts";
import { migratePostgres } from "../../src/runtime/postgres/open.ts";
import { SeededRandom } from "../support/clock.ts";
import { type Fate, Network } from "../support/network.ts";
import { Cluster } from "../support/postgres.ts";
import type { Hazard, Listener, SimulatedRuntime, Tables } from "./runtime.ts";
import { Crash } from "./scheduler.ts";

/** The SQLSTATE of a step that is cut short; the product knows nothing of it. */
const DEATH = "SIM00";

/** The tables whose statements a step can be cut short before. */
const WRITTEN = [
  ...["project", "lease", "outcome", "outbox", "agent", "event", "message", "message_read", "idempotency"],
  "call",
];

/** What the tests add to a database that has the product's schema: a clock that is told, and steps that can be cut short. */
const SCAFFOLD = `
create schema simulation;
create unlogged table simulation.state (now bigint not null, doom integer not null);
insert into simulation.state values (0, 0);

create function simulation.clock_timestamp() returns timestamptz language sql volatile as $$
  select timestamptz 'epoch' + now * interval '1 millisecond' from simulation.state
$$;

-- Counts the statements of a transaction, and ends it where the history says.
create function simulation.before_statement() returns trigger language plpgsql as $$
declare v_doom integer := (select doom from simulation.state); v_count integer;
begin
  if v_doom > 0 then
    v_count := coalesce(nullif(current_setting('simulation.statements', true), ''), '0')::integer + 1;
    perform set_config('simulation.statements', v_count::text, true);
    if v_count >= v_doom then raise exception 'the step is cut short' using errcode = '${DEATH}'; end if;
  end if;
  return null;
end $$;
${WRITTEN.map(
  (table) =>
    `create trigger before_statement before insert or update or delete on lodestar.${table} for each statement execute function simulation.before_statement();`,
).join("\n")}

do $$
declare f record;
begin
  for f in
    select pg_get_functiondef(p.oid) as text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'lodestar' and p.prosrc like '%clock_timestamp()%'
  loop
    execute replace(f.text, 'clock_timestamp()', 'simulation.clock_timestamp()');
  end loop;
end $$;
`;

const OUTCOME =
  "'task_id', x.task_id, 'created_at', x.created_at, 'version', x.version, 'reopens', x.reopens, 'rank', x.rank, 'verified', x.verified::int";
const LOOK = `
select json_build_object(
  'identity', p.runtime_id,
  'clock', json_build_object('clock_offset', p.clock_offset, 'last_now', p.last_now, 'last_seq', p.last_seq),
  'leases', (select coalesce(json_agg(x order by x.fencing_token), '[]') from lodestar.lease x where x.project_id = $1),
  'outcomes', (select coalesce(json_agg(json_build_object(${OUTCOME}) order by x.version), '[]')
    from lodestar.outcome x where x.project_id = $1),
  'outbox', (select coalesce(json_agg(json_build_object('outbox_id', x.outbox_id, 'target_worktree', x.target_worktree,
      'target_branch', x.target_branch, 'change', x.change, ${OUTCOME}) order by x.outbox_id), '[]')
    from lodestar.outbox x where x.project_id = $1),
  'seqs', (select coalesce(json_agg(x.seq order by x.seq), '[]') from lodestar.event x where x.project_id = $1)
)::text as tables
from lodestar.project p where p.project_id = $1`;

/** The history that runs. */
let running: PostgresRuntime | undefined;

// Between the store's methods and the server: where time is told, a step dies, and one that has to look again lets others come first.
const { read, write } = Connection.prototype;
Connection.prototype.read = async function <T>(this: Connection, ...args: Parameters<Connection["read"]>) {
  await running?.tell();
  return read.apply(this, args) as Promise<T | undefined>;
};
Connection.prototype.write = async function <T>(this: Connection, ...args: Parameters<Connection["write"]>) {
  await running?.tell();
  try {
    const answer = (await write.apply(this, args)) as T;
    await running?.answered(answer);
    return answer;
  } catch (cause) {
    if (!(cause instanceof Error && "errno" in cause && cause.errno === DEATH)) throw cause;
    running?.died();
    throw new Crash();
  }
};

/** A database for the histories of one process, each of which is a project of its own. */
export class SimulationServer {
  readonly client: Bun.SQL;
  readonly network: Network;
  /** By way of the network. */
  readonly url: string;
  readonly #cluster: Cluster | undefined;
  readonly #name: string;
  readonly #server: string;

  private constructor(server: string, name: string, cluster: Cluster | undefined) {
    this.#server = server;
    this.#name = name;
    this.#cluster = cluster;
    this.network = new Network(Number(new URL(server).port));
    this.client = clientOf(at(server, name));
    const through = new URL(at(server, name));
    through.port = String(this.network.port);
    this.url = through.href;
  }

  /** @param server the URL of a server to make the database in; without it, one is started. */
  static async open(server?: string): Promise<SimulationServer> {
    const cluster = server === undefined ? await Cluster.start() : undefined;
    const url = server ?? (cluster as Cluster).url();
    const name = `simulation_${process.pid}`;
    const admin = clientOf(url);
    await admin.unsafe(`create database ${name}`);
    await admin.close();
    const here = new SimulationServer(url, name, cluster);
    const options = {
      project_id: "none",
      env: {},
      clock: { now: Date.now },
      random: new SeededRandom(1),
      create: true,
    };
    await migratePostgres({ ...options, url: here.url });
    await here.client.unsafe("delete from lodestar.project");
    await here.client.unsafe(SCAFFOLD).simple();
    return here;
  }

  async close(): Promise<void> {
    running = undefined;
    this.network.stop();
    await this.client.close();
    if (this.#cluster !== undefined) return this.#cluster.stop();
    const admin = clientOf(this.#server);
    await admin.unsafe(`drop database ${this.#name} with (force)`);
    await admin.close();
  }
}

const clientOf = (url: string): Bun.SQL => new Bun.SQL(url, { max: 1, tls: false });

function at(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

let projects = 0;

export class PostgresRuntime implements SimulatedRuntime {
  readonly env: Readonly<Record<string, string>>;
  readonly conventions: Readonly<Record<string, string>>;
  readonly network;
  /** No other program keeps its own under our names. */
  readonly foreign = { put: [], found: () => [] };
  readonly #server: SimulationServer;
  readonly #project_id: string;
  #listener: Listener | undefined;
  #doom = 0;
  #told = { now: Number.NaN, doom: 0 };

  constructor(server: SimulationServer) {
    projects += 1;
    this.#server = server;
    this.#project_id = `p${projects}`;
    this.env = { LODESTAR_RUNTIME: server.url };
    this.conventions = { project_id: this.#project_id };
    const { network } = server;
    let next: Fate = "pass";
    network.fate = () => {
      const fate = next;
      next = "pass";
      return fate;
    };
    network.forget();
    this.network = {
      befall: (hazard: Hazard) => {
        next = hazard;
      },
      get isLate() {
        return network.isLate;
      },
      deliver: async () => {
        await this.tell();
        await network.deliver();
      },
      forget: () => network.forget(),
    };
    running = this;
  }

  attach(listener: Listener): void {
    this.#listener = listener;
  }

  /** The server's clock and what becomes of the step that comes. */
  async tell(): Promise<void> {
    const now = this.#listener?.now() ?? 0;
    const doom = this.#doom;
    if (now === this.#told.now && doom === this.#told.doom) return;
    await this.#server.client.unsafe("update simulation.state set now = $1, doom = $2", [now, doom]);
    this.#told = { now, doom };
  }

  async answered(answer: unknown): Promise<void> {
    const kind = typeof answer === "object" && answer !== null && "kind" in answer ? answer.kind : undefined;
    if (kind === "scenes" || kind === "judge") await this.#listener?.looksAgain();
  }

  died(): void {
    this.#doom = 0;
    this.#listener?.died();
  }

  async isThere(): Promise<boolean> {
    return (await this.read()) !== undefined;
  }

  async read(): Promise<Tables | undefined> {
    const [row] = (await this.#server.client.unsafe(LOOK, [this.#project_id])) as [{ readonly tables: string }?];
    return row === undefined ? undefined : (JSON.parse(row.tables) as Tables);
  }

  doom(statements: number): void {
    this.#doom = statements;
  }

  async lose(): Promise<void> {
    this.#listener?.say("the runtime is deleted");
    this.#doom = 0;
    await this.tell();
    this.network.forget();
    // What refers to others first.
    for (const table of ["message_read", "ticket", ...WRITTEN.toReversed()])
      await this.#server.client.unsafe(`delete from lodestar.${table} where project_id = $1`, [this.#project_id]);
  }

  keepsLocks(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    return this.lose();
  }
}
