import type { LodestarError } from "../core/errors.ts";
import type { Random } from "../core/ids.ts";
import type { Clock, Millis } from "../core/time.ts";
import type { Place } from "../git/worktree.ts";
import type { Idempotency, RuntimeStore, Runtimes } from "../runtime/store.ts";
import type { SpecPlane } from "../spec/plane.ts";
import type { AnyCommand } from "./command.ts";
import type { Programs } from "./programs.ts";

/** What a command works with. All authority comes through here: clock, random ids, environment, the two planes. */
export interface Context {
  readonly clock: Clock;
  readonly random: Random;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where the call was made. */
  readonly cwd: string;
  /** The file of the program that runs. */
  readonly program: string;
  /** All of standard input. */
  stdin(): string;
  /** The next bytes of it, once there are any, for who cannot wait for all; `undefined` at its end. */
  nextStdin(): Promise<Uint8Array | undefined>;
  /** True when a person can be asked. */
  readonly interactive: boolean;
  /** Asks a yes/no question at the terminal. */
  confirm(question: string): boolean;

  /** @throws LodestarError `NOT_INITIALIZED` inside a bare repository. */
  readonly place: Place;
  /** False outside an initialised directory; `problem` says why when the place itself is unusable. */
  readonly initialized: boolean;
  readonly problem: LodestarError | undefined;
  /** The spec that counts here: the worktree's own, or the main worktree's under `conventions.spec: main`. */
  readonly spec: SpecPlane;
  /** The spec of a place, which may be another than this one. */
  specAt(place: Place): SpecPlane;
  /** Root of the worktree that `spec` lies in, and the branch checked out there: what outbox rows name. */
  readonly worktree: string;
  branch(): string;
  /** The same branch, with its commit. */
  head(): { readonly branch: string; readonly commit?: string };
  /** Where the runtime's file is, or would be where another kind of runtime is used. */
  readonly runtime_path: string;
  /** Every runtime that this call could speak to, and which of them counts. */
  runtimes(): Promise<Runtimes>;
  /** The same where something else was chosen than a file; asked by every call, so nothing is loaded for the answer that it is not. */
  elsewhere(): Promise<Runtimes | undefined>;
  /** Whether this call has changed the spec or the runtime yet (a heartbeat is no change). */
  readonly has_written: boolean;
  /** The runtime to write to; made when there is none. */
  runtime(): Promise<RuntimeStore>;
  /** The runtime to read from; none: the spec is all there is. Makes nothing. */
  runtimeIfAny(): Promise<RuntimeStore | undefined>;

  /** From now on waits for other users of the runtime at most so long (30 s unless said). For calls that somebody's work waits for. */
  waitAtMost(patience: Millis): void;
  /** Lets go of the runtime's file; the next use opens it again. */
  closeRuntime(): void;
  /** Lets go of both planes' files: for who makes many calls in one process. */
  close(): void;

  /** Aborted when nobody wants the answer any more; a process that dies needs none. */
  readonly signal: AbortSignal | undefined;
  /** Says how to take back what a call that nobody wants any more has brought about. */
  ifUnwanted(undo: () => Promise<void>): void;
  /** Takes it back, the latest first. */
  undo(): Promise<void>;

  /** Who acts: given with the call, else `--agent`, else `LODESTAR_AGENT`. */
  actor(given?: string): string | undefined;
  /** @throws LodestarError `AGENT_REQUIRED` */
  requireActor(given?: string): string;
  /** `LODESTAR_SESSION`, else the worktree. */
  readonly session: string;
  /** The TTL of new leases: given, `LODESTAR_LEASE_TTL`, the project's, 15 minutes. */
  ttl(given: string | undefined, project: string | undefined): Millis;

  /** The caller's idempotency key for this command and input; `part` tells the steps of one command apart. */
  idempotency(part: string): Idempotency | undefined;
  /** Sets what {@link idempotency} is made from; called by the pipeline. */
  begin(command: AnyCommand, input: Readonly<Record<string, unknown>>): void;

  /** What starts other programs. @throws LodestarError `USAGE` where none can be started. */
  programs(): Promise<Programs>;
  /**
   * The same place for one of several agents that act in this process: own connections, own warnings, no idempotency key.
   *
   * @param env what its environment has besides; `undefined` takes a name away.
   */
  apart(env: Readonly<Record<string, string | undefined>>): Promise<Context>;

  /** Said beside the answer, in the order they came up. */
  readonly warnings: readonly string[];
  warn(message: string): void;
}
