/** The runtime under simulation, past the product: what the checker reads of it, and what chance does to it. */
import type { Millis } from "../../src/core/time.ts";
import type { LeaseRow, OutboxRow, OutcomeRow } from "../support/runtime-tables.ts";

export interface ClockRow {
  readonly clock_offset: number;
  readonly last_now: number;
  readonly last_seq: number;
}

/** All that the checker asks of a runtime, in one consistent look. */
export interface Tables {
  /** Another one when another runtime has taken the place. */
  readonly identity: string;
  readonly clock: ClockRow | undefined;
  readonly leases: readonly LeaseRow[];
  readonly outcomes: readonly OutcomeRow[];
  readonly outbox: readonly OutboxRow[];
  /** Of all events, in their order. */
  readonly seqs: readonly number[];
}

/** What a runtime tells the history that runs on it. */
export interface Listener {
  /** What the simulated clock says. */
  now(): Millis;
  say(line: string): void;
  /** A process has died in the middle of a step; what it was about to do does not happen. */
  died(): void;
  /** A step has changed nothing and is tried again, knowing more: others may come before that. */
  looksAgain(): Promise<void>;
}

/** What a network does to a step. */
export type Hazard =
  /** It never arrives; the connection is gone. */
  | "lost"
  /** It is taken, and the connection is gone before the answer is seen. */
  | "cut"
  /** A copy of it arrives later. */
  | "repeated";

/** The network before a runtime that is reached by one. */
export interface SimulatedNetwork {
  /** To the next step of the product. */
  befall(hazard: Hazard): void;
  /** True while a copy of a step is under way. */
  readonly isLate: boolean;
  /** Hands over what is under way, and waits until it was taken. */
  deliver(): Promise<void>;
  /** What is under way is lost. */
  forget(): void;
}

/** One history's runtime. */
export interface SimulatedRuntime {
  /** How the product finds it. */
  readonly env: Readonly<Record<string, string>>;
  /** What the specs say of it. */
  readonly conventions: Readonly<Record<string, string>>;
  readonly network?: SimulatedNetwork;
  /** To be called before anything else. */
  attach(listener: Listener): void;
  /** True while there is anything at its place. */
  isThere(): Promise<boolean>;
  /** `undefined` while there is none of ours. */
  read(): Promise<Tables | undefined>;
  /** Its process dies before so many statements more that change something; 0: it lives. */
  doom(statements: number): void;
  /** Loses it, with all that it holds. */
  lose(): Promise<void>;
  /** Puts another program's in its place (counterexample 21); absent where no other program can. */
  readonly putForeign?: () => void;
  /** The marks of what {@link putForeign} left, and of what of it is still there. */
  readonly foreign: { readonly put: readonly string[]; found(): readonly string[] };
  /** Whether the kernel has the lock of the open file (counterexample 3); `undefined` where that cannot be seen. */
  keepsLocks(): boolean | undefined;
  close(): Promise<void>;
}

/** Makes the runtime of a history in a folder of its own. */
export type OpenRuntime = (base: string) => SimulatedRuntime;
