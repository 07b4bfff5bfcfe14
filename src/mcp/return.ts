/** Clients of HTTP that lose their connection and come back: what they missed is kept, and a call that waits waits for them. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { CallToolResult, EventStore, JSONRPCMessage } from "@modelcontextprotocol/server";
import { MINUTE } from "../core/time.ts";

/** So long a call that was waiting when its connection broke is kept for its client, waiting no further. */
const PATIENCE = MINUTE;
/** What is kept of one session's answers and notifications; the newest always, however large. */
const MOST_BYTES = 256 * 1024;

/** The connection that the answer to a request goes to. */
export class Line {
  #signal: AbortSignal;
  #back = (): void => {};

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Aborted when the connection has broken, until the client is back. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /** The client is back, on another connection. */
  attach(signal: AbortSignal): void {
    this.#signal = signal;
    this.#back();
  }

  /** Whether the client comes back in time, and stays. False at once when `cancelled`. */
  async comesBack(cancelled: AbortSignal): Promise<boolean> {
    const over = AbortSignal.any([cancelled, AbortSignal.timeout(PATIENCE)]);
    while (this.#signal.aborted && !over.aborted) {
      await new Promise<void>((resolve) => {
        this.#back = resolve;
        over.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return !over.aborted;
  }
}

/**
 * Makes a call whose answer goes to this line. When the line breaks, what waits is broken off and holds nothing for a client that is
 * not there; if it comes back, the call is made again: a claim that was granted is the same claim (L4).
 */
export async function untilAnswered(
  line: Line | undefined,
  cancelled: AbortSignal,
  call: (signal: AbortSignal) => Promise<CallToolResult>,
): Promise<CallToolResult> {
  if (line === undefined) return call(cancelled);
  for (;;) {
    const result = await call(AbortSignal.any([cancelled, line.signal]));
    if (!line.signal.aborted || !wasBrokenOff(result)) return result;
    if (!(await line.comesBack(cancelled))) return result;
  }
}

const wasBrokenOff = ({ structuredContent }: CallToolResult): boolean =>
  (structuredContent as { readonly error?: { readonly code: string } } | undefined)?.error?.code === "TIMEOUT";

interface Kept {
  readonly id: string;
  readonly stream: string;
  readonly message: JSONRPCMessage;
  readonly bytes: number;
}

/** What was sent in one session, for a client that says which event it has seen last. */
export class Replay implements EventStore {
  readonly #asking = new AsyncLocalStorage<Line>();
  readonly #lines = new Map<string, Line>();
  readonly #kept: Kept[] = [];
  #bytes = 0;
  #count = 0;

  /** Does what brings a request's answer about; the answer's stream is known by the request's line from then on. */
  answering<T>(line: Line, body: () => Promise<T>): Promise<T> {
    return this.#asking.run(line, body);
  }

  /** The line of the request that is being answered. */
  line(): Line | undefined {
    return this.#asking.getStore();
  }

  /** The line of the call whose answer will come on the stream of this event. */
  lineOf(event: string): Line | undefined {
    return this.#lines.get(streamOf(event));
  }

  async storeEvent(stream: string, message: JSONRPCMessage): Promise<string> {
    const line = this.line();
    if ("result" in message || "error" in message) this.#lines.delete(stream);
    else if (line !== undefined && stream !== NOTIFICATIONS) this.#lines.set(stream, line);
    this.#count += 1;
    const id = `${stream}.${this.#count}`;
    const bytes = Buffer.byteLength(JSON.stringify(message));
    this.#kept.push({ id, stream, message, bytes });
    this.#bytes += bytes;
    while (this.#bytes > MOST_BYTES && this.#kept.length > 1) this.#bytes -= this.#kept.shift()?.bytes ?? 0;
    return id;
  }

  async getStreamIdForEventId(id: string): Promise<string | undefined> {
    return this.#kept.some((each) => each.id === id) ? streamOf(id) : undefined;
  }

  async replayEventsAfter(
    last: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const stream = streamOf(last);
    const at = this.#kept.findIndex(({ id }) => id === last);
    // The first event of a stream is empty: only its name counts.
    const missed = this.#kept.slice(at + 1).filter((each) => each.stream === stream && "jsonrpc" in each.message);
    for (const { id, message } of missed) await send(id, message);
    return stream;
  }
}

/** The library's name for the stream of what was not asked for. */
const NOTIFICATIONS = "_GET_stream";

const streamOf = (event: string): string => event.slice(0, event.lastIndexOf("."));
