import { isAbsolute, resolve } from "node:path";
import { LodestarError } from "../core/errors.ts";
import type { Random } from "../core/ids.ts";
import type { Clock, Millis } from "../core/time.ts";
import type { ChosenBy, RuntimeChoice, Runtimes, RuntimeTarget } from "./choice.ts";
import { describePostgresUrl, isPostgresUrl } from "./postgres/url.ts";
import type { RuntimeStore } from "./store.ts";
import { TrustFile } from "./trust.ts";

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
  readonly random: Random;
  /** The file that counts where nobody says otherwise. */
  readonly default_path: string;
  /** By what the repository is known on this machine: the Git directory that its worktrees share, else the folder. */
  readonly repository: string;
  /** What the spec's conventions say. */
  readonly conventions: { readonly runtime?: string; readonly project_id?: string };
  readonly onCommit: () => void;
  readonly busyTimeoutMs?: Millis;
}

/** The runtimes of one place. `LODESTAR_RUNTIME` counts, else what the spec names, else the repository's own file. */
export class LocalRuntimes implements Runtimes {
  readonly committed: RuntimeChoice | undefined;
  readonly choice: RuntimeChoice;
  readonly #here: Surroundings;
  readonly #trust: TrustFile;

  constructor(here: Surroundings) {
    this.#here = here;
    this.#trust = new TrustFile(here.env);
    const { env, conventions, default_path } = here;
    const judged = (named: string, by: ChosenBy) => judge(named, by, here, (url) => this.trusts(url));
    const given = env.LODESTAR_RUNTIME ?? "";
    this.committed = conventions.runtime === undefined ? undefined : judged(conventions.runtime, "conventions.runtime");
    this.choice =
      given !== ""
        ? judged(given, "LODESTAR_RUNTIME")
        : (this.committed ?? {
            by: "default",
            target: { kind: "sqlite", path: default_path },
            where: default_path,
          });
  }

  get project_id(): string | undefined {
    return this.#here.conventions.project_id;
  }

  named(text: string): RuntimeTarget {
    return readTarget(text, this.#here.cwd, "This");
  }

  where(target: RuntimeTarget): string {
    return whereIs(target);
  }

  holdsSecret(target: RuntimeTarget): boolean {
    return target.kind === "postgres" && describePostgresUrl(target.url).has_password;
  }

  async open(target: RuntimeTarget, mode: "read" | "write", id = this.project_id): Promise<RuntimeStore | undefined> {
    const { clock, random, env, onCommit, busyTimeoutMs } = this.#here;
    const create = mode === "write";
    const options = { clock, random, create, onCommit, ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }) };
    if (target.kind === "sqlite") {
      const { openRuntime } = await import("./sqlite/open.ts");
      return openRuntime({ ...options, path: target.path, readonly: !create });
    }
    if (id === undefined) throw noProjectId(whereIs(target));
    const { openPostgresRuntime } = await import("./postgres/open.ts");
    return openPostgresRuntime({ ...options, url: target.url, project_id: id, env, readonly: !create });
  }

  async migrate(target: RuntimeTarget, project_id: string): Promise<{ readonly from: number; readonly to: number }> {
    if (target.kind === "postgres") {
      const { clock, random, env } = this.#here;
      const { migratePostgres } = await import("./postgres/open.ts");
      return migratePostgres({ url: target.url, project_id, env, clock, random, create: true });
    }
    const before = await this.open(target, "read");
    const from = (await before?.info())?.schema_version ?? 0;
    before?.close();
    const after = await this.open(target, "write");
    const to = (await after?.info())?.schema_version ?? 0;
    after?.close();
    return { from, to };
  }

  get trust_path(): string {
    return this.#trust.path;
  }

  trusts(url: string): boolean {
    return this.#trust.has(this.#here.repository, url);
  }

  trust(url: string): void {
    this.#trust.add(this.#here.repository, url);
  }

  distrust(url: string): boolean {
    return this.#trust.remove(this.#here.repository, url);
  }
}

/** What `LODESTAR_RUNTIME` or the spec names, and whether it may be used. */
function judge(named: string, by: ChosenBy, here: Surroundings, trusts: (url: string) => boolean): RuntimeChoice {
  const isCallers = by === "LODESTAR_RUNTIME";
  try {
    const target = readTarget(named, here.cwd, isCallers ? by : `The spec's project.${by}`);
    const where = whereIs(target);
    const lacks_id = target.kind === "postgres" && here.conventions.project_id === undefined;
    const problem = (isCallers ? undefined : refused(target, trusts)) ?? (lacks_id ? noProjectId(where) : undefined);
    return { by, target, where, ...(problem === undefined ? {} : { problem }) };
  } catch (cause) {
    if (!(cause instanceof LodestarError)) throw cause;
    const { message, hint } = cause;
    return {
      by,
      where: scheme(named),
      problem: isCallers ? cause : new LodestarError("SPEC_INVALID", message, { hint }),
    };
  }
}

/**
 * Why what a committed file names is not used. It came with the repository, perhaps from a stranger: it is spoken to only where a person
 * has said so, on this machine, for this repository and exactly this URL (counterexample 27).
 */
function refused(target: RuntimeTarget, trusts: (url: string) => boolean): LodestarError | undefined {
  if (target.kind === "sqlite") {
    return new LodestarError("SPEC_INVALID", "The spec's project.conventions.runtime names a path, not a database.", {
      hint: "A path holds for one machine: name it there with LODESTAR_RUNTIME. In the spec write postgres://HOST/DATABASE.",
    });
  }
  if (describePostgresUrl(target.url).has_password) {
    return new LodestarError(
      "SPEC_INVALID",
      `The spec's project.conventions.runtime holds a password (for ${whereIs(target)}), and everybody who sees the repository has it.`,
      {
        hint: "Take it out of the spec and change it on the server; each machine gives its own by PGPASSWORD, PGPASSFILE or PGSERVICE.",
      },
    );
  }
  if (trusts(target.url)) return undefined;
  return new LodestarError(
    "RUNTIME_UNTRUSTED",
    `The spec names the runtime ${whereIs(target)}, which nobody has trusted for this repository on this machine.`,
    { details: { runtime: whereIs(target) } },
  );
}

function noProjectId(where: string): LodestarError {
  return new LodestarError(
    "RUNTIME_NOT_MIGRATED",
    `The runtime ${where} is shared by many projects, and the spec here has no project.conventions.project_id.`,
    { details: { runtime: where } },
  );
}

/** Reads a path or URL. @param who says so, as the subject of a sentence. */
function readTarget(text: string, cwd: string, who: string): RuntimeTarget {
  if (isPostgresUrl(text)) {
    // It is shown to a person who is to trust it: nothing in it may look like something else, or act on a terminal.
    if (!IS_PLAIN.test(text) || !IS_PLAIN.test(describePostgresUrl(text).host)) {
      throw new LodestarError("USAGE", `${who} names ${scheme(text)}, a URL with other signs than printable ASCII.`, {
        hint: "Write other signs as %XX; a host's name in its form for machines (xn--…).",
      });
    }
    return { kind: "postgres", url: text };
  }
  if (IS_URL.test(text)) {
    throw new LodestarError(
      "USAGE",
      `${who} names ${scheme(text)}, which this version cannot use: it knows local SQLite files and PostgreSQL.`,
      { hint: "Give a path, or a URL as postgres://HOST/DATABASE." },
    );
  }
  return { kind: "sqlite", path: isAbsolute(text) ? text : resolve(cwd, text) };
}

const IS_PLAIN = /^[\x21-\x7e]+$/;
const IS_URL = /^[a-z][a-z0-9+.-]*:\/\//i;

/** Nothing but its scheme is told of a URL that cannot be read: the rest may hold a password. */
const scheme = (text: string): string => (IS_URL.test(text) ? text.replace(/:.*/s, "://…") : text);

function whereIs(target: RuntimeTarget): string {
  if (target.kind === "sqlite") return target.path;
  const { host, port, database } = describePostgresUrl(target.url);
  const name = encodeURIComponent(database);
  if (host.startsWith("/")) return `postgres:///${name}?host=${host}&port=${port}`;
  return `postgres://${host.includes(":") ? `[${host}]` : host}:${port}/${name}`;
}
