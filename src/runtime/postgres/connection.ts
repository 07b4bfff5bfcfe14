import { readFileSync } from "node:fs";
import { unwritable } from "../../core/errors.ts";
import { type Random, randomDigits } from "../../core/ids.ts";
import { type Clock, MINUTE, type Millis, SECOND } from "../../core/time.ts";
import { movedError } from "../retired.ts";
import { type Failure, failureOf, isNotLetIn, placeOf, serverError } from "./map.ts";
import { migrate, SCHEMA_VERSION } from "./migrate.ts";
import type { Target } from "./url.ts";

export interface ConnectionOptions {
  readonly target: Target;
  readonly project_id: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly create: boolean;
  readonly readonly: boolean;
  /** How long a step waits for others. */
  readonly patience: Millis;
  readonly onCommit: (() => void) | undefined;
}

/** A server that says nothing for so long counts as unreachable. */
const SILENCE: Millis = 5 * SECOND;
/** So long a connection that broke is made anew, before the server counts as unreachable. */
const RECONNECTING: Millis = 4 * SECOND;
/** Less than that: a server that is only busy says so before it would be taken for dead. */
const LOCK_WAIT: Millis = 4 * SECOND;
/** For whole runtimes, which may be large. */
const LONG: Millis = 10 * MINUTE;

const READ = "select lodestar.read_v1($1, $2, $3::text::json, $4::text::json) as answer";
const WRITE = "select lodestar.write_v1($1, $2, $3::text::json, $4::text::json) as answer";

/** How long a call may take. */
export interface Pace {
  /** The whole runtime is sent or read. */
  readonly long?: boolean;
}

/**
 * One connection to the server, made anew when it breaks, and the two kinds of calls on it, each a statement of its own: nothing is
 * left in the session between two calls, so it may be another one each time (PgBouncer in transaction mode).
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #client: Bun.SQL | undefined;
  #encrypts = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get project_id(): string {
    return this.#options.project_id;
  }

  /** @throws LodestarError `RUNTIME_UNREACHABLE` */
  async connect(): Promise<void> {
    await this.#attempting(Math.min(SILENCE, this.#options.patience), async (client) => {
      await client.connect();
    });
  }

  /** One consistent look; `undefined` when there is no such runtime. */
  async read<T>(look: string, query: object, pace: Pace = {}): Promise<T | undefined> {
    const text = await this.#call(READ, look, query, {
      pace,
      make: false,
      more: {},
    });
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  /**
   * One change, whole or not at all; durable when this returns (L6). Sent again with the same call id when the connection breaks before
   * the answer: the server gives the answer that it has, or takes the step now (L4).
   */
  async write<T>(step: string, request: object, how: Pace & { readonly light?: boolean } = {}): Promise<T> {
    if (this.#options.readonly) throw unwritable(`the runtime ${this.project_id}`, undefined);
    const { light = false, ...pace } = how;
    // With the step in it: even a random source that repeats itself gives no step another one's answer.
    const call_id = `${randomDigits(this.#options.random, 20)}-${Bun.hash(step + JSON.stringify(request)).toString(36)}`;
    const text = await this.#call(WRITE, step, request, {
      pace,
      make: true,
      more: { call_id, light, patience: String(Math.min(LOCK_WAIT, this.#options.patience)) },
    });
    if (text === undefined)
      throw serverError("RUNTIME_UNREACHABLE", this.#options.target, `has no project ${this.project_id}`);
    const answer = JSON.parse(text) as T | Moved;
    if (isMoved(answer)) throw movedError(`at ${placeOf(this.#options.target)}`, answer.moved_to);
    if (!light) this.#options.onCommit?.();
    return answer;
  }

  /** Brings schema and project to where this program needs them. */
  async prepare(): Promise<{ readonly from: number; readonly to: number }> {
    const done = await this.#attempting(LONG, (client) => migrate(client));
    await this.#attempting(SILENCE, async (client) => {
      await client.unsafe("select lodestar.create_v1($1, $2)", [
        this.project_id,
        randomDigits(this.#options.random, 20),
      ]);
    });
    return done;
  }

  /** The caller's clock, where the server has none to tell. */
  now(): Millis {
    return this.#options.clock.now();
  }

  /**
   * A second connection, for what the server says unasked. It sets a parameter of its own that only a session with the server itself
   * takes: a pool between would hand the session on to others.
   */
  newSession(parameter: string): Bun.SQL {
    return newClient(this.#encryptedTarget, { [parameter]: "on" });
  }

  close(): void {
    this.#drop();
  }

  async #call(
    statement: string,
    what: string,
    request: object,
    { pace, make, more }: { readonly pace: Pace; readonly make: boolean; readonly more: object },
  ): Promise<string | undefined> {
    const call = { knows: SCHEMA_VERSION, wall: this.#options.clock.now(), ...more };
    const values = [this.project_id, what, encode(request), encode(call)];
    const ask = async (client: Bun.SQL): Promise<string | null | undefined> => {
      const [row] = (await client.unsafe(statement, values)) as [{ readonly answer: string | null } | undefined];
      return row?.answer;
    };
    const limit = pace.long === true ? LONG : Math.min(SILENCE, this.#options.patience);
    let prepared = false;
    for (;;) {
      const answer = await this.#attempting(limit, ask, null);
      if (typeof answer === "string") return answer;
      if (!make || !this.#options.create || prepared) return undefined;
      await this.prepare();
      prepared = true;
    }
  }

  /**
   * Runs one exchange with the server, until it was had: a broken connection is made anew for as long as a silent one would be waited
   * for, a busy server is asked again until patience is over.
   *
   * @param unprepared what comes of it when the database has no schema of ours; without it that is thrown.
   */
  async #attempting<T, U = never>(
    limit: Millis,
    exchange: (client: Bun.SQL) => Promise<T>,
    unprepared?: U,
  ): Promise<T | U> {
    const { patience } = this.#options;
    const reconnecting = new Deadline(Math.min(RECONNECTING, patience));
    const waiting = new Deadline(patience);
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await within(limit, exchange(this.#open()));
        } catch (cause) {
          if (this.#encryptsInstead(cause)) continue;
          const failure = this.#failure(cause);
          if (failure.kind === "unprepared") {
            if (unprepared === undefined) throw cause;
            return unprepared;
          }
          if (failure.kind === "again") {
            if (waiting.over) throw serverError("BUSY", this.#options.target, "is being written by others", { cause });
            continue;
          }
          this.#drop();
          if (reconnecting.over || failure.silent === true) {
            throw serverError("RUNTIME_UNREACHABLE", this.#options.target, failure.says, { cause });
          }
          await Bun.sleep(Math.min(20 * 2 ** attempt, 500));
        }
      }
    } finally {
      reconnecting.stop();
      waiting.stop();
    }
  }

  /** `allow` and `prefer`: with TLS where the server wants it, else without. */
  #encryptsInstead(cause: unknown): boolean {
    const { sslmode } = this.#options.target;
    if (this.#encrypts || (sslmode !== "allow" && sslmode !== "prefer") || !isNotLetIn(cause)) return false;
    this.#encrypts = true;
    this.#drop();
    return true;
  }

  /** What a failed exchange came to, as far as it is not to be thrown as it is. */
  #failure(cause: unknown): Exclude<Failure, { readonly kind: "refused" }> {
    if (cause === SILENT) return { kind: "lost", says: "does not answer", silent: true };
    const failure = failureOf(cause);
    if (failure === undefined) throw cause;
    if (failure.kind !== "refused") return failure;
    const { code, says, hint } = failure;
    throw serverError(code, this.#options.target, says, { cause, ...(hint === undefined ? {} : { hint }) });
  }

  #open(): Bun.SQL {
    this.#client ??= newClient(this.#encryptedTarget);
    return this.#client;
  }

  get #encryptedTarget(): Target {
    const { target } = this.#options;
    return this.#encrypts ? { ...target, sslmode: "require" } : target;
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    // Whatever is still under way on it is given up.
    client?.close({ timeout: 0 }).catch(() => undefined);
  }
}

interface Moved {
  readonly kind: "moved";
  readonly moved_to: string;
}

function isMoved(answer: unknown): answer is Moved {
  return typeof answer === "object" && answer !== null && "kind" in answer && answer.kind === "moved";
}

const SILENT = Symbol("silent");

/** Over when its time is. */
class Deadline {
  over = false;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(length: Millis) {
    this.#timer = setTimeout(() => {
      this.over = true;
    }, length);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

async function within<T>(limit: Millis, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(SILENT), limit);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** JSON as PostgreSQL takes it: its texts hold no NUL and no half of a surrogate pair, so signs that stand for them do. */
function encode(value: object): string {
  const text = JSON.stringify(value);
  if (!/\\u(?:0000|d[89a-f])/i.test(text)) return text;
  return JSON.stringify(value, (_, inner) =>
    typeof inner === "string" ? inner.replaceAll(NUL, "\u2400").toWellFormed() : inner,
  );
}

const NUL = String.fromCharCode(0);

function newClient(
  { host, port, socket, user, database, password, ...target }: Target,
  parameters: Readonly<Record<string, string>> = {},
): Bun.SQL {
  return new Bun.SQL({
    ...(socket === undefined ? { hostname: host, port } : { path: socket }),
    ...{ adapter: "postgres", username: user, database },
    ...(password === undefined ? {} : { password }),
    tls: tlsOf(host, target),
    // One connection, and no statement kept in it by name: the next one may reach another session (PgBouncer).
    ...{ max: 1, prepare: false, connectionTimeout: SILENCE / SECOND },
    connection: { application_name: "lodestar", ...parameters },
  });
}

/** `false`: none. @see https://www.postgresql.org/docs/current/libpq-ssl.html */
function tlsOf(
  host: string,
  { sslmode, sslrootcert, sslcert, sslkey }: Pick<Target, "sslmode" | "sslrootcert" | "sslcert" | "sslkey">,
) {
  if (sslmode === "disable" || sslmode === "allow" || sslmode === "prefer") return false;
  const checked = sslmode === "verify-full" || sslmode === "verify-ca" || sslrootcert !== undefined;
  return {
    rejectUnauthorized: checked,
    ...(sslmode === "verify-full" ? { serverName: host } : {}),
    ...(sslmode === "verify-full" || !checked ? {} : { checkServerIdentity: () => undefined }),
    ...(sslrootcert === undefined ? {} : { ca: readFileSync(sslrootcert, "utf8") }),
    ...(sslcert === undefined ? {} : { cert: readFileSync(sslcert, "utf8") }),
    ...(sslkey === undefined ? {} : { key: readFileSync(sslkey, "utf8") }),
  };
}
