/** What the hooks do for a large spec after Git has gone on: Git never waits for it, and the next command tells what came of it. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { appendFileSync, chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/fleet.ts";
import { binary } from "../support/sandbox.ts";
import { type Repository, repository } from "./repository.ts";

const LONG = 60_000;
const note = (repo: Repository) => join(repo.path, ".git", "lodestar", "hook-note.json");

/**
 * A plan of more than half a megabyte in which B needs A, and a branch `feat` where A is verified. What a hook starts to go on behind
 * Git waits until `go()` was called: who waits for it would wait for ever.
 */
async function large(): Promise<Repository & { go(): void; readonly log: () => string[] }> {
  const repo = await repository();
  const filler = Array.from(
    { length: 700 },
    (_, i) =>
      `  Z${i}:\n    title: ${"word ".repeat(160)}\n    status: ready\n    created_at: 2026-01-01T00:00:00.000Z\n`,
  );
  await repo.lodestar("task", "update", "B", "--add-dep", "A");
  appendFileSync(join(repo.path, ".lodestar", "spec.yaml"), filler.join(""));
  await repo.lodestar("git", "install", "--hooks");
  const [lodestar, start, calls] = ["bin/lodestar", "start", "calls"].map((name) => join(repo.here.base, name)) as [
    string,
    string,
    string,
  ];
  rmSync(lodestar);
  writeFileSync(
    lodestar,
    `#!/bin/sh\necho "$*" >> '${calls}'\ncase "$*" in *--behind*) while [ ! -e '${start}' ]; do sleep 0.02; done;; esac\nexec '${binary()}' "$@"\n`,
  );
  chmodSync(lodestar, 0o755);
  repo.commit("large");
  return {
    ...repo,
    go: () => writeFileSync(start, ""),
    log: () =>
      existsSync(calls)
        ? readFileSync(calls, "utf8")
            .split("\n")
            .filter((line) => line.includes("--behind"))
        : [],
    [Symbol.dispose]: () => {
      // What still waits must not wait on.
      writeFileSync(start, "");
      repo[Symbol.dispose]();
    },
  };
}

/** As another clone would: the outcome comes through Git, this runtime knows nothing of it. */
async function verifiedElsewhere(repo: Repository): Promise<void> {
  repo.git("checkout", "-q", "-b", "feat");
  writeFileSync(
    join(repo.path, ".lodestar", "spec.yaml"),
    repo.spec().replace("status: ready", "status: verified\n    verified_at: '2030-01-01T00:00:00.000Z'"),
  );
  repo.commit("A is verified");
  repo.git("checkout", "-q", "main");
  await repo.lodestar("agent", "heartbeat", "--agent", "ADA");
}

test(
  "a merge does not wait, and the next command that writes tells once what was unblocked",
  async () => {
    using repo = await large();
    await verifiedElsewhere(repo);
    const merged = repo.tryGit(["merge", "-q", "--no-edit", "feat"], { agent: "ADA" });
    expect(merged).toEqual({ exit: 0, out: "" });
    expect(existsSync(note(repo))).toBe(false);
    repo.go();
    await until("the note is there", () => existsSync(note(repo)));
    const next = await repo.lodestar("agent", "heartbeat", "--agent", "ADA", "--json");
    expect(next.json.warnings).toEqual(["Unblocked by post-merge: B"]);
    expect(existsSync(note(repo))).toBe(false);
    expect((await repo.lodestar("agent", "heartbeat", "--agent", "ADA", "--json")).json.warnings).toEqual([]);
  },
  LONG,
);

test(
  "an outcome that waited for the branch is written behind Git's back, and told",
  async () => {
    using repo = await large();
    repo.go();
    repo.git("checkout", "-q", "-b", "feat");
    await repo.lodestar("task", "done", "C", "--agent", "ADA");
    repo.commit("feat");
    repo.git("checkout", "-q", "main");
    await repo.lodestar("task", "verify", "C", "--agent", "BEN");
    expect(repo.spec()).not.toContain("verified_by");
    expect(repo.tryGit(["merge", "--no-ff", "--no-edit", "feat"], { agent: "BEN" }).exit).toBe(0);
    await until("the outcome is written", () => repo.spec().includes("verified_by: BEN"));
    await until("the note is there", () => existsSync(note(repo)));
    const { json } = await repo.lodestar("agent", "heartbeat", "--agent", "BEN", "--json");
    expect(json.warnings).toEqual(["After post-merge, wrote to the spec what had waited for this branch: C"]);
  },
  LONG,
);

test(
  "Git goes on while the spec, the index and the runtime are locked; what was left to do is done afterwards",
  async () => {
    using repo = await large();
    await verifiedElsewhere(repo);
    repo.go();
    const held = [".git/lodestar/spec.lock", ".lodestar/index.sqlite", ".lodestar/runtime.sqlite"].map((name) => {
      const database = new Database(join(repo.path, name));
      database.run("begin immediate");
      return database;
    });
    expect(repo.tryGit(["merge", "-q", "--no-edit", "feat"], { agent: "ADA" }).exit).toBe(0);
    repo.here.write("a.txt", "1");
    repo.git("add", "a.txt");
    expect(repo.tryGit(["commit", "-q", "-m", "x"], { agent: "ADA" }).exit).toBe(0);
    for (const database of held) database.close();
    await until("the note is there", () => existsSync(note(repo)));
    expect(readFileSync(note(repo), "utf8")).toContain('"unblocked":["B"]');
  },
  LONG,
);

test(
  "nothing is started where the spec is as it was, and a note of another branch is not told",
  async () => {
    using repo = await large();
    await repo.lodestar("status");
    repo.tryGit(["checkout", "-q", "-b", "other"], { agent: "ADA" });
    expect(repo.log()).toEqual([]);
    repo.git("checkout", "-q", "main");
    await verifiedElsewhere(repo);
    repo.tryGit(["merge", "-q", "--no-edit", "feat"], { agent: "ADA" });
    expect(repo.log()).toHaveLength(1);
    repo.go();
    await until("the note is there", () => existsSync(note(repo)));
    repo.git("checkout", "-q", "-B", "other", "main");
    const { json } = await repo.lodestar("agent", "heartbeat", "--agent", "ADA", "--json");
    expect(json.warnings).toEqual([]);
    expect(existsSync(note(repo))).toBe(false);
  },
  LONG,
);

test(
  "a spec that a merge broke is told as a problem with the next command, and stops nothing",
  async () => {
    using repo = await large();
    repo.go();
    repo.git("checkout", "-q", "-b", "feat");
    writeFileSync(join(repo.path, ".lodestar", "spec.yaml"), repo.spec().replace("status: ready", "status: [oops"));
    repo.commit("broken");
    repo.git("checkout", "-q", "main");
    await repo.lodestar("agent", "heartbeat", "--agent", "ADA");
    expect(repo.tryGit(["checkout", "-q", "feat"], { agent: "ADA" }).exit).toBe(0);
    await until("the note is there", () => existsSync(note(repo)));
    const { json } = await repo.lodestar("agent", "heartbeat", "--agent", "ADA", "--json");
    expect(json.warnings.join()).toContain("Lodestar could not help with post-checkout: ");
  },
  LONG,
);
