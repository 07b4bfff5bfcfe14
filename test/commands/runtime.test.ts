/** Which runtime a call uses, and how one moves: on the compiled program, as a person and as an agent call it. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DAY } from "../../src/core/time.ts";
import { openRuntime } from "../../src/runtime/sqlite/open.ts";
import { specText } from "../fixtures/calls.ts";
import { SeededRandom } from "../support/clock.ts";
import { binary, faultyBinary, type Ran, type Sandbox, sandbox } from "../support/sandbox.ts";

/** A server of somebody's that only counts who comes. */
function stranger() {
  let asked = 0;
  const listening = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        asked += 1;
        socket.end();
      },
      data: () => {},
    },
  });
  return {
    url: `postgres://127.0.0.1:${listening.port}/lodestar`,
    get asked() {
      return asked;
    },
    [Symbol.dispose]: () => listening.stop(true),
  };
}

const words = (line: string) => line.split(" ");

/** Runs in a terminal, where somebody types an answer. */
async function atTerminal(here: Sandbox, args: string, types: string, env: Record<string, string> = {}): Promise<Ran> {
  const child = Bun.spawn(["script", "-qefc", `${binary()} ${args}`, "/dev/null"], {
    cwd: here.path,
    env: here.environment({ ...env, SHELL: "/bin/sh" }),
    stdin: new TextEncoder().encode(types),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exit, stdout, stderr, json: undefined };
}

const hasTerminal = Bun.which("script") !== null && process.platform === "linux";
/** In CI it must run. */
const atTerminalTest = hasTerminal || process.env.CI === "true" ? test : test.skip;
const skipped = hasTerminal ? "" : " (needs script, of util-linux, on Linux)";

function naming(url: string, more = ", project_id: shop"): Sandbox {
  const here = sandbox();
  here.write(".lodestar/spec.yaml", specText(`runtime: "${url}"${more}`));
  return here;
}

const trustFile = (here: Sandbox) => join(here.base, "home/.config/lodestar/trusted-runtimes.json");
const trusting = (here: Sandbox, url: string, repository = join(here.path, ".git")) => {
  here.write("../home/.config/lodestar/trusted-runtimes.json", JSON.stringify([{ repository, url }]));
  chmodSync(trustFile(here), 0o600);
};
const code = ({ json, exit }: Ran) => [json.error?.code, exit];

describe("counterexample 27: what a spec names is not obeyed by itself", () => {
  test("nothing that an agent calls, hints followed, speaks to a stranger's server", async () => {
    using server = stranger();
    using here = naming(server.url);
    const env = { LODESTAR_AGENT: "A1" };
    const refused = await here.run(words("agent join --id A1 --json"));
    expect(code(refused)).toEqual(["RUNTIME_UNTRUSTED", 1]);
    const hinted = [...refused.json.error.hint.matchAll(/`lodestar ([^`]*)`/g)].map(([, line]) => line as string);
    expect(hinted).toEqual(["runtime trust"]);
    for (const line of [...hinted, "runtime trust --json", "runtime migrate", "doctor --fix", "task next --claim"]) {
      await here.run(words(line), { stdin: "y\n" });
      await here.run(words(line), { stdin: "y\n", env });
    }
    expect(code(await here.run(words("task claim OPEN --agent A1 --json")))).toEqual(["RUNTIME_UNTRUSTED", 1]);
    expect(existsSync(trustFile(here))).toBe(false);
    expect(server.asked).toBe(0);
  });

  atTerminalTest(`at a terminal an agent is refused all the same, and a person asked${skipped}`, async () => {
    using server = stranger();
    using here = naming(server.url);
    const agent = await atTerminal(here, "runtime trust", "y\r", { LODESTAR_AGENT: "A1" });
    expect([agent.exit, agent.stdout]).toEqual([1, expect.stringContaining("not for the agent A1 to decide")]);
    const no = await atTerminal(here, "runtime trust", "n\r");
    expect([no.exit, no.stdout]).toEqual([1, expect.stringContaining("was not trusted")]);
    expect(existsSync(trustFile(here))).toBe(false);
    const yes = await atTerminal(here, "runtime trust", "y\r");
    expect([yes.exit, yes.stdout]).toEqual([0, expect.stringContaining(server.url)]);
    expect(statSync(trustFile(here)).mode & 0o777).toBe(0o600);
    expect(server.asked).toBe(0);
    expect(code(await here.run(words("agent join --json")))).toEqual(["RUNTIME_UNREACHABLE", 5]);
    expect(server.asked).toBeGreaterThan(0);
    expect((await here.run(words("runtime trust --json"))).json.data).toMatchObject({ trusted: true, already: true });
    expect((await here.run(words("runtime trust --revoke --json"))).json.data).toMatchObject({ trusted: false });
    expect(code(await here.run(words("agent join --json")))).toEqual(["RUNTIME_UNTRUSTED", 1]);
  });

  test("trust is for one repository with all its worktrees, and for one URL to the letter", async () => {
    using server = stranger();
    using here = naming(server.url);
    const isTrusted = async (cwd = ".") => (await here.run(words("runtime trust --json"), { cwd })).json.ok;
    trusting(here, server.url, "/somewhere/else/.git");
    expect(await isTrusted()).toBe(false);
    trusting(here, `${server.url}?sslmode=disable`);
    expect(await isTrusted()).toBe(false);
    trusting(here, server.url);
    expect(await isTrusted()).toBe(true);
    here.git("add", "-A");
    here.git("commit", "-qm", "spec");
    here.git("worktree", "add", "-q", "../tree");
    here.git("clone", "-q", ".", "../clone");
    expect(await isTrusted("../tree")).toBe(true);
    expect(await isTrusted("../clone")).toBe(false);
    chmodSync(trustFile(here), 0o666);
    expect(await isTrusted()).toBe(false);
  });

  test("until then reading tells what the spec knows, with a warning, and leaves no file", async () => {
    using server = stranger();
    using here = naming(server.url);
    for (const line of ["status", "task list", "task next", "task show OPEN", "agent list"]) {
      const { json } = await here.run([...words(line), "--json"]);
      expect([line, json.ok, json.warnings]).toEqual([line, true, [expect.stringContaining("nobody has trusted")]]);
    }
    const { json } = await here.run(words("status --json"));
    expect(json.data.runtime).toEqual({ where: server.url, chosen_by: "conventions.runtime", used: false });
    expect(existsSync(join(here.path, ".lodestar/runtime.sqlite"))).toBe(false);
    expect(server.asked).toBe(0);
  });

  test("a password in the spec is refused, not repeated, and no trust makes it good", async () => {
    using server = stranger();
    for (const url of [
      server.url.replace("//", "//me:hunter2@"),
      `${server.url}?password=hunter2`,
      `${server.url}?sslpassword=hunter2`,
    ]) {
      using here = naming(url);
      trusting(here, url);
      for (const line of ["agent join", "runtime trust", "runtime migrate", "doctor"]) {
        const ran = await here.run([...words(line), "--json"]);
        expect([line, ...code(ran)]).toEqual([line, ...(line === "doctor" ? ["UNHEALTHY", 1] : ["SPEC_INVALID", 6])]);
        expect(ran.stdout).toContain("holds a password");
        expect(ran.stdout).not.toContain("hunter2");
      }
    }
    expect(server.asked).toBe(0);
  });

  test.each([
    ["https://example.org/lodestar", "https://…"],
    ["other.sqlite", "a path"],
    ["postgres://host:port/x", "cannot be read"],
    ["postgres://db.example.org\\e[2K/x", "other signs"],
    ["postgres://db.example.org%1b[2K/x", "other signs"],
    ["postgres://db.ex\u0430mple.org/x", "other signs"],
  ])("a spec that names %s is told what is wrong with that", async (url, says) => {
    using here = naming(url);
    const ran = await here.run(words("agent join --json"));
    expect([...code(ran), ran.json.error.message]).toEqual(["SPEC_INVALID", 6, expect.stringContaining(says)]);
    expect(existsSync(join(here.path, "other.sqlite"))).toBe(false);
  });

  test("while the spec cannot be read, what it named last counts, and never the repository's own file", async () => {
    using server = stranger();
    using here = naming(server.url);
    trusting(here, server.url);
    const held = words("task renew OPEN --agent A1 --json");
    const spec = specText(`runtime: '${server.url}', project_id: shop`);
    here.write(".lodestar/spec.yaml", "tasks: [");
    expect(code(await here.run(held))).toEqual(["SPEC_INVALID", 6]);
    rmSync(trustFile(here));
    here.write(".lodestar/spec.yaml", spec);
    expect(code(await here.run(held))).toEqual(["RUNTIME_UNTRUSTED", 1]);
    here.write(".lodestar/spec.yaml", "tasks: [");
    expect(code(await here.run(held))).toEqual(["RUNTIME_UNTRUSTED", 1]);
    expect(existsSync(join(here.path, ".lodestar/runtime.sqlite"))).toBe(false);
  });
});

describe("LODESTAR_RUNTIME", () => {
  test("takes the place of what the spec names, and needs no trust", async () => {
    using server = stranger();
    using here = naming("postgres://127.0.0.1:1/lodestar");
    const env = { LODESTAR_RUNTIME: server.url };
    expect(code(await here.run(words("agent join --json"), { env }))).toEqual(["RUNTIME_UNREACHABLE", 5]);
    expect(server.asked).toBeGreaterThan(0);
    const { json } = await here.run(words("runtime status --json"), { env });
    expect(json.data).toMatchObject({ chosen_by: "LODESTAR_RUNTIME", where: server.url, reachable: false });
  });

  test("names a database only for a project that has an id; who lacks one is told how to get it", async () => {
    using server = stranger();
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    const refused = await here.run(words("agent join --json"), { env: { LODESTAR_RUNTIME: server.url } });
    expect(code(refused)).toEqual(["RUNTIME_NOT_MIGRATED", 1]);
    expect(refused.json.error.hint).toContain("`lodestar runtime migrate`");
    expect(server.asked).toBe(0);
  });

  test.each([["https://example.org/x"], ["mysql://root:hunter2@db/x"]])(
    "%s is not known to this version",
    async (url) => {
      using here = sandbox();
      here.write(".lodestar/spec.yaml", specText());
      const ran = await here.run(words("status --json"), { env: { LODESTAR_RUNTIME: url } });
      expect(code(ran)).toEqual(["USAGE", 2]);
      expect(ran.stdout).not.toContain("hunter2");
    },
  );
});

describe("runtime copy", () => {
  test("everything goes along, the old store is closed, and it comes back the same way", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    const env = { LODESTAR_RUNTIME: join(here.base, "new.sqlite") };
    const run = async (line: string, options = {}) => (await here.run([...words(line), "--json"], options)).json;
    for (const agent of ["A1", "A2"]) await run(`agent join --id ${agent}`);
    const { fencing_token } = (await run("task claim OPEN --agent A1 --idempotency-key k1")).data;
    await run("msg send --task OPEN --from A2 --text Mind-the-gap");
    await run("msg inbox A1");
    const before = (await run("export snapshot --include-messages")).data.runtime;
    expect((await run("runtime copy --to ../new.sqlite --dry-run")).data).toMatchObject({ agents: 2, dry_run: true });
    expect(existsSync(env.LODESTAR_RUNTIME)).toBe(false);

    const copied = (await run("runtime copy --to ../new.sqlite")).data;
    expect(copied).toMatchObject({ agents: 2, leases: 1, messages: 1, used: false });
    expect((await run("export snapshot --include-messages", { env })).data.runtime).toEqual(before);

    const late = await here.run(words("task renew OPEN --agent A1 --json"));
    expect(code(late)).toEqual(["RUNTIME_MOVED", 1]);
    expect(late.json.error.details.moved_to).toBe(env.LODESTAR_RUNTIME);
    expect((await run("status")).warnings).toEqual([expect.stringContaining(`moved to ${env.LODESTAR_RUNTIME}`)]);
    expect((await run("doctor")).error.message).toContain("runtime");

    const again = await run("task claim OPEN --agent A1 --idempotency-key k1", { env });
    expect(again.data.fencing_token).toBe(fencing_token);
    const other = (await run("task claim OTHER --agent A2", { env })).data.fencing_token;
    expect(other).toBeGreaterThan(fencing_token);
    expect((await run("runtime copy --to ../third.sqlite")).error.code).toBe("RUNTIME_MOVED");
    expect(existsSync(join(here.base, "third.sqlite"))).toBe(false);

    const back = await run("runtime copy --to .lodestar/runtime.sqlite", { env });
    expect(back.data).toMatchObject({ agents: 2, leases: 2 });
    expect((await run("task renew OTHER --agent A2", { env })).error.code).toBe("RUNTIME_MOVED");
    const done = await run(`task done OPEN --agent A1 --fencing-token ${fencing_token}`);
    expect(done.data).toMatchObject({ status: "done" });
    expect((await run("task claim PLANNED --agent A2")).error.code).toBe("NOT_CLAIMABLE");
  });

  test("how long things are kept goes along, so that the new store does not clear out what the old one kept", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText("keep_events: 300d, keep_messages: 400d"));
    for (const line of ["agent join --id A1", "task claim OPEN --agent A1", "runtime copy --to ../new.sqlite"])
      expect((await here.run(words(line))).exit).toBe(0);
    const services = { clock: { now: Date.now }, random: new SeededRandom(1) };
    const moved = openRuntime({ path: join(here.base, "new.sqlite"), create: false, readonly: true, ...services });
    const seen = await moved?.observe({ since: 0, worktree: here.path, branch: "main" });
    moved?.close();
    expect(seen?.retention).toEqual({ events: 300 * DAY, messages: 400 * DAY });
  });

  test("a move that was broken off is completed by the same call; a target in use stops it before anybody is shut out", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    const run = async (line: string, options = {}) => (await here.run([...words(line), "--json"], options)).json;
    const env = { LODESTAR_RUNTIME: join(here.base, "new.sqlite") };
    await run("agent join --id A1");
    await run("runtime copy --to ../new.sqlite");
    expect((await run("runtime copy --to ../new.sqlite")).data).toMatchObject({ already: true });
    await run("task claim OPEN --agent A1", { env });
    const late = await run("runtime copy --to ../new.sqlite");
    expect([late.error.code, late.error.hint]).toEqual(["NOT_EMPTY", expect.stringContaining("Nothing is left")]);
    expect((await run("agent join")).error.code).toBe("RUNTIME_MOVED");

    using there = sandbox();
    there.write(".lodestar/spec.yaml", specText());
    await there.run(words("agent join --id B1"));
    const occupied = await there.run(["runtime", "copy", "--to", env.LODESTAR_RUNTIME, "--json"]);
    expect(code(occupied)).toEqual(["NOT_EMPTY", 1]);
    expect((await there.run(words("agent heartbeat B1 --json"))).json.ok).toBe(true);
  });

  test.each(["after-retire", "after-restore"])(
    "killed %s: nobody writes anywhere until the same call has completed it",
    async (point) => {
      using here = sandbox();
      here.write(".lodestar/spec.yaml", specText());
      const run = async (line: string, options = {}) => (await here.run([...words(line), "--json"], options)).json;
      await run("agent join --id A1");
      const { fencing_token } = (await run("task claim OPEN --agent A1")).data;
      const killed = await here.run(words("runtime copy --to ../new.sqlite"), {
        ...{ program: faultyBinary(), env: { LODESTAR_FAULT: point } },
      });
      expect(killed.exit).toBe(137);
      expect((await run("task renew OPEN --agent A1")).error.code).toBe("RUNTIME_MOVED");
      const completed = (await run("runtime copy --to ../new.sqlite")).data;
      expect(completed).toMatchObject({ leases: 1, ...(point === "after-restore" ? { already: true } : {}) });
      const env = { LODESTAR_RUNTIME: join(here.base, "new.sqlite") };
      expect((await run("task renew OPEN --agent A1", { env })).data).toMatchObject({ fencing_token });
    },
  );

  test("what was moved and lost can be taken from what stayed behind, if somebody says so", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    const run = async (line: string, options = {}) => (await here.run([...words(line), "--json"], options)).json;
    await run("agent join --id A1");
    await run("runtime copy --to ../new.sqlite");
    const forced = await run("runtime copy --to ../third.sqlite --force");
    expect(forced.data).toMatchObject({ agents: 1 });
    const late = await run("agent join");
    expect(late.error.details.moved_to).toBe(join(here.base, "third.sqlite"));
  });
});

describe("runtime status and doctor", () => {
  test("the repository's own file: who chose it, what it holds, how it answers", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    const status = async () => (await here.run(words("runtime status --json"))).json.data;
    const path = join(here.path, ".lodestar/runtime.sqlite");
    expect(await status()).toEqual({ store: "sqlite", where: path, chosen_by: "default", reachable: true });
    await here.run(words("agent join"));
    expect(await status()).toMatchObject({
      counts: { agents: 1, leases: 0, messages: 0, events: 1, outcomes: 0 },
      engine: expect.stringMatching(/^SQLite 3/),
      latency_ms: expect.any(Number),
    });
    writeFileSync(path, "rubbish".repeat(1000));
    expect(await status()).toMatchObject({ reachable: false, problem: { code: "RUNTIME_CORRUPT" } });
  });

  test("doctor: untrusted is no fault of a clone, no id and no answer are", async () => {
    using server = stranger();
    const checks = async (here: Sandbox) => {
      const { json } = await here.run(words("doctor --json"));
      return json.data.checks.filter(({ name }: { name: string }) => name === "runtime");
    };
    using untrusted = naming(server.url);
    expect(await checks(untrusted)).toEqual([
      {
        name: "runtime",
        status: "info",
        message: expect.stringContaining("nobody has trusted"),
        fix: expect.any(String),
      },
    ]);
    expect(server.asked).toBe(0);
    using nameless = naming(server.url, "");
    expect(await checks(nameless)).toMatchObject([
      { status: "fail", message: expect.stringContaining("no project_id") },
      { status: "info" },
    ]);
    trusting(untrusted, server.url);
    expect(await checks(untrusted)).toMatchObject([{ status: "fail", message: expect.stringContaining("127.0.0.1") }]);
  });

  test("migrate brings an older file to this version, and says so once", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    const migrate = async (...more: string[]) => (await here.run([...words("runtime migrate --json"), ...more])).json;
    const first = (await migrate()).data;
    expect(first).toMatchObject({ store: "sqlite", schema_before: 0, schema_version: expect.any(Number) });
    expect((await migrate()).data).toMatchObject({ schema_before: first.schema_version });
    expect((await migrate("x.sqlite", "--share")).error.code).toBe("USAGE");
    const secret = await migrate("postgres://me:hunter2@127.0.0.1:1/x", "--share");
    expect([secret.error.code, JSON.stringify(secret).includes("hunter2")]).toEqual(["USAGE", false]);
    const spec = readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");
    expect((await migrate("postgres://127.0.0.1:1/x", "--share")).error.code).toBe("RUNTIME_UNREACHABLE");
    expect(readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8")).toBe(spec);
  });
});
