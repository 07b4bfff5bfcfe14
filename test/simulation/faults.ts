/** What can go wrong, or be done by somebody who takes no lock of ours. Each must occur in every longer run. */
const ANYWHERE = [
  ...["crash between two steps", "crash inside a step of the runtime", "crash inside a save", "lost answer"],
  ...["clock forward", "clock backward", "pause", "pause past the end of a lease", "slow disk in a save"],
  ...[
    "slow disk in a commit",
    "busy lock",
    "edit by hand",
    "pull from another clone",
    "checkout",
    "checkout in a save",
  ],
  ...["edit in a save", "merge", "fast-forward merge", "merge given up", "bare branch", "task twice in the file"],
  ...["runtime lost", "index lost", "worktree removed", "worktree made again"],
] as const;
const TO_A_FILE = ["foreign runtime"] as const;
const ON_A_NETWORK = ["step lost in the network", "answer lost in the network", "step arrives twice"] as const;

export type Fault = (typeof ANYWHERE)[number] | (typeof TO_A_FILE)[number] | (typeof ON_A_NETWORK)[number];

/** Where a simulated runtime is kept. */
export const STORES = ["sqlite", "postgres"] as const;
export type Store = (typeof STORES)[number];

export const FAULTS: Readonly<Record<Store, readonly Fault[]>> = {
  sqlite: [...ANYWHERE, ...TO_A_FILE],
  postgres: [...ANYWHERE, ...ON_A_NETWORK],
};
