import { readFileSync } from "node:fs";
import { join } from "node:path";
import { STORES, type Store } from "./faults.ts";
import type { HarnessSwitches } from "./history.ts";

const SOURCE = join(import.meta.dir, "..", "..", "src");

/** One rule of the product switched off, as source text; the product itself knows nothing of it. */
export interface Mutant {
  readonly name: string;
  /** The row of counterexamples.md that the rule answers. */
  readonly row?: number;
  /** Promises of which one must be found broken; the first is what the rule is for. */
  readonly breaks: readonly string[];
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
  readonly harness?: HarnessSwitches;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "check-then-insert grant",
    breaks: ["L1"],
    harness: { peeks: true },
    edits: [
      {
        file: "runtime/sqlite/claim.ts",
        find: "this.#live = liveLeases(step);",
        replace: "this.#live = [...((globalThis as any).simulatedEarlyLeases ?? liveLeases(step))];",
      },
      {
        file: "runtime/sqlite/leases.ts",
        find: "on conflict (task_id, created_at) where ended is null do nothing\n",
        replace: "",
      },
      {
        file: "runtime/sqlite/migrations/0001-runtime.sql",
        find: "create unique index lease_open",
        replace: "create index lease_open",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "create unique index lease_open",
        replace: "create index lease_open",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `      continue when exists (select from lodestar.lease x where x.project_id = v_id and x.ended is null
        and x.task_id = c.it->'key'->>'task_id' and x.created_at = c.it->'key'->>'created_at');`,
        replace: `      continue when exists (select from json_array_elements(r->'seen_leases') x
        where x->>'task_id' = c.it->'key'->>'task_id' and x->>'created_at' = c.it->'key'->>'created_at');`,
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "  where not (x.agent_id = v_me and x.session = r->>'session' and x.kind = r->>'kind');",
        replace: `  where not (x.agent_id = v_me and x.session = r->>'session' and x.kind = r->>'kind')
    and x.fencing_token in (select (y->>'fencing_token')::bigint from json_array_elements(r->'seen_leases') y);`,
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `    left join lodestar.lease x on x.project_id = v_id and x.ended is null
`,
        replace: `    left join lodestar.lease x on x.project_id = v_id and x.ended is null
      and x.fencing_token in (select (y->>'fencing_token')::bigint from json_array_elements(r->'seen_leases') y)
`,
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `    select * into l from lodestar.lease x where x.project_id = v_id and x.ended is null
      and x.task_id = c.it`,
        replace: `    select * into l from lodestar.lease x where x.project_id = v_id and x.ended is null
      and x.fencing_token in (select (y->>'fencing_token')::bigint from json_array_elements(r->'seen_leases') y)
      and x.task_id = c.it`,
      },
      {
        file: "runtime/postgres/store.ts",
        find: 'this.#server.write<runtime.ClaimResult | Judge>("claim", { ...request, ...overlaps });',
        replace:
          'this.#server.write<runtime.ClaimResult | Judge>("claim", { ...request, ...overlaps, seen_leases: (globalThis as any).simulatedEarlyLeases ?? [] });',
      },
    ],
  },
  {
    name: "token reuse",
    breaks: ["L2"],
    edits: [
      {
        file: "runtime/sqlite/leases.ts",
        find: "fencing_token: step.nextToken(),",
        replace: "fencing_token: step.reusedToken(key),",
      },
      {
        file: "runtime/sqlite/step.ts",
        find: "  nextVersion(): number {",
        replace: `  reusedToken(key: any): number {
    const old = this.sql.get<any>("select max(fencing_token) as token from lease where task_id = $task_id and created_at = $created_at", { task_id: key.task_id, created_at: key.created_at });
    if (old?.token == null) return this.nextToken();
    this.sql.run("delete from lease where fencing_token = $token", { token: old.token });
    return old.token;
  }
  nextVersion(): number {`,
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `  returning last_token into v_token;
  insert into lodestar.lease (project_id`,
        replace: `  returning last_token into v_token;
  v_token := coalesce((select max(x.fencing_token) from lodestar.lease x where x.project_id = in_project
    and x.task_id = c->'key'->>'task_id' and x.created_at = c->'key'->>'created_at'), v_token);
  delete from lodestar.lease x where x.project_id = in_project and x.fencing_token = v_token;
  insert into lodestar.lease (project_id`,
      },
    ],
  },
  {
    name: "spec written before the commit",
    breaks: ["T2"],
    edits: [
      {
        file: "commands/task/finishing.ts",
        find: '    fault("before-finish");',
        replace: `    await session.save((index) => steps.flatMap((step: any) => outcomeEdit(index, { ...step.key, ...step.after, version: 0, worktree: context.worktree, branch: context.branch(), at: 0 }, step.change) ?? []));`,
      },
    ],
  },
  {
    name: "outbox row lost",
    breaks: ["T2"],
    edits: [
      {
        file: "runtime/sqlite/outcomes.ts",
        find: "  return row.outbox_id;",
        replace:
          '  step.sql.run("delete from outbox where outbox_id = $id", { id: row.outbox_id });\n  return row.outbox_id;',
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `    o.completed_by, o.completed_at, o.verified_by, o.verified_at, o.completed_in, o.unblocked, o.worktree, o.branch, o.at);
  return v_no;`,
        replace: `    o.completed_by, o.completed_at, o.verified_by, o.verified_at, o.completed_in, o.unblocked, o.worktree, o.branch, o.at);
  delete from lodestar.outbox x where x.project_id = in_project and x.outbox_id = v_no;
  return v_no;`,
      },
    ],
  },
  {
    name: "outbox row cleared before the spec is written",
    breaks: ["T2"],
    edits: [
      {
        file: "commands/task/finishing.ts",
        find: "  await session.save((index) =>\n    fresh.filter",
        replace:
          "  await runtime.settle(fresh.flatMap(({ outbox_id }) => outbox_id ?? []));\n  await session.save((index) =>\n    fresh.filter",
      },
    ],
  },
  {
    name: "join that is no lattice",
    row: 15,
    breaks: ["T1", "T2", "T3"],
    edits: [
      {
        file: "core/status.ts",
        find: "return { reopens: unionReopens(a.reopens, b.reopens), rank: 0, verified: false };",
        replace: "return a;",
      },
    ],
  },
  {
    name: "another process's lock is no obstacle",
    row: 1,
    breaks: ["S3", "T2", "Defect"],
    harness: { noLock: true },
    edits: [
      {
        file: "spec/lock.ts",
        find: "  const before = chains.get(path) ?? Promise.resolve();",
        replace: "  return body();\n  const before = chains.get(path) ?? Promise.resolve();",
      },
      {
        file: "spec/file.ts",
        find: '    if (goes) fault("before-rename");',
        replace: '    await (globalThis as any).simulatedYield?.();\n    if (goes) fault("before-rename");',
      },
      // Where files can be exchanged, the look after the exchange finds what a lock would have kept out.
      {
        file: "spec/file.ts",
        find: "if (seen === undefined || !swap(temp, path)) {",
        replace: "if (swap !== undefined) {",
      },
    ],
  },
  {
    name: "an open runtime is not compared with its path",
    row: 2,
    breaks: ["L6", "L5", "T2", "T1", "Defect"],
    edits: [{ file: "runtime/sqlite/connection.ts", find: "  return MOVED[0] === 1;", replace: "  return false;" }],
  },
  {
    name: "the spec's key is not compared before the rename",
    row: 4,
    breaks: ["S3", "T2", "Identity"],
    edits: [
      {
        file: "spec/file.ts",
        find: "const goes = isExpected(before);",
        replace: "const goes = before !== undefined || isExpected(before);",
      },
    ],
  },
  {
    name: "done without an agent is taken for the last holder's",
    row: 5,
    breaks: ["L3"],
    edits: [
      { file: "lease/rules.ts", find: '  if (holders.length > 1) return { kind: "agent_required" };\n', replace: "" },
    ],
  },
  {
    name: "a repeated done is a new done",
    row: 6,
    breaks: ["L2", "L4", "L3", "T1"],
    edits: [
      {
        file: "lease/finishing.ts",
        find: 'return kind === "work" && (ended === "done" || ended === "verified");',
        replace: "return false;",
      },
      {
        file: "lease/finishing.ts",
        find: '  if (meant.kind === "grant" && meant.grant.kind === "work" && hasRight(meant.grant, grants)) {',
        replace:
          '  if (meant.kind === "grant" && meant.grant.ended === "done") return acting(meant.grant.agent_id, undefined);\n  if (meant.kind === "grant" && meant.grant.kind === "work" && hasRight(meant.grant, grants)) {',
      },
    ],
  },
  {
    name: "a repeated next --claim grants one more",
    row: 7,
    breaks: ["L4"],
    edits: [
      {
        file: "runtime/sqlite/claim.ts",
        find: "const held = resume ?",
        replace: "const held = resume && Date.now() < 0 ?",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "  if (r->>'resume')::boolean then",
        replace: "  if (r->>'resume')::boolean and v_me = '' then",
      },
    ],
  },
  {
    name: "commands renew all that their agent holds",
    row: 7,
    breaks: ["L8"],
    edits: [
      {
        file: "commands/settle-up.ts",
        find: "  const lease = (await runtime.lookup([named])).find((each) => each.lease?.agent_id === agent_id)?.lease;",
        replace: "  const lease = (await runtime.agents()).leases.find((each) => each.agent_id === agent_id);",
      },
    ],
  },
  {
    name: "the time is read before the wait for the lock",
    row: 8,
    breaks: ["L5"],
    edits: [
      {
        file: "runtime/sqlite/step.ts",
        find: "    const wall = clock.now();",
        replace: "    const wall = (globalThis as any).simulatedEarlyNow ?? clock.now();",
      },
      {
        file: "runtime/postgres/connection.ts",
        find: "wall: this.#options.clock.now(), ...more",
        replace: "wall: (globalThis as any).simulatedEarlyNow ?? this.#options.clock.now(), ...more",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "  v_wall := lodestar.wall_v1(p, (in_call->>'wall')::bigint);",
        replace: "  v_wall := (in_call->>'wall')::bigint;",
      },
    ],
  },
  {
    name: "time never goes back, and stands still",
    row: 9,
    breaks: ["L5"],
    edits: [
      { file: "runtime/sqlite/step.ts", find: "Math.max(row.clock_offset, now - wall)", replace: "row.clock_offset" },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `clock_offset = greatest(clock_offset, v_now - v_wall),
    writes`,
        replace: `clock_offset = clock_offset,
    writes`,
      },
    ],
  },
  {
    name: "time follows the wall back",
    row: 9,
    breaks: ["L5"],
    edits: [
      {
        file: "runtime/sqlite/time-of.ts",
        find: "return Math.max(wall + row.clock_offset, row.last_now);",
        replace: "return wall;",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `  v_now := greatest(v_wall + p.clock_offset, p.last_now);
  update`,
        replace: `  v_now := v_wall;
  update`,
      },
    ],
  },
  {
    name: "leases end when the clock jumps",
    breaks: ["L5"],
    edits: [
      {
        file: "runtime/sqlite/step.ts",
        find: "    if (sweep && !isRetired) {",
        replace:
          "    if (wall + row.clock_offset < row.last_now) sql.run(\"update lease set ended = 'expired' where ended is null\");\n    if (sweep && !isRetired) {",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "where project_id = in_project and ended is null and expires_at <= v_now returning *",
        replace:
          "where project_id = in_project and ended is null and (expires_at <= v_now or v_wall + p.clock_offset < p.last_now) returning *",
      },
    ],
  },
  {
    name: "leases end a second early",
    breaks: ["L5"],
    edits: [
      {
        file: "runtime/sqlite/step.ts",
        find: "{ now: this.now },\n    );\n    for",
        replace: "{ now: this.now + 1000 },\n    );\n    for",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "      where project_id = in_project and ended is null and expires_at <= v_now returning *",
        replace: "      where project_id = in_project and ended is null and expires_at <= v_now + 1000 returning *",
      },
    ],
  },
  {
    name: "tokens restart with a new runtime",
    row: 10,
    breaks: ["L2"],
    edits: [
      {
        file: "runtime/sqlite/migrate.ts",
        find: "0, $now, $now, $now, 0, $now, $now)",
        replace: "0, $now, 0, 0, 0, $now, $now)",
      },
      { file: "runtime/sqlite/step.ts", find: "Math.max(this.#token + 1, this.now)", replace: "this.#token + 1" },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `select in_project, in_runtime_id, wall, wall, wall, wall, wall, wall
`,
        replace: `select in_project, in_runtime_id, wall, 0, wall, wall, wall, wall
`,
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `set last_token = greatest(last_token + 1, last_now) where project_id = in_project
  returning last_token`,
        replace: `set last_token = last_token + 1 where project_id = in_project
  returning last_token`,
      },
    ],
  },
  {
    name: "outbox rows name no branch",
    row: 12,
    breaks: ["T2"],
    edits: [
      {
        file: "commands/outcome.ts",
        find: "row.target_worktree === worktree && row.target_branch === branch;",
        replace: "row.target_worktree === worktree;",
      },
    ],
  },
  {
    name: "a commit is written to whatever is checked out by then",
    row: 12,
    breaks: ["T2"],
    edits: [
      {
        file: "commands/task/finishing.ts",
        find: "outcome.branch === context.branch();",
        replace: "outcome.branch !== undefined;",
      },
    ],
  },
  {
    name: "the runtime learns from specs",
    row: 13,
    breaks: ["T1"],
    edits: [
      {
        file: "commands/look.ts",
        find: "  const where = {\n",
        replace: `  for (const { task, outcome } of index.tasks()) {
    if (outcome.rank === 0 || mode === "read") continue;
    const key = keyOf(task);
    const known = (await runtime.lookup([task.id])).some((each) => each.outcome !== undefined);
    if (known) continue;
    await runtime.finish({ seen: Number.MAX_SAFE_INTEGER, steps: [{ key, change: "done", before: { ...outcome, rank: 0 as const, verified: false }, after: outcome, claimable: true, basis: [], unblocked: [] }], force: true, verify: "any", worktree: context.worktree, branch: context.branch() });
  }
  const where = {
`,
      },
    ],
  },
  {
    name: "an id alone is a task's identity",
    row: 14,
    breaks: ["T1", "T2", "T3", "L6", "L9"],
    edits: [
      {
        file: "core/task.ts",
        find: "return { task_id: task.id, created_at: createdKey(task.created_at) };",
        replace: 'return { task_id: task.id, created_at: "" };',
      },
    ],
  },
  {
    name: "deleted after it was verified still blocks",
    row: 17,
    breaks: ["T3"],
    edits: [
      {
        file: "core/status.ts",
        find: "return outcome.rank >= 2 && outcome.verified;",
        replace: "return outcome.rank === 2;",
      },
    ],
  },
  {
    name: "the spec is not looked at after a grant",
    row: 18,
    breaks: ["L9"],
    edits: [
      {
        file: "commands/task/taking.ts",
        find: "  if (fresh.length === 0) return false;",
        replace: "  if (fresh.length >= 0) return false;",
      },
    ],
  },
  {
    name: "outcomes since the look are not compared",
    row: 20,
    breaks: ["T1", "T3", "L9", "L3"],
    edits: [
      {
        file: "runtime/sqlite/outcomes.ts",
        find: "  if (runtime.last_version <= seen) return false;",
        replace: "  return runtime.last_version < 0;",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "  if p.last_version <= in_seen then return false; end if;",
        replace: "  if p.last_version >= 0 then return false; end if;",
      },
    ],
  },
  {
    name: "a missing dependency is not named",
    row: 25,
    breaks: ["T5"],
    edits: [
      {
        file: "spec/schedule.ts",
        find: "isSatisfied(standing.outcome) && !isSatisfied(standing.stated) ?",
        replace: "isSatisfied(standing.outcome) && !isSatisfied(standing.outcome) ?",
      },
    ],
  },
  {
    name: "any lease that was not given back gives its right",
    breaks: ["L2", "L3", "Defect"],
    edits: [
      {
        file: "lease/rules.ts",
        find: "return grant.ended === undefined && grants.at(-1)?.fencing_token === grant.fencing_token;",
        replace: "return grant.ended === undefined;",
      },
    ],
  },
  {
    name: "the runtime's outcomes do not count",
    breaks: ["T1", "T3"],
    edits: [
      {
        file: "spec/schedule.ts",
        find: "const outcome = known === undefined ? stated : joinOutcomes(stated, known);",
        replace: "const outcome = stated;",
      },
    ],
  },
  {
    name: "the index is believed whatever the file is",
    breaks: ["T1", "T3", "S3", "T2", "Defect", "L9"],
    edits: [
      {
        file: "spec/plane.ts",
        find: "if (header !== undefined && header.key === key && header.settled) return index;",
        replace: "if (header !== undefined) return index;",
      },
    ],
  },
  {
    name: "an open runtime is looked at past SQLite",
    row: 3,
    breaks: ["L1"],
    edits: [
      {
        file: "runtime/sqlite/file.ts",
        find: "    const stat = lstatSync(path);",
        replace:
          '    const stat = lstatSync(path);\n    if (stat.isFile()) require("node:fs").closeSync(require("node:fs").openSync(path));',
      },
    ],
  },
  {
    name: "an outcome is left to a later command to write",
    row: 11,
    breaks: ["L6"],
    edits: [
      {
        file: "commands/task/finishing.ts",
        find: "fresh.length === 0 ? [] : await writeFresh",
        replace: "fresh.length >= 0 ? [] : await writeFresh",
      },
      {
        file: "commands/outcome.ts",
        find: 'if (change === "verify" || !task_ids.includes(task_id)) continue;',
        replace: "if (change.length > 0 || !task_ids.includes(task_id)) continue;",
      },
      {
        file: "commands/outcome.ts",
        find: "(await runtime.outbox()).filter((row) => isDue(row, context, branch))",
        replace:
          "(await runtime.outbox()).filter((row) => row.at < context.clock.now() - 1 && isDue(row, context, branch))",
      },
    ],
  },
  {
    name: "an outcome that waits for another branch is answered without a word",
    breaks: ["L6"],
    edits: [
      {
        file: "commands/outcome.ts",
        find: 'if (change === "verify" || !task_ids.includes(task_id)) continue;',
        replace: "if (change.length > 0 || !task_ids.includes(task_id)) continue;",
      },
    ],
  },
  {
    name: "reopenings are counted",
    row: 15,
    breaks: ["T1"],
    harness: { counted: true },
    edits: [
      {
        file: "commands/task/finishing.ts",
        find: "[newReopenId(context.random)]",
        replace: '["r" + (before.reopens.length + 1)]',
      },
    ],
  },
  {
    name: "the word of our side wins",
    row: 16,
    breaks: ["S4"],
    edits: [
      {
        file: "spec/merge-values.ts",
        find: ": joinWords(ours.word, theirs.word);",
        replace: ": (joinWords(ours.word, theirs.word), ours.word);",
      },
    ],
  },
  {
    name: "an outcome and its outbox row are two commits",
    row: 19,
    breaks: ["L6"],
    edits: [
      {
        file: "runtime/sqlite/finish.ts",
        find: "  if (verdict.ends !== undefined) end(",
        replace:
          '  for (const sql of ["release step", "commit", "begin immediate", "savepoint step"]) step.sql.run(sql);\n  if (verdict.ends !== undefined) end(',
      },
    ],
  },
  {
    name: "a foreign runtime is moved without looking again",
    row: 21,
    breaks: ["L6", "Foreign"],
    edits: [
      {
        file: "wire.ts",
        find: "    const moveAside = async (): Promise<void> => {",
        replace:
          "    const moveAside = async (): Promise<void> => {\n      if (moveAsideForeign(path, true) === undefined) return;\n      for (let i = 0; i < 8; i += 1) await (globalThis as any).simulatedYield?.();",
      },
      {
        file: "runtime/sqlite/foreign.ts",
        find: "export function moveAsideForeign(path: string): string | undefined {",
        replace: "export function moveAsideForeign(path: string, looks = false): string | undefined {",
      },
      {
        file: "runtime/sqlite/foreign.ts",
        find: "  if ((sizeOf(at) ?? 0) === 0 || !isForeign(at)) return undefined;",
        replace: '  if (looks) return (sizeOf(at) ?? 0) === 0 || !isForeign(at) ? undefined : "";',
      },
    ],
  },
  {
    name: "databases are ignored by the committed file alone",
    row: 22,
    breaks: ["Ignored"],
    edits: [
      {
        file: "git/ignore.ts",
        find: "  if (missing.length === 0) return written;",
        replace: "  if (missing.length >= 0) return written;",
      },
    ],
  },
  {
    name: "an event's seq is drawn before the lock",
    row: 23,
    breaks: ["Events", "Defect"],
    edits: [
      {
        file: "runtime/sqlite/step.ts",
        find: "    this.#seq = Math.max(this.#seq + 1, this.now);",
        replace:
          "    const drawn = (globalThis as any).simulatedEarlySeq;\n    if (drawn !== undefined) (globalThis as any).simulatedEarlySeq = drawn + 1;\n    this.#seq = drawn ?? Math.max(this.#seq + 1, this.now);",
      },
      {
        file: "runtime/postgres/connection.ts",
        find: "wall: this.#options.clock.now(), ...more",
        replace: "wall: this.#options.clock.now(), seq: (globalThis as any).simulatedEarlySeq ?? 0, ...more",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "  perform set_config('lock_timeout', in_call->>'patience', true);",
        replace: `  perform set_config('lock_timeout', in_call->>'patience', true);
  perform set_config('lodestar.seq', in_call->>'seq', true);`,
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: `  update lodestar.project set last_seq = greatest(last_seq + 1, last_now) where project_id = in_project
  returning last_seq, last_now into v_seq, v_now;`,
        replace: `  v_seq := current_setting('lodestar.seq')::bigint;
  perform set_config('lodestar.seq', (v_seq + 1)::text, true);
  update lodestar.project set last_seq = greatest(last_seq, v_seq) where project_id = in_project
  returning last_now into v_now;`,
      },
    ],
  },
  {
    name: "a merge keeps both texts",
    row: 24,
    breaks: ["S4"],
    edits: [
      {
        file: "spec/merge.ts",
        find: "  const { base, ours, theirs } = versions;\n",
        replace: `  const { base, ours, theirs } = versions;
  const { mergeLines, bothLines } = await import("./merge-lines.ts");
  const texts = mergeLines(base.text, ours.text, theirs.text, bothLines);
  return { kind: "merged", bytes: Buffer.from(texts), conflicts: [], decided: [], warnings: [], cycles: [] };
`,
      },
    ],
  },
  {
    name: "of a task that stands twice one is taken",
    row: 24,
    breaks: ["S4", "L9"],
    edits: [
      { file: "spec/read.ts", find: "      broken.push(repeatedTask(start + layout.task_indent, id));", replace: "" },
    ],
  },
  {
    name: "a task that stands twice is offered",
    row: 24,
    breaks: ["S4"],
    edits: [{ file: "spec/schedule.ts", find: "      if (twice.has(standing.task.id)) continue;\n", replace: "" }],
  },
  {
    name: "a verification is written where the work is not",
    row: 26,
    breaks: ["T2"],
    edits: [
      {
        file: "commands/outcome.ts",
        find: '    if (outcome.change === "verify" && !isDoneHere(before, outcome)) continue;\n',
        replace:
          '    if (outcome.change === "verify" && !isDoneHere(before, outcome) && before.status === "deleted") continue;\n',
      },
    ],
  },
  {
    name: "a verdict is taken whatever has changed",
    breaks: ["L2", "L3", "L5", "T1", "T2", "L6"],
    edits: [
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "    if k->>'stamp' is distinct from s then v_fresh := false; end if;",
        replace: "    if k->>'stamp' is null then v_fresh := false; end if;",
      },
    ],
  },
  {
    name: "a step that is sent again is taken again",
    breaks: ["L4"],
    edits: [
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "  if found then return v_answer; end if;\n  -- A runtime",
        replace: "  -- A runtime",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "insert into lodestar.call (project_id, call_id, answer, at) values (in_project, in_call->>'call_id', v_answer, v_now);",
        replace: "",
      },
    ],
  },
  {
    name: "an expired lease still counts",
    breaks: ["T3"],
    edits: [
      {
        file: "runtime/sqlite/leases.ts",
        find: "from lease where ended is null and expires_at > $now order by",
        replace: "from lease where ended is null and (expires_at > $now or $now > 0) order by",
      },
      {
        file: "runtime/postgres/migrations/0001-runtime.sql",
        find: "          where l.project_id = in_project and l.ended is null and l.expires_at > v_now), '[]'::json),\n        'outcomes'",
        replace: "          where l.project_id = in_project and l.ended is null), '[]'::json),\n        'outcomes'",
      },
    ],
  },
];

/** The stores over which a bug is sought. What every store shares is sought over SQLite, where a history takes a tenth of the time. */
export function storesOf({ edits }: Mutant): readonly Store[] {
  const touched = STORES.filter((store) => edits.some(({ file }) => file.startsWith(`runtime/${store}/`)));
  return touched.length === 0 ? ["sqlite"] : touched;
}

/** The whole text of a source, with the mutant's edits. @throws Error when the product no longer has what is to be replaced. */
export function mutated(mutant: Mutant, file: string): string {
  let text = readFileSync(join(SOURCE, file), "utf8");
  for (const edit of mutant.edits) {
    if (edit.file !== file) continue;
    if (text.split(edit.find).length !== 2)
      throw new Error(`The mutant "${mutant.name}" does not find its text exactly once in src/${file}: ${edit.find}`);
    text = text.replace(edit.find, () => edit.replace);
  }
  return text;
}

/** Which mutants no longer find their text, and where: told before the long tests by `bun run lint` and `bun run check`. */
export function misplaced(): string[] {
  return MUTANTS.flatMap((mutant) =>
    [...new Set(mutant.edits.map(({ file }) => file))].flatMap((file) => {
      try {
        mutated(mutant, file);
        return [];
      } catch (cause) {
        return [(cause as Error).message];
      }
    }),
  );
}

/** Makes this process load the product with one rule off. To be called before anything of the product is imported. */
export function install(mutant: Mutant): void {
  const files = new Map(
    [...new Set(mutant.edits.map(({ file }) => file))].map((file) => [join(SOURCE, file), mutated(mutant, file)]),
  );
  Bun.plugin({
    name: "a rule switched off",
    setup(build) {
      for (const [path, contents] of files) {
        const filter = new RegExp(`^${path.replaceAll(/[^\w/]/g, "\\$&")}$`);
        build.onLoad({ filter }, () =>
          path.endsWith(".sql") ? { exports: { default: contents }, loader: "object" } : { contents, loader: "ts" },
        );
      }
    },
  });
}

if (import.meta.main) {
  const found = misplaced();
  for (const one of found) console.error(one);
  process.exit(found.length === 0 ? 0 : 1);
}
