import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import type { AnyCommand } from "./commands/command.ts";
import type { Context } from "./commands/context.ts";
import type { Programs } from "./commands/programs.ts";
import { LodestarError, unwritable } from "./core/errors.ts";
import type { Random } from "./core/ids.ts";
import { quote } from "./core/shell.ts";
import { type Clock, DEFAULT_TTL, type Millis, parseTtl, SECOND } from "./core/time.ts";
import { isThere, lookAt, readPlain } from "./git/plain-file.ts";
import { findPlace, mainPlace, type Place, readBranch, readHead, sharedFolder } from "./git/worktree.ts";
import type { Idempotency, RuntimeStore, Runtimes } from "./runtime/store.ts";
import type { Conventions } from "./spec/model.ts";
import { type SpecPaths, SpecPlane } from "./spec/plane.ts";

// With what a call is wired to, so that the program loads one thing.
export { runCli } from "./cli/run.ts";
export { GROUPS, REGISTRY } from "./commands/registry.ts";

/** What a face knows of the world around a call. */
export interface World {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--repo`: as if started there. */
  readonly repo?: string;
  /** `--agent` */
  readonly agent?: string;
  /** `--idempotency-key` */
  readonly idempotency_key?: string;
  /** True when a person can be asked. */
  readonly interactive: boolean;
  readonly confirm?: (question: string) => boolean;
  readonly stdin?: () => string;
  readonly nextStdin?: () => Promise<Uint8Array | undefined>;
  /** What starts other programs; none: none can be started. */
  readonly programs?: () => Promise<Programs>;
  /** In the place of `LODESTAR_SESSION` and the worktree, where one process serves many sessions. */
  readonly session?: string;
  /** Aborted when nobody wants the answer any more. */
  readonly signal?: AbortSignal;
  /** Tests give their own. */
  readonly clock?: Clock;
  readonly random?: Random;
}

const systemClock: Clock = { now: () => Date.now() };
const systemRandom: Random = { bytes: (count) => crypto.getRandomValues(new Uint8Array(count)) };

/** Builds what a command works with. Opens nothing but what tells where the planes are; stores are opened when asked for. */
export async function openContext(world: World): Promise<Context> {
  const cwd = world.repo === undefined ? world.cwd : resolve(world.cwd, world.repo);
  const services = { clock: world.clock ?? systemClock, random: world.random ?? systemRandom };
  const found = locate(cwd);
  const wiring = new Wiring(world, cwd, services, found);
  await wiring.chooseSpec();
  return wiring;
}

interface Found {
  readonly place: Place | undefined;
  readonly problem: LodestarError | undefined;
}

function locate(cwd: string): Found {
  try {
    const place = findPlace(cwd);
    if (place !== undefined) return { place, problem: undefined };
    const problem = new LodestarError(
      "NOT_INITIALIZED",
      `${cwd} is inside a bare repository, where no spec is checked out`,
      {
        hint: "Run Lodestar in one of its worktrees (`git worktree add`).",
      },
    );
    return { place: undefined, problem };
  } catch (cause) {
    if (cause instanceof LodestarError) return { place: undefined, problem: cause };
    throw cause;
  }
}

class Wiring implements Context {
  readonly clock: Clock;
  readonly random: Random;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly interactive: boolean;
  readonly problem: LodestarError | undefined;
  readonly #world: World;
  readonly #place: Place | undefined;
  #specPlace: Place | undefined;
  #spec: SpecPlane | undefined;
  #store: RuntimeStore | undefined;
  #storeWritable = false;
  #runtimes: Runtimes | undefined;
  #unreachableUntil: Millis = 0;
  readonly #onCommit = () => {
    this.#committed = true;
  };
  #committed = false;
  #patience: Millis | undefined;
  readonly #warnings: string[] = [];
  readonly #undo: (() => Promise<void>)[] = [];
  #call: { readonly command: AnyCommand; readonly input: Readonly<Record<string, unknown>> } | undefined;

  constructor(world: World, cwd: string, services: { readonly clock: Clock; readonly random: Random }, found: Found) {
    this.#world = world;
    this.cwd = cwd;
    this.env = world.env;
    this.interactive = world.interactive;
    this.clock = services.clock;
    this.random = services.random;
    this.#place = found.place;
    this.problem = found.problem;
    this.#specPlace = found.place;
  }

  /** `conventions.spec: main` in the main worktree's spec makes every linked worktree use that one. */
  async chooseSpec(): Promise<void> {
    const main = this.#place === undefined ? undefined : mainPlace(this.#place);
    if (main === undefined || !existsSync(specPath(main))) return;
    const plane = this.specAt(main);
    try {
      const conventions = (await plane.index("read")).header()?.project.conventions;
      if (conventions?.spec !== "main") return plane.close();
      this.#specPlace = main;
      this.#spec = plane;
    } catch (cause) {
      // The main worktree's spec is unreadable: this worktree's own still counts. What is wrong there is told there.
      if (!(cause instanceof LodestarError)) throw cause;
      plane.close();
    }
  }

  get program(): string {
    return process.execPath;
  }

  confirm(question: string): boolean {
    return this.#world.confirm?.(question) ?? false;
  }

  stdin(): string {
    return this.#world.stdin?.() ?? "";
  }

  async nextStdin(): Promise<Uint8Array | undefined> {
    return this.#world.nextStdin?.();
  }

  async programs(): Promise<Programs> {
    const programs = this.#world.programs;
    if (programs === undefined) throw new LodestarError("USAGE", "Programs can be started from the command line only.");
    return programs();
  }

  apart(env: Readonly<Record<string, string | undefined>>): Promise<Context> {
    const { agent: _agent, idempotency_key: _key, ...world } = this.#world;
    return openContext({ ...world, env: { ...this.env, ...env } });
  }

  get place(): Place {
    if (this.#place === undefined)
      throw this.problem ?? new LodestarError("NOT_INITIALIZED", `${this.cwd} is no place for a spec`);
    return this.#place;
  }

  get initialized(): boolean {
    const place = this.#specPlace;
    return place !== undefined && (existsSync(specPath(place)) || this.#isBeingReplaced(place));
  }

  /** Git takes a file away before it writes it anew: until then it counts as there, and whoever reads it waits. */
  #isBeingReplaced(place: Place): boolean {
    const { git } = specPaths(place);
    // In a hook of `git commit` the lock is the caller's own.
    if (git === undefined || this.env.GIT_INDEX_FILE !== undefined) return false;
    return existsSync(git.index_lock) && existsSync(dirname(specPath(place)));
  }

  get spec(): SpecPlane {
    const place = this.#specPlace ?? this.place;
    this.#spec ??= this.specAt(place);
    return this.#spec;
  }

  specAt(place: Place): SpecPlane {
    return new SpecPlane(specPaths(place), {
      clock: this.clock,
      random: this.random,
      beforeCreate: async () => {
        const { ensureIgnored } = await import("./git/ignore.ts");
        ensureIgnored(place);
      },
      warn: (message) => this.warn(message),
    });
  }

  get worktree(): string {
    return (this.#specPlace ?? this.place).root;
  }

  branch(): string {
    return readBranch(this.#specPlace ?? this.place);
  }

  head(): { readonly branch: string; readonly commit?: string } {
    return readHead(this.#specPlace ?? this.place);
  }

  get runtime_path(): string {
    const named = this.env.LODESTAR_RUNTIME;
    if (named === undefined || named === "" || IS_URL.test(named)) return this.#ownPath;
    return isAbsolute(named) ? named : resolve(this.cwd, named);
  }

  get #ownPath(): string {
    return join(sharedFolder(this.place), "runtime.sqlite");
  }

  async runtimes(): Promise<Runtimes> {
    const { LocalRuntimes } = await import("./runtime/runtimes.ts");
    this.#runtimes ??= new LocalRuntimes({
      ...{ env: this.env, cwd: this.cwd, clock: this.clock, random: this.random },
      default_path: this.#ownPath,
      repository: this.#repository,
      conventions: await this.#conventions("read"),
      onCommit: this.#onCommit,
      ...this.#busyTimeout,
    });
    return this.#runtimes;
  }

  async elsewhere(mode: "read" | "write" = "read"): Promise<Runtimes | undefined> {
    const named = this.env.LODESTAR_RUNTIME;
    if (named !== undefined && named !== "") return IS_URL.test(named) ? this.runtimes() : undefined;
    return (await this.#conventions(mode)).runtime === undefined ? undefined : this.runtimes();
  }

  /** What the spec wishes; while it cannot be read, what it wished last. */
  async #conventions(mode: "read" | "write"): Promise<Conventions> {
    const looked = this.#spec?.opened?.header();
    if (looked !== undefined) return looked.project.conventions;
    if (!this.initialized) return {};
    try {
      return (await this.spec.index(mode)).header()?.project.conventions ?? {};
    } catch (cause) {
      if (!(cause instanceof LodestarError)) throw cause;
      const known = this.spec.opened?.header();
      if (known !== undefined) return known.project.conventions;
      const { TrustFile } = await import("./runtime/trust.ts");
      // This repository uses a shared runtime, as it seems: its own file, where others are not seen, must not take its place.
      if (new TrustFile(this.env).knows(this.#repository)) throw cause;
      return {};
    }
  }

  get #repository(): string {
    return this.place.git?.common_dir ?? this.place.root;
  }

  get has_written(): boolean {
    return this.#committed || this.#spec?.saved === true;
  }

  async runtime(): Promise<RuntimeStore> {
    if (this.#store !== undefined && this.#storeWritable) return this.#store;
    if (!this.initialized) throw notInitialized(this.cwd, this.problem);
    const elsewhere = await this.elsewhere("write");
    if (elsewhere !== undefined) return this.#openElsewhere(elsewhere);
    this.#store?.close();
    const path = this.runtime_path;
    await this.#beforeWriting(path);
    this.#store = await this.#openOrMoveAside(path);
    this.#storeWritable = true;
    await this.#rememberHome(path);
    return this.#store;
  }

  async runtimeIfAny(): Promise<RuntimeStore | undefined> {
    if (this.#store !== undefined) return this.#store;
    const elsewhere = await this.elsewhere();
    if (elsewhere !== undefined) return this.#readElsewhere(elsewhere);
    const path = this.runtime_path;
    if (!isThere(path)) return undefined;
    const { ForeignRuntime, openRuntime } = await import("./runtime/sqlite/open.ts");
    try {
      this.#store = openRuntime({
        path,
        clock: this.clock,
        random: this.random,
        create: false,
        readonly: true,
        ...this.#busyTimeout,
      });
    } catch (cause) {
      if (!(cause instanceof ForeignRuntime)) throw cause;
      this.warn(`${path} was written by another program; the next command that writes moves it aside.`);
    }
    return this.#store;
  }

  async #openElsewhere(runtimes: Runtimes): Promise<RuntimeStore> {
    const { target, problem } = runtimes.choice;
    if (target === undefined || problem !== undefined) throw problem;
    this.closeRuntime();
    this.#store = await runtimes.open(target, "write");
    if (this.#store === undefined) throw new LodestarError("INTERNAL", `${runtimes.choice.where} was not opened.`);
    this.#storeWritable = true;
    return this.#store;
  }

  /** What cannot be asked is warned of, and the spec is all there is; only a call that is wrong itself is refused. */
  async #readElsewhere(runtimes: Runtimes): Promise<RuntimeStore | undefined> {
    const { target, problem } = runtimes.choice;
    try {
      if (target === undefined || problem !== undefined) throw problem;
      if (this.clock.now() < this.#unreachableUntil) return undefined;
      // One connection serves reading and writing: a second one would cost as much as the call. Reading makes nothing.
      this.#storeWritable = target.kind === "postgres";
      this.#store = await runtimes.open(target, this.#storeWritable ? "write" : "read");
    } catch (cause) {
      if (!(cause instanceof LodestarError) || cause.code === "USAGE") throw cause;
      if (cause.code === "RUNTIME_UNREACHABLE") this.#unreachableUntil = this.clock.now() + UNREACHABLE_PAUSE;
      this.warn(`Only the spec is seen, not who works on what: ${cause.message}`);
    }
    return this.#store;
  }

  waitAtMost(patience: Millis): void {
    this.#patience = patience;
  }

  get #busyTimeout(): { readonly busyTimeoutMs?: Millis } {
    return this.#patience === undefined ? {} : { busyTimeoutMs: this.#patience };
  }

  closeRuntime(): void {
    this.#store?.close();
    this.#store = undefined;
    this.#storeWritable = false;
  }

  close(): void {
    this.closeRuntime();
    this.#spec?.close();
  }

  get signal(): AbortSignal | undefined {
    return this.#world.signal;
  }

  ifUnwanted(undo: () => Promise<void>): void {
    this.#undo.push(undo);
  }

  async undo(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }

  async #openOrMoveAside(path: string): Promise<RuntimeStore> {
    const { ForeignRuntime, moveAsideForeign, openRuntime } = await import("./runtime/sqlite/open.ts");
    const options = {
      ...{ path, clock: this.clock, random: this.random, create: true },
      onCommit: this.#onCommit,
      ...this.#busyTimeout,
    };
    const open = (): RuntimeStore => {
      const store = openRuntime(options);
      if (store === undefined) throw new LodestarError("INTERNAL", `The runtime ${path} was not made.`);
      return store;
    };
    const moveAside = async (): Promise<void> => {
      // Under a lock that all worktrees share, and looked at again there: of two processes that both saw it, one must not move the
      // other's new one (counterexample 21).
      const { LOCK_PATIENCE, withSpecLock } = await import("./spec/lock.ts");
      await withSpecLock(this.#runtimeLock(path), LOCK_PATIENCE, this.clock, async () => {
        const moved = moveAsideForeign(path);
        if (moved !== undefined) this.warn(`${path} was written by another program and is now ${moved}`);
      });
    };
    // Nobody opens a file that may be foreign while another moves it: SQLite would make its log anew, beside the file that comes next.
    const known = lookAt(path);
    if (known !== undefined && known.size > 0 && this.#home() !== homeOf(path, known.ino)) await moveAside();
    try {
      return open();
    } catch (cause) {
      if (!(cause instanceof ForeignRuntime)) throw cause;
      await moveAside();
      return open();
    }
  }

  #runtimeLock(path: string): string {
    const { git } = this.place;
    return git === undefined ? join(dirname(path), "runtime.lock") : join(git.common_dir, "lodestar", "runtime.lock");
  }

  /** What must hold before a runtime is written to; remembered by inode, so that a usual call pays one small read. */
  async #beforeWriting(path: string): Promise<void> {
    const known = lookAt(path);
    if (known !== undefined && this.#home() === homeOf(path, known.ino)) return;
    const { place } = this;
    const [{ ensureIgnored }, { remoteMount }, { isTracked }] = await Promise.all([
      import("./git/ignore.ts"),
      import("./git/mount.ts"),
      import("./git/tracked.ts"),
    ]);
    const folder = dirname(path);
    const own = this.env.LODESTAR_RUNTIME === undefined || this.env.LODESTAR_RUNTIME === "";
    try {
      if (own) {
        ensureIgnored(place, folder.endsWith(".lodestar") ? folder : join(place.root, ".lodestar"));
      }
      mkdirSync(folder, { recursive: true });
    } catch (cause) {
      throw unwritable(folder, cause);
    }
    if (!own) return;
    const remote = remoteMount(folder);
    if (remote !== undefined) {
      throw new LodestarError(
        "RUNTIME_UNSUPPORTED_FILESYSTEM",
        `${folder} is on a ${remote} mount, where SQLite's locks do not hold between machines.`,
        {
          details: { path, mount: remote },
        },
      );
    }
    if (known !== undefined && isTracked(place, path)) {
      throw new LodestarError("RUNTIME_TRACKED", `${path} is tracked by Git; a runtime is never committed.`, {
        details: { path },
        hint: `Run \`git rm --cached ${quote(relative(place.git?.main ?? place.root, path))}\` and commit.`,
      });
    }
  }

  #homePath(): string | undefined {
    const git = this.place.git;
    return git === undefined ? undefined : join(git.common_dir, "lodestar", "runtime-home");
  }

  #home(): string | undefined {
    const path = this.#homePath();
    return path === undefined ? undefined : readPlain(path);
  }

  async #rememberHome(path: string): Promise<void> {
    const home = this.#homePath();
    const known = statSync(path, { throwIfNoEntry: false });
    if (home === undefined || known === undefined || this.#home() === homeOf(path, known.ino)) return;
    try {
      mkdirSync(dirname(home), { recursive: true });
      const { putFile } = await import("./git/replace.ts");
      putFile(home, homeOf(path, known.ino));
    } catch {
      // Only saves looking again: a Git directory that cannot be written costs each call the full look.
    }
  }

  actor(given?: string): string | undefined {
    const named = given ?? this.#world.agent ?? this.env.LODESTAR_AGENT;
    return named === undefined || named === "" ? undefined : named;
  }

  requireActor(given?: string): string {
    const agent_id = this.actor(given);
    if (agent_id === undefined) throw new LodestarError("AGENT_REQUIRED", "This needs to know which agent you are.");
    return agent_id;
  }

  get session(): string {
    const named = this.#world.session ?? this.env.LODESTAR_SESSION;
    return named === undefined || named === "" ? this.place.worktree : named;
  }

  ttl(given: string | undefined, project: string | undefined): number {
    const text = given ?? this.env.LODESTAR_LEASE_TTL ?? project;
    return text === undefined || text === "" ? DEFAULT_TTL : parseTtl(text);
  }

  begin(command: AnyCommand, input: Readonly<Record<string, unknown>>): void {
    this.#call = { command, input };
  }

  idempotency(part: string): Idempotency | undefined {
    const key = this.#world.idempotency_key;
    if (key === undefined || this.#call === undefined) return undefined;
    const { command, input } = this.#call;
    const meant = JSON.stringify([command.name, this.actor() ?? "", sorted(input)]);
    return { key: part === "" ? key : `${key}#${part}`, input_hash: Bun.hash(meant).toString(36) };
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  warn(message: string): void {
    if (!this.#warnings.includes(message)) this.#warnings.push(message);
  }
}

/** How long a runtime that did not answer is not asked again by the same call. */
const UNREACHABLE_PAUSE: Millis = 5 * SECOND;

const IS_URL = /^[a-z][a-z0-9+.-]*:\/\//i;

const homeOf = (path: string, inode: number): string => `${inode} ${path}\n`;

/** Field order does not make another input. */
function sorted(input: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(input).sort(([a], [b]) => (a < b ? -1 : 1));
}

const specPath = (place: Place): string => join(place.root, ".lodestar", "spec.yaml");

export function notInitialized(cwd: string, problem: LodestarError | undefined): LodestarError {
  return (
    problem ?? new LodestarError("NOT_INITIALIZED", `Lodestar is not set up in ${cwd}`, { details: { path: cwd } })
  );
}

/** Where a place's spec, index and lock are. The lock follows a symlinked spec, so that all who write one file share one lock. */
function specPaths(place: Place): SpecPaths {
  const folder = join(place.root, ".lodestar");
  const spec = specPath(place);
  const home = lockHome(spec, place);
  const lock =
    home.git === undefined
      ? join(home.root, ".lodestar", "spec.lock")
      : join(home.git.git_dir, "lodestar", lockName(home));
  const paths = { spec, index: join(folder, "index.sqlite"), lock };
  if (home.git === undefined) return paths;
  return { ...paths, git: { index_lock: join(home.git.git_dir, "index.lock"), worktree: home.worktree } };
}

function lockName(home: Place): string {
  const inside = relative(home.worktree, home.root);
  return inside === "" ? "spec.lock" : `spec-${Bun.hash(inside).toString(36)}.lock`;
}

function lockHome(spec: string, place: Place): Place {
  const link = lookAt(spec);
  if (link === undefined || !link.isSymbolicLink() || !existsSync(spec)) return place;
  return findPlace(dirname(realpathSync(spec))) ?? place;
}
