import type { Ended, Order, Programs, Running } from "../commands/programs.ts";
import { LodestarError } from "../core/errors.ts";
import { sanitise } from "../render/sanitise.ts";
import type { Io, System } from "./io.ts";

/** Of a line without an end so much is passed on at a time. */
const LONGEST_LINE = 64 * 1024;
/** Where there are process groups, and a shell to watch over them. */
const HAS_GROUPS = !navigator.platform.startsWith("Win");
/** So much of the last output is kept: enough for the message with which most programs fail. */
const TAIL = { bytes: 8 * 1024, lines: 20, characters: 1500 };
/** A program that has ended may have left another that holds its output open; after such a silence nobody listens any more. */
const SILENCE = 250;
/** …and however much that other one says, after so long. */
const LINGERING = 30_000;

/** Other programs, with their output on this process's streams. In JSON all of it goes to standard error. */
export function programs(io: Io, { json, quiet }: { readonly json: boolean; readonly quiet: boolean }): Programs {
  const { system } = io;
  if (system === undefined) throw new LodestarError("USAGE", "Programs cannot be started here.");
  const queues = { out: Promise.resolve(true), err: Promise.resolve(true) };
  // One write after the other: of several programs at once, no line is torn by another's.
  const write = (stream: "out" | "err", bytes: Uint8Array): Promise<boolean> => {
    const next = queues[stream].then((isRead) => isRead && system.write(stream, bytes));
    queues[stream] = next;
    return next;
  };
  return {
    find: (word, { cwd, env }) => Bun.which(word, { cwd, PATH: env.PATH ?? "" }) ?? undefined,
    start: (order) => start(order, io, system, (stream, bytes) => write(json ? "err" : stream, bytes), json),
    onSignal: system.onSignal,
    async say(text) {
      if (!json && !quiet) await write("err", new TextEncoder().encode(`lodestar: ${sanitise(text)}\n`));
    },
  };
}

function start(
  order: Order,
  io: Io,
  system: System,
  write: (stream: "out" | "err", bytes: Uint8Array) => Promise<boolean>,
  json: boolean,
): Running {
  const child = Bun.spawn([...order.words], {
    cwd: order.cwd,
    env: order.env,
    stdin: new TextEncoder().encode(order.stdin),
    stdout: "pipe",
    stderr: "pipe",
    // A group of its own: a signal reaches what it started too, and one from the terminal comes once, through us.
    detached: true,
  });
  let dismiss: () => void;
  try {
    dismiss = guard(child.pid);
  } catch (cause) {
    // Nobody will look after it: the caller is told that it could not be started.
    system.signal(child.pid, "SIGKILL");
    throw cause;
  }
  const tail = new Tail();
  const pass = (stream: "out" | "err", source: ReadableStream<Uint8Array>) => {
    const { label } = order;
    const shown = io.isTerminal(json ? "err" : stream);
    const lines = label === undefined ? undefined : new Lines(sanitise(label), shown);
    return pump(source, child.exited, async (bytes) => {
      if (bytes !== undefined) tail.add(bytes);
      const ready = lines === undefined ? bytes : bytes === undefined ? lines.rest() : lines.add(bytes);
      if (ready !== undefined && ready.length > 0) await write(stream, ready);
    });
  };
  const passed = [pass("out", child.stdout), pass("err", child.stderr)];
  const end = async (): Promise<Ended> => {
    const status = await child.exited;
    dismiss();
    await Promise.all(passed);
    return { status, tail: tail.text() };
  };
  return { ended: end(), signal: (signal) => system.signal(child.pid, signal) };
}

/**
 * Ends a program with all that it started when this process is killed before it: an agent whose lease nobody renews must not
 * go on. A shell that waits for the end of a pipe, which the kernel closes however this process ends.
 */
function guard(pid: number): () => void {
  if (!HAS_GROUPS) return () => {};
  const watching = `read -r word || { kill -s TERM -- -${pid}; sleep 5; kill -s KILL -- -${pid}; }`;
  const child = Bun.spawn(["/bin/sh", "-c", watching], {
    cwd: "/",
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    detached: true,
  });
  child.unref();
  return () => {
    child.stdin.write("done\n");
    child.stdin.end();
  };
}

/** Hands over what a program writes, until it has ended and nothing more comes; then `undefined`, once. */
async function pump(
  source: ReadableStream<Uint8Array>,
  exited: Promise<unknown>,
  take: (bytes: Uint8Array | undefined) => Promise<void>,
): Promise<void> {
  const reader = source.getReader();
  const ended = exited.then(() => undefined);
  let over: Promise<undefined> | undefined;
  for (;;) {
    const read = reader.read();
    let got = await Promise.race([read, ended]);
    if (got === undefined) {
      over ??= Bun.sleep(LINGERING).then(() => undefined);
      got = await Promise.race([read, Bun.sleep(SILENCE).then(() => undefined), over]);
    }
    if (got === undefined || got.done) break;
    await take(got.value);
  }
  await reader.cancel();
  await take(undefined);
}

/** Whole lines, each with a label before it. */
class Lines {
  readonly #label: Uint8Array;
  readonly #shown: boolean;
  #kept: Uint8Array[] = [];
  #length = 0;

  /** @param shown on a terminal: what would act on it is shown instead. */
  constructor(label: string, shown: boolean) {
    this.#label = new TextEncoder().encode(`${label} | `);
    this.#shown = shown;
  }

  add(bytes: Uint8Array): Uint8Array {
    const made: Uint8Array[] = [];
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      this.#keep(bytes.subarray(from, end));
      made.push(...this.#line());
      from = end + 1;
    }
    this.#keep(bytes.subarray(from));
    if (this.#length >= LONGEST_LINE) made.push(...this.#line());
    return Buffer.concat(made);
  }

  rest(): Uint8Array | undefined {
    return this.#length === 0 ? undefined : Buffer.concat(this.#line());
  }

  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes.slice());
    this.#length += bytes.length;
  }

  #line(): Uint8Array[] {
    const line = Buffer.concat(this.#kept);
    this.#kept = [];
    this.#length = 0;
    const text = this.#shown ? new TextEncoder().encode(sanitise(line.toString("utf8").replace(/\r$/, ""))) : line;
    return [this.#label, text, new Uint8Array([10])];
  }
}

/** The last of a program's output. */
class Tail {
  #bytes: Uint8Array = new Uint8Array();

  add(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(-TAIL.bytes)]).subarray(-TAIL.bytes);
  }

  text(): string {
    const plain = sanitise(Bun.stripANSI(Buffer.from(this.#bytes).toString("utf8")).replaceAll("\r", "\n"));
    const lines = plain.split("\n").filter((line) => line.trim() !== "");
    return lines.slice(-TAIL.lines).join("\n").slice(-TAIL.characters).trim();
  }
}
