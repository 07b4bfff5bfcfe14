/** Signals that ask a program to end. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** Other programs as a command sees them. Handed in by the face, which alone knows where their output belongs. */
export interface Programs {
  /** Where the program that this word names is, as a shell would find it; `undefined` when there is none. */
  find(word: string, where: Place): string | undefined;
  /** Starts one. @throws what the system says when it cannot be started. */
  start(order: Order): Running;
  /** Has the signals that ask this process to end come here instead, until the function that it returns is called. */
  onSignal(listener: (signal: StopSignal) => void): () => void;
  /** Tells people how things go, while they go. */
  say(text: string): Promise<void>;
}

/** The folder in which a program is looked for and runs, and what it sees. */
export interface Place {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Order extends Place {
  readonly words: readonly string[];
  /** All that stands on its standard input. */
  readonly stdin: string;
  /** What its lines begin with where several programs speak at once; none: its output is passed on as it is. */
  readonly label?: string;
}

export interface Running {
  /** Fulfilled when it has ended and its output is passed on. */
  readonly ended: Promise<Ended>;
  /** Sends a signal to it and to what it started. */
  signal(signal: StopSignal | "SIGKILL"): void;
}

export interface Ended {
  /** Its exit status as a shell has it: 128 and the signal's number where a signal ended it. */
  readonly status: number;
  /** Its last output on both streams, a few lines of text that are safe to show. */
  readonly tail: string;
}
