import type { Random } from "../../core/ids.ts";
import { type Clock, type Millis, SECOND } from "../../core/time.ts";
import type { RuntimeStore } from "../store.ts";
import { Connection } from "./connection.ts";
import { SqliteStore } from "./store.ts";

export { ForeignRuntime, moveAsideForeign } from "./foreign.ts";

export interface OpenOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the file, and its folder, where there is none. */
  readonly create: boolean;
  /** Only reads: nothing is made or changed, and media that cannot be written will do. */
  readonly readonly?: boolean;
  /** How long a call waits for other writers; 30 s unless said. */
  readonly busyTimeoutMs?: Millis;
  /** Called after each commit but those of heartbeats. */
  readonly onCommit?: () => void;
}

/** Transactions take less than a millisecond: who has waited so long waits for something that hangs. */
const BUSY_TIMEOUT: Millis = 30 * SECOND;

/**
 * Opens the runtime in a SQLite file.
 *
 * @returns `undefined` when there is no file, or an empty one, and it is not to be made.
 * @throws ForeignRuntime when another program wrote the file.
 * @throws LodestarError `RUNTIME_TOO_NEW`, `RUNTIME_CORRUPT` (symbolic links too), `READ_ONLY`, `DISK_FULL`, `BUSY`.
 */
export function openRuntime(options: OpenOptions): RuntimeStore | undefined {
  const { path, clock, random, create, readonly = false, busyTimeoutMs = BUSY_TIMEOUT, onCommit } = options;
  const file = Connection.open({ path, clock, random, create, readonly, busyTimeout: busyTimeoutMs, onCommit });
  return file === undefined ? undefined : new SqliteStore(file);
}
