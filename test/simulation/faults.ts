/** What can go wrong, or be done by somebody who takes no lock of ours. Each must occur in every longer run. */
export const FAULTS = [
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
  ...["runtime lost", "foreign runtime", "index lost", "worktree removed", "worktree made again"],
] as const;
export type Fault = (typeof FAULTS)[number];
