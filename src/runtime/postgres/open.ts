import type { Random } from "../../core/ids.ts";
import { type Clock, type Millis, SECOND } from "../../core/time.ts";
import type { RuntimeStore } from "../store.ts";
import { Connection } from "./connection.ts";
import { PostgresStore } from "./store.ts";
import { type Env, readTarget } from "./url.ts";

export { describePostgresUrl, isPostgresUrl } from "./url.ts";

export interface PostgresOptions {
  /** `postgres://…` */
  readonly url: string;
  /** Which rows of the shared tables are this project's. */
  readonly project_id: string;
  readonly env: Env;
  /** Told to the server, which decides by its own; only a project that a test has made goes by it. */
  readonly clock: Clock;
  readonly random: Random;
  /** Makes schema and project where there are none. */
  readonly create: boolean;
  /** Only reads. */
  readonly readonly?: boolean;
  /** Called after each commit but those of heartbeats. */
  readonly onCommit?: () => void;
  /** How long a step waits for other writers; 30 s unless said. */
  readonly busyTimeoutMs?: Millis;
}

/**
 * Opens a project's runtime in a PostgreSQL database. To write: connects, and no more; schema and project are made by the first step
 * that needs them, and reading finds nothing until then.
 *
 * @returns `undefined` when there is none and none is to be made.
 * @throws LodestarError `RUNTIME_UNREACHABLE` within 5 s, naming host and port; `USAGE` for a URL that cannot be read.
 */
export async function openPostgresRuntime(options: PostgresOptions & { readonly create: true }): Promise<RuntimeStore>;
export async function openPostgresRuntime(options: PostgresOptions): Promise<RuntimeStore | undefined>;
export async function openPostgresRuntime(options: PostgresOptions): Promise<RuntimeStore | undefined> {
  const server = connectionOf(options);
  await server.connect();
  if (options.create || (await server.read("pulse", {})) !== undefined) return new PostgresStore(server);
  server.close();
  return undefined;
}

/**
 * Brings the schema to this program's, and makes the project, once however many ask at once.
 * @returns the numbers before and after.
 */
export async function migratePostgres(
  options: PostgresOptions,
): Promise<{ readonly from: number; readonly to: number }> {
  const server = connectionOf(options);
  try {
    return await server.prepare();
  } finally {
    server.close();
  }
}

/** A runtime that connects with its first call. */
export function postgresRuntimeLater(options: PostgresOptions): RuntimeStore {
  return new PostgresStore(connectionOf(options));
}

const BUSY_TIMEOUT: Millis = 30 * SECOND;

function connectionOf(options: PostgresOptions): Connection {
  const { url, env, project_id, clock, random, create, onCommit } = options;
  const { readonly = false, busyTimeoutMs: patience = BUSY_TIMEOUT } = options;
  return new Connection({
    target: readTarget(url, env),
    ...{ project_id, clock, random, create, readonly, patience, onCommit },
  });
}
