import first from "./migrations/0001-runtime.sql" with { type: "text" };

/** A step of the schema. */
interface Migration {
  readonly text: string;
  /** The oldest schema whose programs still work after it. */
  readonly works_with: number;
}

/** Numbered and never edited after release; `lodestar.migration` holds the numbers of those that a database has. */
const MIGRATIONS: readonly Migration[] = [{ text: first, works_with: 1 }];
export const SCHEMA_VERSION = MIGRATIONS.length;

const TABLE = `
create schema if not exists lodestar;
create table if not exists lodestar.migration (
  version integer primary key,
  works_with integer not null,
  applied_at timestamptz not null default now()
)`;

/** Making the same schema or table at once, two sessions collide in the catalogue, whatever `if not exists` says. */
const COLLISIONS: ReadonlySet<unknown> = new Set(["23505", "42P06", "42P07", "42710", "XX000"]);
const MAX_COLLISIONS = 200;

/**
 * Brings the database to this program's schema. Many programs may be here at once: whoever gets the table's lock first does the work, the
 * others find it done. A plain lock on a table, which ends with its transaction: no advisory lock, no session state.
 *
 * @returns the number of migrations before and after; a database that is further is left as it is.
 */
export async function migrate(client: Bun.SQL): Promise<{ readonly from: number; readonly to: number }> {
  const before = await versionOf(client);
  if (before !== undefined && before >= SCHEMA_VERSION) return { from: before, to: before };
  if (before === undefined) await makeTable(client);
  return client.begin(async (transaction) => {
    await transaction.unsafe("lock table lodestar.migration in exclusive mode");
    const from = (await versionOf(transaction)) ?? 0;
    for (let version = from + 1; version <= SCHEMA_VERSION; version += 1) {
      const migration = MIGRATIONS[version - 1];
      if (migration === undefined) break;
      await transaction.unsafe(migration.text).simple();
      await transaction.unsafe("insert into lodestar.migration (version, works_with) values ($1, $2)", [
        version,
        migration.works_with,
      ]);
    }
    return { from, to: Math.max(from, SCHEMA_VERSION) };
  });
}

/** The last migration; `undefined` when there is no table of them. */
async function versionOf(client: Bun.SQL): Promise<number | undefined> {
  const [found] = (await client.unsafe("select to_regclass('lodestar.migration') is not null as there")) as [
    { readonly there: boolean } | undefined,
  ];
  if (found?.there !== true) return undefined;
  const [row] = (await client.unsafe(
    "select coalesce(max(version), 0)::integer as version from lodestar.migration",
  )) as [{ readonly version: number } | undefined];
  return row?.version ?? 0;
}

async function makeTable(client: Bun.SQL): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await client.unsafe(TABLE).simple();
      return;
    } catch (cause) {
      const errno = cause instanceof Error && "errno" in cause ? cause.errno : undefined;
      if (!COLLISIONS.has(errno) || attempt >= MAX_COLLISIONS) throw cause;
      await Bun.sleep(1 + (attempt % 10));
    }
  }
}
