import { type Code, LodestarError } from "../../core/errors.ts";
import type { Target } from "./url.ts";

/** What a failed call came to. */
export type Failure =
  /** The connection is gone, or none could be made: the call may have been taken, or not. */
  | { readonly kind: "lost"; readonly says: string; readonly silent?: true }
  /** The server took nothing, and the same call may pass in a moment. */
  | { readonly kind: "again" }
  /** The database has no schema of ours, or an older one. */
  | { readonly kind: "unprepared" }
  | { readonly kind: "refused"; readonly code: Code; readonly says: string; readonly hint?: string };

/** PostgreSQL's SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html), by prefix, the longest first. */
const STATES: readonly (readonly [prefix: string, failure: Failure])[] = [
  ["LD426", { kind: "refused", code: "RUNTIME_TOO_NEW", says: "is of a newer Lodestar than this one" }],
  ["55P03", { kind: "again" }],
  ["40001", { kind: "again" }],
  ["40P01", { kind: "again" }],
  ["57014", { kind: "again" }],
  ["53300", { kind: "lost", says: "has no free connection" }],
  ["57P", { kind: "lost", says: "is being shut down or started" }],
  ["08", { kind: "lost", says: "was cut off" }],
  [
    "3D000",
    { kind: "refused", code: "RUNTIME_UNREACHABLE", says: "has no such database", hint: "Create the database first." },
  ],
  [
    "28",
    {
      kind: "refused",
      code: "RUNTIME_UNREACHABLE",
      says: "did not let this user in",
      hint: "Check user and password: PGUSER, PGPASSWORD, PGPASSFILE or a service file.",
    },
  ],
  [
    "42501",
    {
      kind: "refused",
      code: "READ_ONLY",
      says: "does not allow this to its user",
      hint: "Its owner has to grant usage of the schema lodestar, or run `lodestar runtime migrate`.",
    },
  ],
  [
    "25006",
    {
      kind: "refused",
      code: "READ_ONLY",
      says: "is a standby, which only reads",
      hint: "Name the primary, or let whatever moves the address to it finish.",
    },
  ],
  ["53100", { kind: "refused", code: "DISK_FULL", says: "has no space left on its disk" }],
  ["53", { kind: "refused", code: "BUSY", says: "is short of resources" }],
  ["XX001", { kind: "refused", code: "RUNTIME_CORRUPT", says: "is damaged" }],
  ["XX002", { kind: "refused", code: "RUNTIME_CORRUPT", says: "is damaged" }],
];

/** Bun's own codes for a connection that failed; anything of the server's has a SQLSTATE. */
const TLS = /TLS|SSL|CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|HOSTNAME/i;

const ENTRANCE = /schema "lodestar"|function lodestar\.(read|write|create)_v\d+\(/;

/** What an error of Bun's client means; `undefined` when it is none of its. */
export function failureOf(cause: unknown): Failure | undefined {
  if (!(cause instanceof Error)) return undefined;
  const { errno, code } = cause as Error & { readonly errno?: unknown; readonly code?: unknown };
  const state = typeof errno === "string" && /^[0-9A-Z]{5}$/.test(errno) ? errno : undefined;
  // Only what callers call: anything else that is missing is damage, which no migration mends.
  if ((state === "3F000" || state === "42883") && ENTRANCE.test(cause.message)) return { kind: "unprepared" };
  if (state !== undefined) return STATES.find(([prefix]) => state.startsWith(prefix))?.[1];
  const name = String(code ?? "");
  if (TLS.test(name) || TLS.test(cause.message)) {
    return {
      kind: "refused",
      code: "RUNTIME_UNREACHABLE",
      says: `could not be reached safely (${cause.message.replace(/\.$/, "")})`,
      hint: "Give the authority's certificate with sslrootcert=FILE, or say what else is wanted with sslmode in the URL.",
    };
  }
  if (name.endsWith("_TIMEOUT")) return { kind: "lost", says: "does not answer", silent: true };
  if (/PASSWORD|AUTHENTICATION/.test(name)) return STATES.find(([prefix]) => prefix === "28")?.[1];
  if (name.startsWith("ERR_POSTGRES") || /^E[A-Z]+$/.test(name) || name === "ConnectionRefused")
    return { kind: "lost", says: "cannot be reached" };
  return undefined;
}

/** True when the server has no entry for such a connection, as it has for some only with TLS. */
export function isNotLetIn(cause: unknown): boolean {
  return cause instanceof Error && "errno" in cause && cause.errno === "28000";
}

/** Host, port and database as messages name them. */
export function placeOf({ host, port, database }: Pick<Target, "host" | "port" | "database">): string {
  return host.startsWith("/")
    ? `${host} (port ${port}, database ${database})`
    : `${host}:${port} (database ${database})`;
}

/** An error about the runtime's server, as a sentence with host and port. */
export function serverError(
  code: Code,
  target: Target,
  says: string,
  more: { readonly hint?: string; readonly cause?: unknown } = {},
): LodestarError {
  const { host, port, database } = target;
  return new LodestarError(code, `The runtime at ${placeOf(target)} ${says}.`, {
    details: { host, port, database },
    ...more,
  });
}
