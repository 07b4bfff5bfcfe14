import { LodestarError } from "../../core/errors.ts";
import type { Random } from "../../core/ids.ts";
import type { Clock, Millis } from "../../core/time.ts";
import type { RuntimeStore } from "../store.ts";
import type { Env } from "./url.ts";

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
 * Opens a project's runtime in a PostgreSQL database: connects, and no more.
 *
 * @throws LodestarError `RUNTIME_UNREACHABLE` within 5 s, naming host and port; `USAGE` for a URL that cannot be read.
 */
export async function openPostgresRuntime(options: PostgresOptions): Promise<RuntimeStore> {
  throw new LodestarError("RUNTIME_UNREACHABLE", `${options.url.length} bytes of URL: this store is being built.`);
}

/** Brings the schema to this program's, once however many ask at once. @returns the numbers before and after. */
export async function migratePostgres(
  options: PostgresOptions,
): Promise<{ readonly from: number; readonly to: number }> {
  throw new LodestarError("RUNTIME_UNREACHABLE", `${options.url.length} bytes of URL: this store is being built.`);
}
