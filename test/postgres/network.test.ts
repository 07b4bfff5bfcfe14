import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { HOUR, MINUTE } from "../../src/core/time.ts";
import { openPostgresRuntime } from "../../src/runtime/postgres/open.ts";
import type { RuntimeSnapshot } from "../../src/runtime/store.ts";
import { Bench, key, TTL } from "../contract/fixture.ts";
import { SeededRandom } from "../support/clock.ts";
import { type Fate, Network } from "../support/network.ts";
import { Cluster, freePort, openProject, whyNoPostgres } from "../support/postgres.ts";

const reason = whyNoPostgres();
setDefaultTimeout(60_000);
let cluster: Cluster;
let network: Network;

/**
 * A working day, with every kind of step; what it leaves behind depends on nothing but the steps.
 * @param afterwards is called before time passes, and at the end.
 */
async function day(bench: Bench, afterwards: () => Promise<void>): Promise<void> {
  const { store, clock } = bench;
  await bench.join("A1", "A2", "A3");
  const first = await bench.hold("A1", "X");
  clock.advance(1000);
  await store.renew({ key: key("X"), agent_id: "A1", ttl: TTL, automatic: false, fencing_token: first.fencing_token });
  await store.send({ message_id: "M1", from_agent_id: "A2", task_id: "X", text: "how is it going?" });
  await store.receive("A1", { inbox_of: "A1", order: "oldest", limit: 10 });
  await bench.finish("done", "X", { agent_id: "A1", step: { note: { text: "see the branch", message_id: "M2" } } });
  await bench.finish("verify", "X", { agent_id: "A2" });
  await store.intend({ key: "k1", input_hash: "h" }, { id: "T-1" });
  await store.append([{ type: "task.created", task_id: "Y", agent_id: "A3" }]);
  await store.complete({ key: "k1", input_hash: "h" }, { id: "T-1" });
  await bench.hold("A3", "Y", { idempotency: { key: "k2", input_hash: "h" } });
  await store.release({ key: key("Y"), agent_id: "A3", force: false, how: "released" });
  await bench.hold("A2", "Y");
  await afterwards();
  clock.advance(TTL + MINUTE);
  await bench.hold("A3", "Y");
  await store.markRead("A3", { message_ids: ["M1", "M2"] });
  await store.settle((await store.outbox()).slice(0, 1).map(({ outbox_id }) => outbox_id));
  await store.leave("A3");
  await afterwards();
}

async function dayAfter(fate: () => Fate, through = true): Promise<RuntimeSnapshot> {
  network.fate = () => "pass";
  const opened = await openProject(cluster, through ? { url: cluster.url({ port: network.port }) } : {});
  try {
    network.fate = fate;
    await day(new Bench(opened), () => network.deliver());
    network.fate = () => "pass";
    return await opened.store.snapshot();
  } finally {
    network.fate = () => "pass";
    opened.close();
  }
}

/** The fate of every first try; what is tried again passes. */
function everyFirst(fate: Fate): () => Fate {
  let tries = 0;
  return () => {
    tries += 1;
    return tries % 2 === 1 ? fate : "pass";
  };
}

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    cluster = await Cluster.start();
    network = new Network(cluster.port);
  }, 60_000);
  afterAll(async () => {
    network.stop();
    await cluster.stop();
  });

  describe("a network that fails", () => {
    test("L4: a connection that is cut between commit and answer costs nothing: every step is taken once", async () => {
      const expected = await dayAfter(() => "pass", false);
      const before = network.steps;
      expect(await dayAfter(everyFirst("cut"))).toEqual(expected);
      // Each of them was sent twice.
      expect(network.steps - before).toBeGreaterThan(36);
    });

    test("a connection that is cut before the step arrives is made anew, and the step sent again", async () => {
      const expected = await dayAfter(() => "pass", false);
      expect(await dayAfter(everyFirst("lost"))).toEqual(expected);
    });

    test("L4: steps that arrive a second time, when all is over, change nothing", async () => {
      const expected = await dayAfter(() => "pass", false);
      expect(await dayAfter(() => "repeated")).toEqual(expected);
    });

    test("L4: a step that was taken for lost and arrives after its repeat changes nothing", async () => {
      const expected = await dayAfter(() => "pass", false);
      expect(await dayAfter(everyFirst("late"))).toEqual(expected);
    });

    test("L2: a step that was under way until its lease had passed to another is refused, and changes nothing", async () => {
      network.fate = () => "pass";
      const opened = await openProject(cluster, { url: cluster.url({ port: network.port }) });
      const bench = new Bench(opened);
      await bench.join("A1", "A2");
      const mine = await bench.hold("A1", "X");
      const finishing = await bench.finishing("done", "X", { agent_id: "A1", fencing_token: mine.fencing_token });
      // The client is frozen with its words in the network: nothing arrives, until everything has changed.
      const frozen = opened.second();
      // It has seen what it needs, so its verdict is on the way with its words.
      await frozen.observe({ since: 0, agent_id: "A1", worktree: "/repo", branch: "main" });
      network.fate = () => "late";
      const call = frozen.finish(finishing).then(
        () => "answered",
        ({ code }) => code,
      );
      expect(await call).toBe("RUNTIME_UNREACHABLE");
      network.fate = () => "pass";
      opened.clock.set(mine.expires_at);
      const theirs = await bench.hold("A2", "X", { ttl: 10 * TTL });
      const before = await bench.store.snapshot();
      await network.deliver();
      // The clock of this runtime is told by its callers, and this one told an old time: that alone is seen.
      expect(await bench.store.snapshot()).toEqual({ ...before, now: expect.any(Number) });
      expect(before.leases.at(-1)).toMatchObject({ agent_id: "A2", fencing_token: theirs.fencing_token });
      // And when it wakes up and asks itself:
      expect(await frozen.finish(finishing)).toMatchObject({ kind: "lost", current: { agent_id: "A2" } });
      opened.close();
    });

    test("after a look, as every command takes one, claim, renew, release and done are one round trip each", async () => {
      network.fate = () => "pass";
      const opened = await openProject(cluster, { url: cluster.url({ port: network.port }) });
      const bench = new Bench(opened);
      await bench.join("A1", "A2");
      await bench.hold("A2", "other", { lease_ids: ["L0"] });
      const trips = async (step: () => Promise<{ readonly kind: string }>) => {
        await bench.observe("A1");
        const before = network.steps;
        const { kind } = await step();
        return [kind, network.steps - before];
      };
      const locks = { locks: ["src/**"], basis: [], reopens: [] };
      const claiming = (id: string) => bench.claiming("A1", [{ key: key(id), ...locks }]);
      const [first, second] = [await claiming("X"), await claiming("Y")];
      const finishing = await bench.finishing("done", "Y", { agent_id: "A1" });
      const mine = { key: key("X"), agent_id: "A1" };
      expect([
        await trips(() => bench.store.claim(first)),
        await trips(() => bench.store.claim(second)),
        await trips(() => bench.store.renew({ ...mine, ttl: TTL, automatic: false })),
        await trips(() => bench.store.release({ ...mine, force: false, how: "released" })),
        await trips(() => bench.store.finish(finishing)),
      ]).toEqual([
        ["granted", 1],
        ["granted", 1],
        ["renewed", 1],
        ["released", 1],
        ["finished", 1],
      ]);
      opened.close();
    });

    test("RUNTIME_UNREACHABLE names host and port: nobody listens, nobody answers, no such host", async () => {
      const open = (url: string) =>
        openPostgresRuntime({
          ...{ url, project_id: "p", env: {}, clock: { now: Date.now }, random: new SeededRandom(1), create: true },
        }).then(
          () => undefined,
          ({ code, message, details }) => ({ code, message, details }),
        );
      const nobody = freePort();
      const hole = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
      const answers = await Promise.all([
        open(`postgres://a:secret@127.0.0.1:${nobody}/d`),
        open(`postgres://a:secret@127.0.0.1:${hole.port}/d`),
        open("postgres://a:secret@nowhere.invalid/d?sslmode=disable"),
      ]);
      hole.stop(true);
      expect(answers).toEqual([
        {
          code: "RUNTIME_UNREACHABLE",
          message: `The runtime at 127.0.0.1:${nobody} (database d) cannot be reached.`,
          details: { host: "127.0.0.1", port: nobody, database: "d" },
        },
        expect.objectContaining({ message: `The runtime at 127.0.0.1:${hole.port} (database d) does not answer.` }),
        expect.objectContaining({ message: "The runtime at nowhere.invalid:5432 (database d) cannot be reached." }),
      ]);
      // Refused, it would have been tried for 4 s, and silence lasts 5.
    }, 8000);

    test("a server that falls silent in the middle is given up, and said to be unreachable", async () => {
      network.fate = () => "pass";
      const opened = await openProject(cluster, { url: cluster.url({ port: network.port }) });
      network.fate = () => "silence";
      await expect(opened.store.heartbeat("A1")).rejects.toMatchObject({
        code: "RUNTIME_UNREACHABLE",
        message: `The runtime at 127.0.0.1:${network.port} (database lodestar) does not answer.`,
      });
      network.fate = () => "pass";
      // The next call makes a new connection.
      expect(await opened.store.heartbeat("A1")).toBeUndefined();
      opened.close();
    }, 9000);
  });

  test("L5: clients whose clocks are an hour ahead and an hour behind see one time, the server's", async () => {
    const open = (ahead: number) =>
      openPostgresRuntime({
        ...{ url: cluster.url(), project_id: "skewed", env: {}, create: true, random: new SeededRandom(ahead) },
        clock: { now: () => Date.now() + ahead },
      });
    const [ahead, behind] = [await open(HOUR), await open(-HOUR)];
    const fast = new Bench({ store: ahead, clock: undefined as never, second: () => ahead, close() {} });
    const slow = new Bench({ store: behind, clock: undefined as never, second: () => behind, close() {} });
    await fast.join("A1");
    await slow.join("A2");
    const { lease_id, expires_at, granted_at, fencing_token } = await slow.hold("A2", "X", { ttl: MINUTE });
    expect(expires_at - granted_at).toBe(MINUTE);
    expect(Math.abs(granted_at - Date.now())).toBeLessThan(MINUTE);
    // By the clock of A1 it ran out an hour ago; by its own, A2 has an hour still.
    expect(await fast.claim("A1", "X", { lease_ids: ["other"] })).toMatchObject({
      kind: "held",
      leases: [{ lease_id }],
    });
    expect((await fast.hold("A1", "Y", { lease_ids: ["L8"] })).fencing_token).toBeGreaterThan(fencing_token);
    expect((await slow.hold("A2", "Z", { lease_ids: ["L9"] })).granted_at).toBeGreaterThanOrEqual(granted_at);
    expect((await ahead.info()).clock_offset).toBe(0);
    ahead.close();
    behind.close();
  });
});
