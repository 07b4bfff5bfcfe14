/** For every command: calls that succeed, and for each of its documented errors a state that provokes it. */
import { Database } from "bun:sqlite";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Code } from "../../src/core/errors.ts";
import type { RunOptions, Sandbox } from "../support/sandbox.ts";

/** One call in a state. */
export interface Case {
  /** The words after `lodestar`, without `--json`. */
  readonly call: readonly string[];
  /** Calls that make the state; each must succeed. ALICE and BOB have joined before. */
  readonly before?: readonly (readonly string[])[];
  /** What the spec's `project.conventions` holds. */
  readonly conventions?: string;
  /** Any other part of the state, after `before`. */
  readonly also?: (here: Sandbox) => void;
  readonly options?: RunOptions;
  /** Not in an initialised repository, but in one without Lodestar. */
  readonly bare?: true;
  /** Why this machine cannot make the state; then the case is skipped. */
  readonly impossible?: string | false;
}

/** The codes that every command may answer, whatever it does: about the call, the place, the files. */
export const GENERAL: readonly Code[] = [
  "USAGE",
  "NOT_INITIALIZED",
  "NOT_A_REPOSITORY",
  "IDEMPOTENCY_MISMATCH",
  "SPEC_INVALID",
  "SPEC_CONFLICT_MARKERS",
  "RUNTIME_CORRUPT",
  "RUNTIME_TOO_NEW",
  "RUNTIME_TRACKED",
  "RUNTIME_UNSUPPORTED_FILESYSTEM",
  "READ_ONLY",
  "PATH_NOT_FOUND",
  "INVALID_TTL",
  "BUSY",
  "DISK_FULL",
  "INTERNAL",
];

/** Reserved for what this version does not have yet: a runtime that is not a local file. */
export const RESERVED: readonly Code[] = ["RUNTIME_UNTRUSTED", "RUNTIME_UNREACHABLE"];

/**
 * A spec with a task in every state: OPEN and OTHER want the same files, WAITS depends on OPEN.
 *
 * @param conventions the flow mapping of `project.conventions`, without braces.
 */
export const specText = (conventions = "") => `project:
  name: shop
  default_branch: main
  conventions: {${conventions}}
tasks:
  CHECKED:
    title: Choose a database
    priority: 1
    status: verified
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-02T00:00:00.000Z'
    completed_at: '2026-01-02T00:00:00.000Z'
    completed_by: BOB
    verified_at: '2026-01-02T00:00:00.000Z'
    verified_by: ALICE
    prd:
      source: PRD.md
      refs:
      - anchor: '#storage'
      excerpt: Everything is kept in one database.
  FINISHED:
    title: Write the schema
    depends_on: [CHECKED]
    labels: [backend]
    priority: 2
    status: done
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-03T00:00:00.000Z'
    completed_at: '2026-01-03T00:00:00.000Z'
    completed_by: ALICE
  GONE:
    title: Keep everything in text files
    status: deleted
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-01T00:00:00.000Z'
  OPEN:
    title: Log in
    description: A form with two fields.
    acceptance_criteria: [Wrong passwords are refused]
    labels: [backend, auth]
    locks: ['src/auth/**']
    priority: 3
    status: ready
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-01T00:00:00.000Z'
  OTHER:
    title: Log out
    locks: ['src/**/*.ts']
    priority: 4
    status: ready
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-01T00:00:00.000Z'
  PLANNED:
    title: Remember me
    status: todo
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-01T00:00:00.000Z'
  WAITS:
    title: Audit
    depends_on: [OPEN]
    status: ready
    created_at: '2026-01-01T00:00:00.000Z'
    updated_at: '2026-01-01T00:00:00.000Z'
features:
  auth: [OPEN, OTHER]
`;

const words = (line: string) => line.split(" ");
const claim = (task: string, agent: string) => ["task", "claim", task, "--agent", agent];
/** BOB was granted the task after ALICE. */
const passedOn = [claim("OPEN", "ALICE"), words("task release OPEN --agent ALICE"), claim("OPEN", "BOB")];
const root = process.getuid?.() === 0;
/** No folder can be made here, not even by root. */
const SEALED = "/sys/lodestar-test";
const noSeal = root && process.platform !== "linux" && "no folder is sealed against root here";

/** Calls that succeed; those of a command show each form of its answer. */
export const SUCCESSES: Readonly<Record<string, readonly Case[]>> = {
  init: [
    { call: ["init"], bare: true },
    { call: words("init sub --name shop --mcp"), bare: true },
    { call: ["init"] },
    { call: words("init --force") },
  ],
  status: [
    { call: ["status"] },
    { call: ["status"], before: [claim("OPEN", "ALICE"), words("task done OPEN"), claim("OTHER", "BOB")] },
    { call: ["status"], bare: true },
  ],
  doctor: [{ call: ["doctor"] }, { call: words("doctor --fix") }, { call: words("doctor --strict") }],
  reset: [{ call: words("reset --force"), before: [claim("OPEN", "ALICE")] }, { call: words("reset --hard --force") }],
  version: [{ call: ["version"] }, { call: ["version"], bare: true }],
  "agent.join": [
    { call: words("agent join") },
    { call: words("agent join --name Alice --role backend -c sql -c auth --model m --tool t") },
    { call: words("agent join --id ALICE") },
  ],
  "agent.list": [{ call: words("agent list"), before: [claim("OPEN", "ALICE")] }],
  "agent.heartbeat": [{ call: words("agent heartbeat ALICE") }],
  "agent.leave": [
    { call: words("agent leave ALICE") },
    { call: words("agent leave ALICE"), before: [claim("OPEN", "ALICE")] },
  ],
  "agent.whoami": [
    { call: words("agent whoami") },
    { call: words("agent whoami --agent ALICE") },
    { call: words("agent whoami"), before: [claim("OPEN", "ALICE")] },
    { call: words("agent whoami --agent ALICE"), before: [claim("OPEN", "ALICE")] },
    { call: words("agent whoami"), before: [words("agent leave ALICE"), words("agent leave BOB")] },
  ],
  "agent.brief": [
    { call: words("agent brief --task OPEN --format claude") },
    { call: words("agent brief --task OPEN --format copilot") },
    { call: words("agent brief --agent ALICE"), before: [claim("OPEN", "ALICE")] },
    { call: words("agent brief") },
  ],
  "task.next": [
    { call: words("task next") },
    { call: words("task next -n 5"), before: [claim("OPEN", "ALICE")] },
    { call: words("task next --review") },
    { call: words("task next --label nothing") },
    { call: words("task next --claim --agent ALICE") },
    { call: words("task next --claim --agent ALICE"), before: [claim("OTHER", "ALICE")] },
    { call: words("task next --claim --review --agent BOB") },
    { call: words("task next --claim --label nothing --agent BOB") },
  ],
  "task.claim": [
    { call: claim("OPEN", "ALICE") },
    { call: claim("OPEN", "ALICE"), before: [claim("OPEN", "ALICE")] },
    { call: [...claim("OPEN", "ALICE"), "OTHER", "--ttl", "1h"] },
    { call: [...claim("FINISHED", "BOB"), "--review", "--no-context"] },
    { call: claim("OPEN", "ALICE"), before: [claim("OTHER", "BOB")] },
    {
      call: claim("OPEN", "BOB"),
      before: [
        claim("OPEN", "ALICE"),
        ["task", "release", "OPEN", "--agent", "ALICE", "--note", "The form is half done"],
      ],
    },
  ],
  "task.renew": [{ call: words("task renew OPEN --agent ALICE --ttl 1h"), before: [claim("OPEN", "ALICE")] }],
  "task.release": [
    { call: words("task release OPEN"), before: [claim("OPEN", "ALICE")] },
    { call: words("task release OPEN --agent ALICE --block --note later"), before: [claim("OPEN", "ALICE")] },
    {
      call: words("task release OPEN --agent ALICE"),
      before: [claim("OPEN", "ALICE"), words("task release OPEN --agent ALICE")],
    },
  ],
  "task.done": [
    { call: words("task done OPEN"), before: [claim("OPEN", "ALICE")] },
    { call: words("task done OPEN --agent ALICE --verify --note ready"), before: [claim("OPEN", "ALICE")] },
    { call: words("task done OPEN"), before: [claim("OPEN", "ALICE"), words("task done OPEN")] },
    { call: words("task done OPEN") },
  ],
  "task.verify": [
    { call: words("task verify FINISHED") },
    { call: words("task verify OPEN --agent BOB"), before: [claim("OPEN", "ALICE"), words("task done OPEN")] },
    { call: words("task verify FINISHED OPEN"), before: [claim("OPEN", "ALICE"), words("task done OPEN")] },
    { call: words("task verify FINISHED"), before: [words("task verify FINISHED")] },
  ],
  "task.reopen": [
    { call: words("task reopen FINISHED --note again") },
    { call: words("task reopen GONE") },
    { call: words("task reopen OPEN") },
  ],
  "task.create": [
    { call: words("task create --title Search") },
    {
      call: words(
        "task create --id NEW --title Search -d Text --priority 7 --status todo --depends-on OPEN --label ui --lock src/ui/** -a Fast --feature auth --agent ALICE",
      ),
    },
  ],
  "task.import": [
    {
      call: words("task import plan.yaml"),
      also: (here) => here.write("plan.yaml", "tasks:\n- {ref: a, title: First}\n- {title: Second, depends_on: [a]}\n"),
    },
    {
      call: words("task import - --on-existing update --dry-run"),
      options: { stdin: '{"tasks":{"OPEN":{"title":"Log in again"},"NEW":{"title":"New"}}}' },
    },
    {
      call: words("task import - --on-existing skip"),
      options: { stdin: '[{"id":"OPEN","title":"Log in again"}]' },
    },
  ],
  "task.list": [
    { call: words("task list"), before: [claim("OPEN", "ALICE")] },
    { call: words("task list --limit 2 --include-deleted --sort id") },
    { call: words("task list --status blocked") },
    { call: words("task list --mine --agent ALICE"), before: [claim("OPEN", "ALICE")] },
  ],
  "task.show": [
    { call: words("task show OPEN") },
    { call: words("task show CHECKED") },
    { call: words("task show WAITS") },
    {
      call: words("task show OPEN"),
      before: [
        claim("OTHER", "BOB"),
        claim("OPEN", "ALICE"),
        words("task release OTHER --note x"),
        words("task renew OPEN"),
      ],
    },
    { call: words("task show FINISHED"), before: [words("task reopen FINISHED --note why")] },
  ],
  "task.update": [
    { call: words("task update OPEN --title Login --add-label x --remove-label auth --add-dep CHECKED --accept Fast") },
    { call: words("task update OPEN --priority 3") },
    { call: words("task update WAITS --remove-dep OPEN --status blocked --add-lock a --feature auth") },
  ],
  "task.delete": [{ call: words("task delete OTHER") }, { call: words("task delete OPEN --cascade") }],
  events: [
    { call: words("events"), before: [claim("OPEN", "ALICE"), words("task done OPEN")] },
    { call: words("events --type agent.joined --limit 1 --agent ALICE") },
    { call: words("events --task OTHER") },
  ],
  wait: [
    { call: words("wait --for task.verified:CHECKED") },
    { call: words("wait --for task.claimable") },
    { call: words("wait --for task.claimed --since 9000000000000000 --for task.done:FINISHED") },
  ],
};

const noTask = (line: string): Case => ({ call: words(line) });
/** Whoever acts must have joined. */
const noAgent = (line: string, before: Case["before"] = []): Case => ({
  call: [...words(line), "--agent", "NOBODY"],
  before,
});

export const FAILURES: Readonly<Record<string, Partial<Record<Code, Case>>>> = {
  init: {
    PATH_NOT_FOUND: { call: words("init a-file"), bare: true, also: (here) => here.write("a-file", "") },
    NOT_A_REPOSITORY: {
      call: ["init"],
      bare: true,
      options: { cwd: "lost" },
      also: (here) => here.write("lost/.git", "gitdir: /nowhere/.git/worktrees/lost\n"),
    },
    READ_ONLY: {
      call: ["init", root ? SEALED : "sealed/inside"],
      bare: true,
      impossible: noSeal,
      also: (here) => {
        if (root) return;
        mkdirSync(join(here.path, "sealed"));
        chmodSync(join(here.path, "sealed"), 0o555);
      },
    },
  },
  status: {},
  doctor: {
    UNHEALTHY: {
      call: ["doctor"],
      also: (here) => here.write(".lodestar/spec.yaml", "tasks: {A: {title: x, status: ready, depends_on: [B]}}\n"),
    },
  },
  reset: { CONFIRMATION_REQUIRED: { call: ["reset"], before: [claim("OPEN", "ALICE")] } },
  version: {},
  "agent.join": { INVALID_ID: { call: words("agent join --id a..b") } },
  "agent.list": {},
  "agent.heartbeat": {
    AGENT_NOT_FOUND: { call: words("agent heartbeat NOBODY") },
    AGENT_REQUIRED: { call: words("agent heartbeat") },
  },
  "agent.leave": {
    AGENT_NOT_FOUND: { call: words("agent leave NOBODY") },
    AGENT_REQUIRED: { call: words("agent leave") },
  },
  "agent.whoami": { AGENT_NOT_FOUND: { call: words("agent whoami --agent NOBODY") } },
  "agent.brief": { TASK_NOT_FOUND: noTask("agent brief --task NOPE") },
  "task.next": {
    AGENT_REQUIRED: { call: words("task next --claim") },
    AGENT_NOT_FOUND: noAgent("task next --claim"),
    INVALID_TTL: { call: words("task next --claim --agent ALICE --ttl 8d") },
    TIMEOUT: { call: words("task next --claim --agent ALICE --label nothing --wait 1s") },
  },
  "task.claim": {
    TASK_NOT_FOUND: noTask("task claim NOPE --agent ALICE"),
    AGENT_REQUIRED: { call: words("task claim OPEN") },
    AGENT_NOT_FOUND: noAgent("task claim OPEN"),
    ALREADY_CLAIMED: { call: claim("OPEN", "BOB"), before: [claim("OPEN", "ALICE")] },
    NOT_CLAIMABLE: { call: claim("PLANNED", "ALICE") },
    UNMET_DEPENDENCIES: { call: claim("WAITS", "ALICE") },
    NOT_DONE: { call: words("task claim OPEN --review --agent ALICE") },
    SELF_VERIFICATION: { call: words("task claim FINISHED --review --agent ALICE"), conventions: "verify: other" },
    LOCK_CONFLICT: { call: claim("OTHER", "BOB"), before: [claim("OPEN", "ALICE")], conventions: "locks: enforce" },
    INVALID_TTL: { call: words("task claim OPEN --agent ALICE --ttl soon") },
    TIMEOUT: { call: words("task claim OPEN --agent BOB --wait 1s"), before: [claim("OPEN", "ALICE")] },
  },
  "task.renew": {
    TASK_NOT_FOUND: noTask("task renew NOPE --agent ALICE"),
    AGENT_REQUIRED: { call: words("task renew OPEN"), before: passedOn },
    AGENT_NOT_FOUND: noAgent("task renew OPEN", [claim("OPEN", "ALICE")]),
    LEASE_LOST: { call: words("task renew OPEN --agent ALICE"), before: passedOn },
    NOT_HOLDER: { call: words("task renew OPEN --agent BOB"), before: [claim("OPEN", "ALICE")] },
    INVALID_TTL: { call: words("task renew OPEN --ttl 0s"), before: [claim("OPEN", "ALICE")] },
  },
  "task.release": {
    TASK_NOT_FOUND: noTask("task release NOPE --agent ALICE"),
    AGENT_REQUIRED: { call: words("task release OPEN"), before: passedOn },
    AGENT_NOT_FOUND: noAgent("task release OPEN", [claim("OPEN", "ALICE")]),
    LEASE_LOST: { call: words("task release OPEN --agent ALICE --fencing-token 5"), before: [claim("OPEN", "ALICE")] },
    NOT_HOLDER: { call: words("task release OPEN --agent BOB"), before: [claim("OPEN", "ALICE")] },
  },
  "task.done": {
    TASK_NOT_FOUND: noTask("task done NOPE"),
    AGENT_REQUIRED: { call: words("task done OPEN"), before: passedOn },
    AGENT_NOT_FOUND: noAgent("task done OPEN"),
    NOT_HOLDER: { call: words("task done OPEN --agent BOB"), before: [claim("OPEN", "ALICE")] },
    LEASE_LOST: { call: words("task done OPEN --agent ALICE --fencing-token 5"), before: [claim("OPEN", "ALICE")] },
    NOT_CLAIMABLE: { call: words("task done PLANNED --agent ALICE") },
    UNMET_DEPENDENCIES: { call: words("task done WAITS --agent ALICE") },
    SELF_VERIFICATION: {
      call: words("task done OPEN --agent ALICE --verify"),
      before: [claim("OPEN", "ALICE")],
      conventions: "verify: other",
    },
  },
  "task.verify": {
    TASK_NOT_FOUND: noTask("task verify NOPE"),
    NOT_DONE: { call: words("task verify OPEN") },
    NOT_CLAIMABLE: { call: words("task verify GONE") },
    NOT_HOLDER: {
      call: words("task verify FINISHED --agent ALICE"),
      before: [words("task claim FINISHED --review --agent BOB")],
    },
    LEASE_LOST: {
      call: words("task verify FINISHED --agent BOB --fencing-token 5"),
      before: [words("task claim FINISHED --review --agent BOB")],
    },
    SELF_VERIFICATION: { call: words("task verify FINISHED --agent ALICE"), conventions: "verify: other" },
    AGENT_REQUIRED: { call: words("task verify FINISHED"), conventions: "verify: other" },
    AGENT_NOT_FOUND: noAgent("task verify FINISHED"),
  },
  "task.reopen": {
    TASK_NOT_FOUND: noTask("task reopen NOPE"),
    NOT_HOLDER: {
      call: words("task reopen FINISHED --agent ALICE"),
      before: [words("task claim FINISHED --review --agent BOB")],
    },
    AGENT_NOT_FOUND: noAgent("task reopen FINISHED"),
  },
  "task.create": {
    ID_TAKEN: { call: words("task create --title x --id OPEN") },
    INVALID_ID: { call: words("task create --title x --id a..b") },
    TASK_NOT_FOUND: noTask("task create --title x --depends-on NOPE"),
    DEPENDENCY_CYCLE: { call: words("task create --title x --id NEW --depends-on NEW") },
  },
  "task.import": {
    ID_TAKEN: { call: words("task import -"), options: { stdin: "[{id: OPEN, title: x}]" } },
    INVALID_ID: { call: words("task import -"), options: { stdin: "[{id: a..b, title: x}]" } },
    TASK_NOT_FOUND: { call: words("task import -"), options: { stdin: "[{id: NEW, title: x, depends_on: [NOPE]}]" } },
    DEPENDENCY_CYCLE: {
      call: words("task import -"),
      options: { stdin: "[{ref: a, title: x, depends_on: [b]}, {ref: b, title: y, depends_on: [a]}]" },
    },
    PATH_NOT_FOUND: { call: words("task import missing.yaml") },
  },
  "task.list": { AGENT_REQUIRED: { call: words("task list --mine") } },
  "task.show": { TASK_NOT_FOUND: noTask("task show NOPE") },
  "task.update": {
    TASK_NOT_FOUND: noTask("task update NOPE --title x"),
    DEPENDENCY_CYCLE: { call: words("task update OPEN --add-dep WAITS") },
    NOT_CLAIMABLE: { call: words("task update FINISHED --status ready") },
  },
  "task.delete": {
    TASK_NOT_FOUND: noTask("task delete NOPE"),
    HAS_DEPENDENTS: { call: words("task delete OPEN") },
    AGENT_NOT_FOUND: noAgent("task delete OTHER"),
  },
  events: { EVENTS_PRUNED: { call: words("events --since 5") } },
  wait: {
    TIMEOUT: { call: words("wait --for task.verified:OPEN --timeout 1s") },
    TASK_NOT_FOUND: noTask("wait --for task.verified:NOPE"),
    AGENT_REQUIRED: { call: words("wait --for message") },
    EVENTS_PRUNED: { call: words("wait --for task.claimed --since 5") },
  },
};

const RUNTIME = ".lodestar/runtime.sqlite";

/** Codes of {@link GENERAL}, each with a state that provokes it; the others of that list need a broken machine. */
export const GENERALLY: Partial<Record<Code, Case>> = {
  USAGE: { call: words("task claim OPEN --agnet ALICE") },
  NOT_INITIALIZED: { call: words("task list"), bare: true },
  IDEMPOTENCY_MISMATCH: {
    call: words("task create --title Two --idempotency-key k"),
    before: [words("task create --title One --idempotency-key k")],
  },
  SPEC_INVALID: {
    call: words("task list"),
    also: (here) => here.write(".lodestar/spec.yaml", "tasks: {A: {status: ready}}\n"),
  },
  SPEC_CONFLICT_MARKERS: {
    call: words("task list"),
    also: (here) =>
      here.write(
        ".lodestar/spec.yaml",
        "tasks:\n<<<<<<< HEAD\n  A: {title: x, status: ready}\n=======\n>>>>>>> feat\n",
      ),
  },
  RUNTIME_CORRUPT: {
    call: words("agent list"),
    also: (here) => here.write(RUNTIME, "This is no database. ".repeat(400)),
  },
  RUNTIME_TOO_NEW: {
    call: words("agent list"),
    also: (here) => {
      using db = new Database(join(here.path, RUNTIME));
      db.run("pragma user_version = 4000");
    },
  },
  RUNTIME_TRACKED: {
    call: words("agent join --id ALICE"),
    bare: true,
    also: (here) => {
      here.write(".lodestar/spec.yaml", specText());
      here.write(RUNTIME, "");
      here.git("add", "--force", RUNTIME);
    },
  },
  PATH_NOT_FOUND: { call: words("task create --title x --description-file missing.txt") },
  NOT_A_REPOSITORY: {
    call: words("task list"),
    options: { cwd: "lost" },
    also: (here) => here.write("lost/.git", "gitdir: /nowhere/.git/worktrees/lost\n"),
  },
  READ_ONLY: {
    call: words("agent join"),
    impossible: noSeal,
    options: { env: { LODESTAR_RUNTIME: root ? `${SEALED}/runtime.sqlite` : "sealed/in/runtime.sqlite" } },
    also: (here) => {
      if (root) return;
      mkdirSync(join(here.path, "sealed"));
      chmodSync(join(here.path, "sealed"), 0o555);
    },
  },
  INVALID_TTL: { call: words("task claim OPEN --agent ALICE"), options: { env: { LODESTAR_LEASE_TTL: "soon" } } },
};
