/** What a caller may rely on for an error code: the process's exit status, whether trying again can help, and what to do. */
export interface CodeInfo {
  readonly exit: 1 | 2 | 3 | 4 | 5 | 6 | 70 | 130;
  readonly retriable: boolean;
  readonly hint: string;
}

/**
 * Every error code that Lodestar can answer, defined once. A released code keeps its meaning.
 * Exit statuses: 1 refused by the state of things, 2 the call is wrong, 3 no such thing,
 * 4 somebody else has it, 5 try again, 6 a file is damaged or not ours, 70 a bug of ours, 130 interrupted (128 and the
 * signal's number, as shells have it).
 */
export const CODES = {
  NOT_CLAIMABLE: {
    exit: 1,
    retriable: true,
    hint: "See why with `lodestar task show ID`; take other work with `lodestar task next`.",
  },
  UNMET_DEPENDENCIES: { exit: 1, retriable: true, hint: "The dependencies in details must be verified first." },
  NOT_DONE: {
    exit: 1,
    retriable: true,
    hint: "Only work that is done can be verified; finish it with `lodestar task done ID`.",
  },
  HAS_DEPENDENTS: {
    exit: 1,
    retriable: false,
    hint: "Delete the dependents too with --cascade, or remove the dependency from them first.",
  },
  DEPENDENCY_CYCLE: {
    exit: 1,
    retriable: false,
    hint: "Remove one of the dependencies along the cycle named in details.",
  },
  ID_TAKEN: { exit: 1, retriable: false, hint: "Choose another id, or leave --id out to have one made." },
  NOT_EMPTY: {
    exit: 1,
    retriable: false,
    hint: "Import a snapshot into a freshly initialised repository, or clear this one first: `lodestar reset --hard` keeps a backup.",
  },
  SELF_VERIFICATION: {
    exit: 1,
    retriable: false,
    hint: "This project wants another agent to verify; leave it to `lodestar task next --review`.",
  },
  UNHEALTHY: {
    exit: 1,
    retriable: false,
    hint: "Each failed check names its fix; `lodestar doctor --fix` repairs what can be repaired safely.",
  },
  CONFIRMATION_REQUIRED: {
    exit: 1,
    retriable: false,
    hint: "Run it again with --force once you have read what would be removed.",
  },
  MERGE_CONFLICT: {
    exit: 1,
    retriable: false,
    hint: "Decide between the two values at the markers in the file, or with `lodestar git resolve --take ours|theirs`.",
  },
  IDEMPOTENCY_MISMATCH: {
    exit: 1,
    retriable: false,
    hint: "This key was used with other input; choose a new key for a new request.",
  },
  RUNTIME_UNTRUSTED: {
    exit: 1,
    retriable: false,
    hint: "It is for a person to decide, who looks at what the spec names and types `lodestar runtime trust` at a terminal.",
  },
  RUNTIME_MOVED: {
    exit: 1,
    retriable: false,
    hint: "Merge the branch whose spec names the runtime in details, or ask who moved it; `lodestar runtime status` tells which is used here.",
  },
  RUNTIME_NOT_MIGRATED: {
    exit: 1,
    retriable: false,
    hint: "`lodestar runtime migrate` prepares the database and writes the project's id into the spec; commit that.",
  },
  RUNTIME_TRACKED: {
    exit: 1,
    retriable: false,
    hint: "Take it out of Git with `git rm --cached .lodestar/runtime.sqlite` and commit.",
  },
  DRIFTED: {
    exit: 1,
    retriable: false,
    hint: "Look at what changed with `lodestar prd show ID --diff`; `lodestar prd accept ID` freezes it anew.",
  },
  USAGE: { exit: 2, retriable: false, hint: "See `lodestar --help`." },
  INVALID_TTL: { exit: 2, retriable: false, hint: "Write a duration from 1s to 7d, such as 90s, 15m, 1h30m or 2d." },
  INVALID_ID: {
    exit: 2,
    retriable: false,
    hint: "An id has 1 to 100 letters, digits and the signs . _ - and begins with a letter or digit.",
  },
  AGENT_REQUIRED: {
    exit: 2,
    retriable: false,
    hint: "Say who you are with --agent ID or LODESTAR_AGENT; `lodestar agent join` makes an id.",
  },
  NOT_INITIALIZED: { exit: 3, retriable: false, hint: "Run `lodestar init` in the repository first." },
  NOT_A_REPOSITORY: {
    exit: 3,
    retriable: false,
    hint: "The .git file here points to a folder that cannot be seen; mount the main repository too.",
  },
  PATH_NOT_FOUND: { exit: 3, retriable: false, hint: "Check the path; nothing was written." },
  ANCHOR_NOT_FOUND: {
    exit: 3,
    retriable: false,
    hint: "See the sections with `lodestar prd outline FILE`; --no-validate-prd leaves the reference unchecked.",
  },
  TASK_NOT_FOUND: { exit: 3, retriable: false, hint: "See the ids with `lodestar task list`." },
  AGENT_NOT_FOUND: {
    exit: 3,
    retriable: false,
    hint: "Register with `lodestar agent join`, or resume this id with `lodestar agent join --id ID`.",
  },
  EVENTS_PRUNED: {
    exit: 3,
    retriable: false,
    hint: "Events that old are gone; begin again from the oldest in details.",
  },
  ALREADY_CLAIMED: {
    exit: 4,
    retriable: true,
    hint: "Take other work with `lodestar task next --claim`, or wait for this with --wait.",
  },
  LEASE_LOST: {
    exit: 4,
    retriable: false,
    hint: "Your lease on the task is over; do not write to it. Claim it again if it is claimable.",
  },
  LOCK_CONFLICT: {
    exit: 4,
    retriable: true,
    hint: "Another agent works on the same files; take other work, wait, or override with --force.",
  },
  NOT_HOLDER: {
    exit: 4,
    retriable: false,
    hint: "Claim the task first, or override with --force if its holder is known to be gone.",
  },
  BUSY: { exit: 5, retriable: true, hint: "Other processes are writing; try again." },
  TIMEOUT: { exit: 5, retriable: true, hint: "Nothing came in the time given; wait again, or longer." },
  RUNTIME_UNREACHABLE: { exit: 5, retriable: true, hint: "Check that the runtime can be reached, and try again." },
  DISK_FULL: {
    exit: 5,
    retriable: true,
    hint: "Free some space, then run the same command again: what is there already is not done twice.",
  },
  READ_ONLY: {
    exit: 6,
    retriable: false,
    hint: "Make the folder writable for this user, or name another place with LODESTAR_RUNTIME.",
  },
  SPEC_INVALID: { exit: 6, retriable: false, hint: "Fix the lines named in details; `lodestar doctor` checks again." },
  SPEC_CONFLICT_MARKERS: {
    exit: 6,
    retriable: false,
    hint: "Resolve the merge in the lines named in details, then run the command again.",
  },
  RUNTIME_CORRUPT: {
    exit: 6,
    retriable: false,
    hint: "`lodestar doctor --fix` moves the damaged file aside; the spec is not affected.",
  },
  RUNTIME_TOO_NEW: { exit: 6, retriable: false, hint: "A newer Lodestar wrote this runtime; upgrade this one." },
  RUNTIME_UNSUPPORTED_FILESYSTEM: {
    exit: 6,
    retriable: false,
    hint: "SQLite needs a local disk; name a local path with LODESTAR_RUNTIME.",
  },
  PRD_OUTSIDE_REPOSITORY: {
    exit: 6,
    retriable: false,
    hint: "Copy the document into the repository, and name it there.",
  },
  PACKAGE_MANAGED: {
    exit: 1,
    retriable: false,
    hint: "Upgrade it with what installed it.",
  },
  RELEASE_NOT_FOUND: {
    exit: 3,
    retriable: false,
    hint: "`lodestar upgrade --check` says which version is the latest.",
  },
  DOWNLOAD_FAILED: {
    exit: 5,
    retriable: true,
    hint: "Check the connection and https_proxy, or name a mirror with LODESTAR_BASE_URL; the program is as it was.",
  },
  CHECKSUM_MISMATCH: {
    exit: 6,
    retriable: false,
    hint: "It was damaged or tampered with on the way, and nothing was replaced. Try again; if it stays so, tell the maintainers.",
  },
  PROGRAM_UNUSABLE: {
    exit: 6,
    retriable: false,
    hint: "The program is as it was. On Alpine, `apk add libstdc++ libgcc` may be missing.",
  },
  RUN_FAILED: {
    exit: 1,
    retriable: true,
    hint: "The notes say how each attempt ended: `lodestar msg thread ID`.",
  },
  INTERRUPTED: {
    exit: 130,
    retriable: true,
    hint: "What was running was ended and its tasks were given back; start it again to go on.",
  },
  INTERNAL: {
    exit: 70,
    retriable: false,
    hint: "This is a defect of Lodestar; please report it with the command and the message.",
  },
} as const satisfies Record<string, CodeInfo>;

export type Code = keyof typeof CODES;

/**
 * An error that a caller may see: a code of {@link CODES}, a sentence that names the thing, facts as data.
 * Anything else that is thrown is a defect and becomes `INTERNAL`.
 */
export class LodestarError extends Error {
  override readonly name = "LodestarError";
  readonly code: Code;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string;

  /** @param options.hint replaces the code's own hint where this case knows a better one. */
  constructor(
    code: Code,
    message: string,
    options: {
      readonly details?: Readonly<Record<string, unknown>>;
      readonly hint?: string;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint ?? CODES[code].hint;
  }
}

/** What the operating system says of a file that cannot be written, as codes of ours. */
const WRITE_CODES: Readonly<Record<string, { readonly code: Code; readonly says: string }>> = {
  ENOSPC: { code: "DISK_FULL", says: "no space is left on its disk" },
  EDQUOT: { code: "DISK_FULL", says: "the quota of this user is used up" },
  EFBIG: { code: "DISK_FULL", says: "it would be larger than this process may write (ulimit -f)" },
  EROFS: { code: "READ_ONLY", says: "its disk is mounted read-only" },
  EACCES: { code: "READ_ONLY", says: "this user may not write there" },
  EPERM: { code: "READ_ONLY", says: "this user may not write there" },
};

/** Why a file could not be written, as `DISK_FULL` or `READ_ONLY`; anything else passes through unchanged. */
export function writeError(path: string, cause: unknown): unknown {
  if (cause instanceof LodestarError) return cause;
  const name = (cause as { readonly code?: string }).code ?? "";
  const known = Object.hasOwn(WRITE_CODES, name) ? WRITE_CODES[name] : undefined;
  if (known === undefined) return cause;
  return new LodestarError(known.code, `${path} cannot be written: ${known.says} (${name})`, {
    cause,
    details: { path },
  });
}

/** The same where nothing passes through: whatever is in the way of a file of ours, it cannot be written. */
export function unwritable(path: string, cause: unknown): LodestarError {
  const error = writeError(path, cause);
  if (error instanceof LodestarError) return error;
  return new LodestarError("READ_ONLY", `${path} cannot be written: ${(cause as Error).message}`, {
    cause,
    details: { path },
  });
}
