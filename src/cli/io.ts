import type { StopSignal } from "../commands/programs.ts";
import type { Channels } from "../commands/serving.ts";

/** The process as values: all that the command line knows of the world outside. Made by start.ts, or by a test. */
export interface Io {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes text and a line end to standard output. */
  readonly out: (text: string) => void;
  /** The same, and tells whether anybody still reads: for answers that go on until then. */
  readonly offer: (text: string) => boolean;
  /** Writes text and a line end to standard error. */
  readonly err: (text: string) => void;
  readonly isTerminal: (stream: "in" | "out" | "err") => boolean;
  /** Width of the terminal behind standard output. */
  readonly columns: () => number;
  /** Asks the person at the terminal a yes/no question. */
  readonly confirm: (question: string) => boolean;
  /** All of standard input, as text. */
  readonly readStdin: () => string;
  /** The next bytes of standard input, once there are any; `undefined` at its end. */
  readonly nextStdin: () => Promise<Uint8Array | undefined>;
  /** Text of a file; a relative path is looked up from `base`, and that from cwd. Rejects as node:fs throws. */
  readonly readFile: (path: string, base: string) => Promise<string>;
  /** What it takes to look after other programs; none: none can be started. */
  readonly system?: System;
  /** The streams themselves, for a face that serves; nothing else is written or read from then on. */
  readonly channels?: () => Promise<Channels>;
}

/** The parts of the process that only a command needs which starts others. */
export interface System {
  /**
   * Writes without holding up anything else, however slow the reader. One write a stream at a time is the caller's affair.
   *
   * @returns false when nobody reads any more.
   */
  readonly write: (stream: "out" | "err", bytes: Uint8Array) => Promise<boolean>;
  /** Has the signals that ask this process to end come here instead, until the function that it returns is called. */
  readonly onSignal: (listener: (signal: StopSignal) => void) => () => void;
  /** Sends a signal to a program and all that it started, or to it alone where there are no process groups. */
  readonly signal: (pid: number, signal: StopSignal | "SIGKILL") => void;
}
