import { isPostgresUrl, openPostgresRuntime } from "../../src/runtime/postgres/open.ts";
import { openRuntime } from "../../src/runtime/sqlite/open.ts";
import type { Candidate, ClaimRequest } from "../../src/runtime/store.ts";
import { SeededRandom } from "../support/clock.ts";

/**
 * A process of the races: `bun actor.ts <path or URL> <name> <what> [count]`. Prints one JSON line for each thing that was
 * acknowledged, or what went wrong.
 */
const [path = "", name = "", what = "", count = "1"] = Bun.argv.slice(2);

const candidate = (task_id: string): Candidate => ({
  key: { task_id, created_at: "" },
  reopens: [],
  locks: [],
  basis: [],
});

function request(tasks: readonly string[], lease_id: string): ClaimRequest {
  const rules = { take: "first", kind: "work", resume: false, locks: "warn", force: false } as const;
  const who = { agent_id: name, session: name, ttl: 600_000, handoff_chars: 0 };
  return { seen: Number.MAX_SAFE_INTEGER, candidates: tasks.map(candidate), lease_ids: [lease_id], ...rules, ...who };
}

try {
  const options = { clock: { now: Date.now }, random: new SeededRandom(Number(name.slice(1))), create: true } as const;
  const store = isPostgresUrl(path)
    ? // Processes of one name must not make the same calls.
      await openPostgresRuntime({
        ...options,
        random: new SeededRandom(process.pid),
        url: path,
        project_id: "race",
        env: {},
      })
    : openRuntime({ ...options, path });
  if (store === undefined) throw new Error("no runtime");
  if (what === "open") {
    await store.heartbeat(name);
    const { runtime_id } = await store.info();
    console.log(JSON.stringify({ runtime_id }));
  } else if (what === "claim") {
    await store.join({ agent_id: name, worktree: "/", session: name });
    const result = await store.claim(request(["X"], `L${name}`));
    console.log(JSON.stringify({ kind: result.kind }));
  } else if (what === "mixed") {
    await store.join({ agent_id: name, worktree: "/", session: name });
    const tasks = Array.from({ length: 400 }, (_, i) => `T${i}`);
    for (let i = 0; i < Number(count); i += 1) {
      const claimed = await store.claim(request(tasks, `L${name}-${i}`));
      if (claimed.kind !== "granted") throw new Error(claimed.kind);
      const lease = claimed.grants[0]?.lease;
      if (lease === undefined) throw new Error("no lease");
      const { task_id, created_at, fencing_token } = lease;
      const key = { task_id, created_at };
      if (i % 2 === 0) await store.renew({ key, ttl: 600_000, automatic: false, agent_id: name, fencing_token });
      await store.queue({ ticket_id: name, filter: "", worktree: "/" });
      const before = { reopens: [], rank: 0, verified: false } as const;
      const step = {
        key,
        change: "done",
        before,
        after: { ...before, rank: 1 },
        claimable: true,
        basis: [],
        unblocked: [],
      } as const;
      const done = {
        steps: [step],
        seen: Number.MAX_SAFE_INTEGER,
        force: false,
        verify: "any",
        worktree: "/",
        branch: "main",
      } as const;
      // Every other is kept: what is held stays out of the others' reach.
      const finished = i % 2 === 0 ? "kept" : (await store.finish({ ...done, agent_id: name, fencing_token })).kind;
      console.log(JSON.stringify({ task_id, fencing_token, finished }));
    }
  } else if (what === "write") {
    // Until it is killed.
    await store.join({ agent_id: name, worktree: "/", session: name });
    for (let i = 0; ; i += 1) {
      await store.send({ message_id: `M${i}`, from_agent_id: name, task_id: "X", text: `${i}` });
      console.log(JSON.stringify({ sent: i }));
    }
  }
} catch (error) {
  console.log(
    JSON.stringify({ error: String(error), code: error instanceof Error && "code" in error ? error.code : undefined }),
  );
  process.exitCode = 1;
}
