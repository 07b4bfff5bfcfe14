/** A project's way into a database and back, as its people type it: the compiled program and a server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { specText } from "../fixtures/calls.ts";
import { Cluster, whyNoPostgres } from "../support/postgres.ts";
import { type RunOptions, type Sandbox, sandbox } from "../support/sandbox.ts";

const AGENTS = ["A1", "A2", "A3", "A4"];

const why = whyNoPostgres();

/** A repository with two tasks to take, whose person trusts the database in it and in each of these clones. */
function project(url: string, clones: readonly string[] = []): Sandbox {
  const here = sandbox();
  here.write(".lodestar/spec.yaml", specText());
  const folder = join(here.base, "home/.config/lodestar");
  mkdirSync(folder, { recursive: true });
  const repositories = [here.path, ...clones.map((clone) => join(here.base, clone))];
  const trusted = repositories.map((path) => ({ repository: join(path, ".git"), url }));
  writeFileSync(join(folder, "trusted-runtimes.json"), JSON.stringify(trusted));
  chmodSync(join(folder, "trusted-runtimes.json"), 0o600);
  return here;
}

const calling =
  (here: Sandbox) =>
  async (line: string, options: RunOptions = {}) =>
    (await here.run([...line.split(" "), "--json"], options)).json;
const specOf = (here: Sandbox) => readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");

describe.skipIf(why !== undefined)(`a project in a database${why === undefined ? "" : `: ${why}`}`, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(async () => {
    await cluster?.stop();
  });

  test("the guide's way: migrate, copy, share; leases and tokens go along, and back into a file", async () => {
    const url = cluster.url();
    using here = project(url);
    const run = calling(here);
    const file = join(here.path, ".lodestar/runtime.sqlite");
    for (const agent of ["A1", "A2"]) await run(`agent join --id ${agent}`);
    const { fencing_token, expires_at } = (await run("task claim OPEN --agent A1 --idempotency-key k1")).data;
    await run("task verify FINISHED --agent A2 --note Looks-good");
    await run("msg send --task OPEN --from A2 --text Mind-the-gap");
    await run("msg inbox A1");

    const before = specOf(here);
    const prepared = (await run(`runtime migrate ${url}`)).data;
    expect(prepared).toMatchObject({ store: "postgres", schema_before: 0, written: ["project_id"] });
    expect(prepared.project_id).toMatch(/^[0-9a-z]{20}$/);
    expect(specOf(here)).toBe(
      before.replace("conventions: {}", `conventions:\n    project_id: ${prepared.project_id}`),
    );
    expect((await run(`runtime migrate ${url}`)).data.written).toBeUndefined();

    const held = (await run("export snapshot --include-messages")).data.runtime;
    const copied = await run(`runtime copy --to ${url}`);
    expect(copied.data).toMatchObject({ from: file, agents: 2, messages: 2, used: false });
    expect(copied.next[0].cmd).toBe(`lodestar runtime migrate ${url} --share`);
    expect((await run(`runtime copy --to ${url}`)).data).toMatchObject({ already: true });
    expect((await run("task renew OPEN --agent A1")).error.code).toBe("RUNTIME_MOVED");
    expect((await run(`runtime migrate ${url} --share`)).data.written).toEqual(["runtime"]);

    expect((await run("export snapshot --include-messages")).data.runtime).toEqual(held);
    const again = (await run("task claim OPEN --agent A1 --idempotency-key k1")).data;
    expect(again).toMatchObject({ fencing_token, expires_at });
    const other = (await run("task claim OTHER --agent A2")).data;
    expect(other.fencing_token).toBeGreaterThan(fencing_token);
    expect((await run("status")).data.runtime).toMatchObject({ chosen_by: "conventions.runtime", used: true });
    const status = (await run("runtime status")).data;
    expect(status).toMatchObject({
      ...{ store: "postgres", trusted: true, reachable: true, project_id: prepared.project_id },
      counts: { agents: 2, leases: 2, messages: 2 },
      engine: expect.stringMatching(/^PostgreSQL \d+/),
    });
    expect(status).not.toHaveProperty("clock_offset_seconds");
    const checks = (await run("doctor")).data.checks.filter(({ name }: { name: string }) => name === "runtime");
    expect(checks).toEqual([
      { name: "runtime", status: "pass", message: expect.stringMatching(/2 agents, 2 live leases.*PostgreSQL/) },
    ]);

    const back = await run(`runtime copy --to ${file}`);
    expect(back.data).toMatchObject({ to: file, leases: 2 });
    expect((await run("task renew OTHER --agent A2")).error.code).toBe("RUNTIME_MOVED");
    const env = { LODESTAR_RUNTIME: file };
    const done = await run(`task done OPEN --agent A1 --fencing-token ${fencing_token}`, { env });
    expect(done.data).toMatchObject({ status: "done" });
    expect((await run("task renew OTHER --agent A2", { env })).data.fencing_token).toBe(other.fencing_token);
    expect((await run(`runtime copy --to ${url}`, { env })).data).toMatchObject({ agents: 2, used: false });
  }, 120_000);

  test("L1, L6: moved while four agents work, nothing acknowledged is missing, and none of them goes on in the old store", async () => {
    const url = cluster.url();
    using here = project(url);
    const run = calling(here);
    await run(`runtime migrate ${url}`);
    for (const agent of AGENTS) await run(`agent join --id ${agent}`);
    const sent: string[] = [];
    const enough = Promise.withResolvers<void>();
    const work = async (agent: string): Promise<string> => {
      for (let nth = 1; ; nth += 1) {
        const text = `${agent}-${nth}`;
        const { ok, error } = await run(`msg send --task OPEN --from ${agent} --text ${text}`);
        if (!ok) return error.code;
        sent.push(text);
        if (sent.length === 12) enough.resolve();
      }
    };
    const working = AGENTS.map(work);
    await enough.promise;
    const copied = await run(`runtime copy --to ${url}`);
    expect(await Promise.all(working)).toEqual(AGENTS.map(() => "RUNTIME_MOVED"));
    const env = { LODESTAR_RUNTIME: url };
    const { messages } = (await run("msg thread OPEN --limit 200", { env })).data;
    expect(messages.map(({ text }: { text: string }) => text).sort()).toEqual(sent.sort());
    expect(copied.data.messages).toBe(sent.length);
    const claims = await Promise.all(AGENTS.map((agent) => run(`task claim OPEN --agent ${agent}`, { env })));
    expect(claims.filter(({ ok }) => ok)).toHaveLength(1);
  }, 120_000);

  test("two clones are one team; projects in one database do not see each other", async () => {
    const url = cluster.url();
    using here = project(url, ["clone"]);
    const run = calling(here);
    await run(`runtime migrate ${url} --share`);
    here.git("add", ".lodestar/spec.yaml");
    here.git("commit", "-qm", "spec");
    here.git("clone", "-q", ".", "../clone");
    const clone = { cwd: "../clone" };
    await run("agent join --id A1");
    expect((await run("agent join --id A2", clone)).ok).toBe(true);
    expect((await run("task claim OPEN --agent A1")).ok).toBe(true);
    const taken = await run("task claim OPEN --agent A2", clone);
    expect(taken.error).toMatchObject({ code: "ALREADY_CLAIMED" });
    expect(existsSync(join(here.path, ".lodestar/runtime.sqlite"))).toBe(false);

    using stranger = project(url);
    const other = calling(stranger);
    await other(`runtime migrate ${url} --share`);
    await other("agent join --id B1");
    expect((await other("agent list")).data.agents).toMatchObject([{ agent_id: "B1" }]);
    expect((await other("task claim OPEN --agent B1")).ok).toBe(true);
  }, 120_000);

  test("doctor tells who has another repository's id, and --new-id gives a fork one of its own", async () => {
    const url = cluster.url();
    using here = project(url, ["fork", "copy"]);
    const run = calling(here);
    here.git("remote", "add", "origin", "git@example.org:team/shop.git");
    here.git("add", ".lodestar/spec.yaml");
    here.git("commit", "-qm", "spec");
    await run(`runtime migrate ${url} --share`);
    here.git("commit", "-qam", "share");
    const told = async (cwd: string) =>
      (await run("doctor", { cwd })).data.checks
        .filter(({ name, status }: { name: string; status: string }) => name === "runtime" && status === "warn")
        .map(({ message }: { message: string }) => message);
    expect(await told(".")).toEqual([]);

    here.git("clone", "-q", ".", "../fork");
    here.git("-C", "../fork", "remote", "set-url", "origin", "https://me:token@example.org/me/shop");
    const [message, ...more] = await told("../fork");
    expect([message, more]).toEqual([
      expect.stringContaining("made for example.org/team/shop, and this is a clone of example.org/me/shop"),
      [],
    ]);
    here.git("-C", "../fork", "remote", "set-url", "origin", "ssh://git@example.org:22/team/shop");
    expect(await told("../fork")).toEqual([]);

    here.write("../copy/.lodestar/spec.yaml", specOf(here));
    here.git("init", "-q", "../copy");
    expect(await told("../copy")).toEqual([expect.stringContaining("is not in this one")]);
    const { project_id } = (await run("runtime status")).data;
    const renewed = (await run("runtime migrate --new-id", { cwd: "../copy" })).data;
    expect(renewed.written).toEqual(["project_id"]);
    expect(renewed.project_id).not.toBe(project_id);
    expect(await told("../copy")).toEqual([]);
  }, 120_000);

  test("doctor tells of the file that is still open beside the database", async () => {
    const url = cluster.url();
    using here = project(url);
    const run = calling(here);
    await run("agent join --id A1");
    await run(`runtime migrate ${url} --share`);
    const [pass, warn] = (await run("doctor")).data.checks.filter(({ name }: { name: string }) => name === "runtime");
    expect(pass).toMatchObject({ status: "pass" });
    expect(warn).toMatchObject({ status: "warn", message: expect.stringContaining("still open for writing") });
  }, 60_000);

  test("many that prepare one database at once make one schema, and one id", async () => {
    await cluster.admin("create database crowd", "postgres");
    const url = cluster.url().replace("/lodestar", "/crowd");
    using here = project(url);
    const run = calling(here);
    const answers = await Promise.all(Array.from({ length: 6 }, () => run(`runtime migrate ${url}`)));
    const made = answers.filter(({ ok }) => ok);
    expect(answers.filter(({ ok, error }) => !ok && error.code !== "BUSY")).toEqual([]);
    expect(made.length).toBeGreaterThan(0);
    expect(new Set(made.map(({ data }) => data.project_id)).size).toBe(1);
    expect(made[0].data.schema_version).toBeGreaterThan(0);
  }, 60_000);
});
