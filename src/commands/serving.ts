import type { Readable, Writable } from "node:stream";
import type { Clock } from "../core/time.ts";
import type { Context } from "./context.ts";
import type { Registry } from "./mcp/toolbox.ts";

/** Who makes a call of a server, and how it may end. */
export interface ServedCall {
  readonly agent?: string;
  /** In the place of the worktree, where one process serves many sessions. */
  readonly session?: string;
  readonly signal?: AbortSignal;
}

/** The process as a server has it: streams that are its own, and the order to stop. */
export interface Channels {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly clock: Clock;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly stop: AbortSignal;
}

/** What a face that serves is given. */
export interface Serving extends Channels {
  readonly input: Readonly<Record<string, unknown>>;
  readonly registry: Registry;
  /** Opens what one call works with, anew for each, since the planes may change in between. Who asks closes it. */
  readonly open: (call: ServedCall) => Promise<Context>;
  /** A line for people, on standard error. */
  readonly log: (line: string) => void;
}

/** Serves until told to stop, or until nobody is left. */
export type Serve = (serving: Serving) => Promise<void>;
