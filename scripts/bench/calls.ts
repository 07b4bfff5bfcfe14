/** The calls that are measured, each against the floor that does the least of the same kind of work. */
import type { Floor } from "./results.ts";

/** What a call works on. */
export interface Stage {
  /** Makes a call that is not timed. */
  readonly call: (...args: readonly string[]) => void;
  /** A task that can be claimed; another one in each round. */
  readonly task: string;
  /** Grows by one with each round. */
  readonly round: number;
}

export interface Call {
  readonly command: string;
  readonly floor: Floor;
  /** At most so many times the floor; up to 10 000 tasks, and above. */
  readonly aim: readonly [number, number];
  readonly argv: (stage: Stage) => readonly string[];
  /** Brings about what the call needs; not timed. */
  readonly before?: (stage: Stage) => void;
  /** Puts back what the call changed; not timed. */
  readonly after?: (stage: Stage) => void;
}

const read = { floor: "Q", aim: [1.3, 1.4] } as const;
const leases = { floor: "C", aim: [1.4, 1.5] } as const;
const saves = { floor: "W", aim: [1.5, 1.5] } as const;

const claim = ({ call, task }: Stage) => call("task", "claim", task);
const release = ({ call, task }: Stage) => call("task", "release", task);
const reopen = ({ call, task }: Stage) => call("task", "reopen", task);

export const CALLS: readonly Call[] = [
  { command: "--version", floor: "E", aim: [1.1, 1.1], argv: () => ["--version"] },
  { command: "task next --json", ...read, argv: () => ["task", "next", "--json"] },
  { command: "status --json", ...read, argv: () => ["status", "--json"] },
  { command: "task show", ...read, argv: ({ task }) => ["task", "show", task, "--json"] },
  { command: "task claim", ...leases, argv: ({ task }) => ["task", "claim", task, "--json"], after: release },
  {
    command: "task renew",
    ...leases,
    before: claim,
    argv: ({ task }) => ["task", "renew", task, "--json"],
    after: release,
  },
  { command: "task release", ...leases, before: claim, argv: ({ task }) => ["task", "release", task, "--json"] },
  {
    command: "msg send",
    ...leases,
    argv: ({ task }) => ["msg", "send", "--task", task, "--text", "The parser is done.", "--json"],
  },
  {
    command: "task done",
    ...saves,
    before: claim,
    argv: ({ task }) => ["task", "done", task, "--json"],
    after: reopen,
  },
  {
    command: "task verify",
    ...saves,
    before: (stage) => {
      claim(stage);
      stage.call("task", "done", stage.task);
    },
    argv: ({ task }) => ["task", "verify", task, "--json"],
    after: reopen,
  },
  {
    command: "task update",
    ...saves,
    argv: ({ task, round }) => ["task", "update", task, "--priority", String(round + 10), "--json"],
  },
  // Last, because it is the one that leaves something.
  { command: "task create", ...saves, argv: ({ round }) => ["task", "create", "--title", `Made ${round}`, "--json"] },
];
