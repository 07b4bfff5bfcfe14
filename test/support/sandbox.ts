/**
 * A fresh Git repository with an empty environment, and the compiled program to run in it: what black-box tests stand on.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build, buildFaulty } from "../../build.ts";

const ROOT = join(import.meta.dir, "..", "..");
const BINARY = join(ROOT, "dist", process.platform === "win32" ? "lodestar.exe" : "lodestar");
const FAULTY = join(ROOT, "dist", "test", "lodestar");
const LOCK = join(ROOT, "dist", ".building");
/** A build takes a few seconds; a lock this old was left by a process that died. */
const STALE_LOCK = 120_000;

function newest(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), 0);
}

function isCurrent(path: string): boolean {
  const sources = ["src", "package.json", "bun.lock", "build.ts"].map((name) => newest(join(ROOT, name)));
  return newest(path) > Math.max(...sources);
}

/**
 * Path of the compiled program, built first when it is missing or older than a source. Two test files that ask at once
 * build once: the folder `dist/.building` is the lock, because making a folder is atomic everywhere.
 */
export function binary(): string {
  return upToDate(BINARY, build);
}

/** The same program with the fault points of src/core/fault.ts compiled in. */
export function faultyBinary(): string {
  return upToDate(FAULTY, buildFaulty);
}

function upToDate(path: string, make: () => string): string {
  if (isCurrent(path)) return path;
  mkdirSync(dirname(LOCK), { recursive: true });
  for (;;) {
    try {
      mkdirSync(LOCK);
      break;
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
      const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > STALE_LOCK) rmSync(LOCK, { recursive: true, force: true });
      else Bun.sleepSync(50);
    }
  }
  try {
    if (!isCurrent(path)) make();
  } finally {
    rmdirSync(LOCK);
  }
  return path;
}

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The envelope on standard output; fails the test when there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into the answer of any command, and asserts what it finds.
  readonly json: any;
}

export interface RunOptions {
  /** Inside the sandbox, or absolute. */
  readonly cwd?: string;
  /** All there is besides PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Another program than the product; a test that runs many processes looks for the product once. */
  readonly program?: string;
}

export interface Sandbox {
  /** The repository. */
  readonly path: string;
  /** The folder around the repository: room for worktrees beside it. */
  readonly base: string;
  /** What every process in the sandbox sees, and `more`. */
  environment(more?: Readonly<Record<string, string>>): Record<string, string>;
  /** Runs the compiled program. */
  run(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Runs git in the repository; fails when git does. */
  git(...args: readonly string[]): string;
  /** Writes a file, with the folders above it. */
  write(name: string, text: string): void;
  /** Removes it all. */
  remove(): void;
  [Symbol.dispose](): void;
}

/** What every process in a sandbox sees: nothing of the machine but where programs are. */
function environment(home: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: home,
    XDG_CONFIG_HOME: join(home, ".config"),
    GIT_CONFIG_NOSYSTEM: "1",
    TZ: "UTC",
    LC_ALL: "C.UTF-8",
    ...(process.platform === "win32" ? { SystemRoot: process.env.SystemRoot ?? "", USERPROFILE: home } : {}),
    ...more,
  };
}

/** Makes a sandbox. `using here = sandbox()` removes it when the test ends, however it ends. */
export function sandbox(options: { readonly git?: boolean } = {}): Sandbox {
  // Real path: what the program reports about its directory can be compared (macOS has /tmp behind a link).
  const base = realpathSync(mkdtempSync(join(tmpdir(), "lodestar-test-")));
  const home = join(base, "home");
  const path = join(base, "repo");
  mkdirSync(home);
  mkdirSync(path);
  const git = (...args: readonly string[]): string => {
    const ran = Bun.spawnSync(["git", ...args], { cwd: path, env: environment(home), stdout: "pipe", stderr: "pipe" });
    if (ran.exitCode !== 0) throw new Error(`git ${args.join(" ")}: ${ran.stderr.toString()}`);
    return ran.stdout.toString();
  };
  if (options.git ?? true) {
    git("init", "-q", "-b", "main");
    git("config", "user.name", "Test");
    git("config", "user.email", "test@example.invalid");
    git("config", "commit.gpgsign", "false");
  }
  const remove = () => {
    if (existsSync(base)) rmSync(base, { recursive: true, force: true });
  };
  return {
    path,
    base,
    environment: (more) => environment(home, more),
    git,
    async run(args, { cwd = ".", env = {}, stdin = "", program = binary() } = {}) {
      const child = Bun.spawn([program, ...args], {
        cwd: join(cwd.startsWith("/") ? "" : path, cwd),
        env: environment(home, env),
        stdin: new TextEncoder().encode(stdin),
        stdout: "pipe",
        stderr: "pipe",
      });
      const [stdout, stderr, exit] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      return {
        exit,
        stdout,
        stderr,
        get json() {
          try {
            return JSON.parse(stdout);
          } catch (cause) {
            throw new Error(`No JSON on standard output of lodestar ${args.join(" ")}: ${stdout}${stderr}`, { cause });
          }
        },
      };
    },
    write(name, text) {
      const file = join(path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    },
    remove,
    [Symbol.dispose]: remove,
  };
}
