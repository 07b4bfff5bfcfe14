import { existsSync, readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { LodestarError } from "../../core/errors.ts";

/** How much of TLS is wanted, in libpq's words. */
export type SslMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";

const SSL_MODES: readonly string[] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/** Where a PostgreSQL runtime is and how to get in. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: string;
  /** The socket's file, where the host is a folder. */
  readonly socket?: string;
  readonly sslmode: SslMode;
  /** A file of certificates to trust in the place of the system's. */
  readonly sslrootcert?: string;
  readonly sslcert?: string;
  readonly sslkey?: string;
}

export type Env = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORT = 5432;

/** True when a runtime's name is the URL of a PostgreSQL database. */
export function isPostgresUrl(name: string): boolean {
  return /^postgres(ql)?:\/\//i.test(name);
}

/**
 * Host, port and database of a URL, for messages: never the password.
 *
 * @throws LodestarError `USAGE` when it is no URL.
 */
export function describePostgresUrl(url: string): {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly has_password: boolean;
} {
  const parts = parse(url);
  const { host, port, database, user } = settings(parts, {}, {});
  return {
    host,
    port,
    database: database === "" ? user : database,
    has_password: [parts.password, parts.query.password, parts.query.sslpassword].some(isGiven),
  };
}

/**
 * Everything that a connection needs: what the URL says, then a service file (`PGSERVICE`), then the environment (`PGHOST`, `PGPORT`,
 * `PGDATABASE`, `PGUSER`, `PGPASSWORD`, `PGSSLMODE`, `PGSSLROOTCERT`), then `PGPASSFILE` or `~/.pgpass`, as libpq has it.
 *
 * @throws LodestarError `USAGE` when the URL, an `sslmode` or a named service cannot be read.
 */
export function readTarget(url: string, env: Env): Target {
  const parts = parse(url);
  const found = settings(parts, serviceOf(parts.query.service ?? env.PGSERVICE, env), env);
  const database = found.database === "" ? found.user : found.database;
  const password = found.password ?? passwordFromFile({ ...found, database }, env);
  const { password: _none, ...rest } = found;
  return { ...rest, database, ...(password === undefined ? {} : { password }) };
}

const isGiven = (value: string | undefined) => value !== undefined && value !== "";

interface Parts {
  readonly host?: string;
  readonly port?: string;
  readonly database?: string;
  readonly user?: string;
  readonly password?: string;
  readonly query: Readonly<Record<string, string>>;
}

const SHAPE =
  /^postgres(?:ql)?:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d*))?(?:\/([^?#]*))?(?:\?([^#]*))?$/i;

function parse(url: string): Parts {
  const match = SHAPE.exec(url.trim());
  if (match === null) {
    throw new LodestarError("USAGE", "The runtime's URL cannot be read.", {
      hint: "Write it as postgres://USER@HOST:PORT/DATABASE; several hosts in one URL are not known here.",
    });
  }
  const [, user, password, host, port, database, query] = match;
  const given = Object.fromEntries(
    Object.entries({ user, password, host: host?.replace(/^\[|\]$/g, ""), port, database })
      .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "")
      .map(([name, value]) => [name, decode(value)]),
  );
  return { ...given, query: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

type Settings = Omit<Target, "password"> & { readonly password?: string };

function settings({ query, ...url }: Parts, service: Readonly<Record<string, string>>, env: Env): Settings {
  const pick = (...values: readonly (string | undefined)[]) => values.find(isGiven);
  const host = pick(url.host, query.host, service.host, env.PGHOST) ?? "localhost";
  const port = Number(pick(url.port, query.port, service.port, env.PGPORT) ?? DEFAULT_PORT);
  const user = pick(url.user, query.user, service.user, env.PGUSER) ?? userInfo().username;
  const database = pick(url.database, query.dbname, service.dbname, env.PGDATABASE) ?? "";
  const password = pick(url.password, query.password, env.PGPASSWORD, service.password);
  const socket = host.startsWith("/") ? join(host, `.s.PGSQL.${port}`) : undefined;
  const asked = pick(query.sslmode, service.sslmode, env.PGSSLMODE);
  if (asked !== undefined && !SSL_MODES.includes(asked)) {
    throw new LodestarError("USAGE", `sslmode=${asked} is not known.`, { hint: `Use one of ${SSL_MODES.join(", ")}.` });
  }
  // Words of agents do not cross a network in the clear, nor to who only says that it is the server, unless somebody asked for that.
  const sslmode =
    socket === undefined
      ? ((asked as SslMode | undefined) ?? (isLoopback(host) ? "prefer" : "verify-full"))
      : "disable";
  const sslrootcert = pick(query.sslrootcert, service.sslrootcert, env.PGSSLROOTCERT);
  const sslcert = pick(query.sslcert, service.sslcert, env.PGSSLCERT);
  const sslkey = pick(query.sslkey, service.sslkey, env.PGSSLKEY);
  return {
    ...{ host, port, user, database, sslmode },
    ...(password === undefined ? {} : { password }),
    ...(socket === undefined ? {} : { socket }),
    ...(sslrootcert === undefined || sslrootcert === "system" ? {} : { sslrootcert }),
    ...(sslcert === undefined ? {} : { sslcert }),
    ...(sslkey === undefined ? {} : { sslkey }),
  };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The settings of one service, from `PGSERVICEFILE` or `~/.pg_service.conf`. */
function serviceOf(name: string | undefined, env: Env): Readonly<Record<string, string>> {
  if (name === undefined || name === "") return {};
  const path = env.PGSERVICEFILE ?? join(env.HOME ?? homedir(), ".pg_service.conf");
  const out: Record<string, string> = {};
  let here = false;
  let found = false;
  for (const line of existsSync(path) ? readFileSync(path, "utf8").split(/\r?\n/) : []) {
    const section = /^\s*\[([^\]]+)\]/.exec(line);
    if (section !== null) {
      here = section[1] === name;
      found ||= here;
      continue;
    }
    const pair = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (here && pair?.[1] !== undefined && pair[2] !== undefined) out[pair[1]] = pair[2];
  }
  if (!found)
    throw new LodestarError("USAGE", `The service ${name} is not in ${path}.`, {
      hint: "See PGSERVICE and PGSERVICEFILE.",
    });
  return out;
}

/** The first line of the password file that fits; `*` fits everything. */
function passwordFromFile({ host, port, database, user, socket }: Settings, env: Env): string | undefined {
  const path = env.PGPASSFILE ?? join(env.HOME ?? homedir(), ".pgpass");
  if (!existsSync(path)) return undefined;
  // In the file a socket in the default folder is called localhost.
  const wanted = [socket === undefined ? host : "localhost", String(port), database, user];
  for (const line of readFileSync(path, "utf8").split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = ""]) =>
      field.replaceAll(/\\(.)/g, "$1"),
    );
    if (fields.length < 5) continue;
    const fits = wanted.every(
      (value, i) => fields[i] === "*" || fields[i] === value || (i === 0 && fields[i] === host),
    );
    if (fits) return fields[4];
  }
  return undefined;
}
