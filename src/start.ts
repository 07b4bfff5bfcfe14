import type { Io } from "./cli/io.ts";

const argv = process.argv.slice(2);
/** Standard input, where a hook reads it. Through `node:fs` each read would need a thread. */
let input: ReturnType<typeof readInputStream> | undefined;
/** What a hook has read of its input before the whole program was asked for; then it is all that the program reads. */
let heard: Uint8Array[] | undefined;

if (!isHook()) await main();
// A read of an input that nobody ends would go on.
else if (await hasNothingToDo(argv[1], process.env)) process.exit(0);
else await main();

/** A coding agent's hook as `setup` writes it: called all day, and in repositories that know nothing of Lodestar, too. */
function isHook(): boolean {
  const [word, , option] = argv;
  return word === "hook" && (argv.length === 2 || (argv.length === 4 && option === "--tool"));
}

/**
 * Most hooks find nothing to do: no Lodestar there, or nobody's lease that concerns them. That is told by a few looks, without loading the
 * program; only what is sure counts.
 */
async function hasNothingToDo(event: string | undefined, env: Env): Promise<boolean> {
  const { lookHere } = await import("./git/here.ts");
  const cwd = process.cwd();
  const here = lookHere(cwd);
  if (here.kind !== "set up") return here.kind === "nothing";
  if (event !== "pre-edit" && event !== "post-tool" && event !== "stop") return false;
  // The runtime may be another one, of which only the whole program knows.
  if ((env.LODESTAR_RUNTIME ?? "") !== "" || env.HOME === undefined) return false;
  const { isIdle, mayBeElsewhere, othersLocks } = await import("./runtime/sqlite/idle.ts");
  if (mayBeElsewhere(env, process.platform === "win32")) return false;
  const runtime = `${here.shared}/runtime.sqlite`;
  const agent = env.LODESTAR_AGENT || null;
  if (event !== "pre-edit") return isIdle(runtime, event === "stop" ? "own lease" : "own lease due", agent, Date.now());
  const locks = othersLocks(runtime, agent);
  return locks !== undefined && (locks.length === 0 || (await editsElsewhere(locks, cwd, here.root)));
}

/** True when what is about to be edited surely lies outside of these path locks. */
async function editsElsewhere(locks: readonly string[], cwd: string, root: string): Promise<boolean> {
  const [fs, { readInput }, { areElsewhere, isRecord }] = await Promise.all([
    import("node:fs"),
    import("./commands/setup/hook-input.ts"),
    import("./commands/setup/edited-files.ts"),
  ]);
  // A person who tries the hook is not kept waiting.
  if (isTerminal(fs, 0)) return false;
  const parts: Uint8Array[] = [];
  try {
    const said = await readInput(async () => {
      const part = await nextInput();
      if (part !== undefined) {
        parts.push(part);
        heard = parts;
      }
      return part;
    });
    return !isRecord(said) || areElsewhere(said, cwd, root, locks);
  } catch {
    // No JSON: the whole program says so.
    return false;
  }
}

type Env = Readonly<Record<string, string | undefined>>;
type Files = typeof import("node:fs");

async function main(): Promise<never> {
  process.on("uncaughtException", (cause) => void fail(cause));
  process.on("unhandledRejection", (cause) => void fail(cause));
  const [fs, { GROUPS, openContext, REGISTRY, runCli }] = await Promise.all([import("node:fs"), import("./wire.ts")]);
  const servers = { mcp: () => import("./mcp/serve.ts") };
  const exit = await runCli(argv, processIo(fs), { registry: REGISTRY, groups: GROUPS, openContext, servers });
  process.exit(exit);
}

/** Whatever nobody caught is a defect of ours; it is answered like any other failure, without a stack trace. */
async function fail(cause: unknown): Promise<never> {
  try {
    const [fs, { failUnexpectedly }] = await Promise.all([import("node:fs"), import("./cli/run.ts")]);
    process.exit(await failUnexpectedly(argv, processIo(fs), cause));
  } catch {
    console.error("Error: Lodestar failed unexpectedly, and failed again to say how.");
    process.exit(70);
  }
}

/** This process as values. Nothing here touches `process.stdout`, which costs more than most calls, but for the width of a terminal. */
function processIo(fs: Files): Io {
  return {
    cwd: process.cwd(),
    env: process.env,
    out: (text) => void writeAll(fs, 1, `${text}\n`),
    offer: (text) => writeAll(fs, 1, `${text}\n`),
    err: (text) => void writeAll(fs, 2, `${text}\n`),
    isTerminal: (stream) => isTerminal(fs, { in: 0, out: 1, err: 2 }[stream]),
    columns: () => process.stdout.columns || 80,
    confirm: (question) => confirm(question),
    readStdin: () => fs.readFileSync(0, "utf8"),
    nextStdin: async () => (heard === undefined ? nextInput() : heard.shift()),
    readFile: async (path, base) => {
      const { resolve } = await import("node:path");
      return fs.readFileSync(resolve(process.cwd(), base, path), "utf8");
    },
    system: {
      write: (stream, bytes) => writeMeanwhile(fs, { out: 1, err: 2 }[stream], bytes),
      onSignal(listener) {
        const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
        for (const signal of signals) process.on(signal, listener);
        return () => {
          for (const signal of signals) process.off(signal, listener);
        };
      },
      signal(pid, signal) {
        // Windows has no signals, and ends no children with their parent: the whole tree is ended.
        if (process.platform === "win32") {
          Bun.spawnSync(["taskkill", "/t", "/f", "/pid", String(pid)]);
          return;
        }
        try {
          process.kill(-pid, signal);
        } catch (cause) {
          // Nothing of it is left, or nothing that is ours.
          if (!(cause instanceof Error && "code" in cause && (cause.code === "ESRCH" || cause.code === "EPERM")))
            throw cause;
        }
      },
    },
    channels: async () => {
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
      return { stdin: process.stdin, stdout: process.stdout, clock: { now: () => Date.now() }, stop: stop.signal };
    },
  };
}

/** As {@link writeAll}, in the background: whoever renews leases must not stand still because a pager does. */
async function writeMeanwhile(fs: Files, descriptor: number, bytes: Uint8Array): Promise<boolean> {
  for (let written = 0; written < bytes.length; ) {
    const came = await new Promise<number | NodeJS.ErrnoException>((resolve) =>
      fs.write(descriptor, bytes, written, bytes.length - written, null, (error, count) => resolve(error ?? count)),
    );
    if (typeof came === "number") written += came;
    else if (came.code === "EAGAIN") await Bun.sleep(5);
    else return false;
  }
  return true;
}

/** The next bytes, read in the background: a stream may be open for ever, with nobody who writes. `undefined` at its end. */
async function nextInput(): Promise<Uint8Array | undefined> {
  input ??= readInputStream();
  const { value } = await input.read();
  return value;
}

function readInputStream() {
  return Bun.stdin.stream().getReader();
}

/**
 * Writes all of a text, to a slow pipe too. Not `console.log`, which keeps quiet about a full disk; nor `console.error`,
 * which paints everything red on a terminal, whatever the person said about colours.
 *
 * @returns false when the reader has gone away, which is no error.
 */
function writeAll(fs: Files, descriptor: number, text: string): boolean {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += fs.writeSync(descriptor, bytes, written);
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
      if (code === "EPIPE" || code === "EBADF") return false;
      if (code === "EAGAIN") Bun.sleepSync(1);
      else return giveUp(fs, descriptor, String(code ?? cause));
    }
  }
  return true;
}

/** An answer that cannot be written is lost: the caller must not take silence for success. */
function giveUp(fs: Files, descriptor: number, why: string): never {
  if (descriptor !== 2) writeAll(fs, 2, `Error: The answer could not be written to standard output (${why}).\n`);
  process.exit(5); // As DISK_FULL; its table is not loaded where only the version is asked for.
}

/** A character device that is not the null device. A closed descriptor is none. */
function isTerminal(fs: Files, descriptor: number): boolean {
  try {
    const stat = fs.fstatSync(descriptor);
    if (!stat.isCharacterDevice()) return false;
    const none = fs.statSync(process.platform === "win32" ? "NUL" : "/dev/null", { throwIfNoEntry: false });
    return none === undefined || none.rdev !== stat.rdev;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) return false;
    throw cause;
  }
}
