import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MINUTE } from "../../src/core/time.ts";
import { migratePostgres, openPostgresRuntime, type PostgresOptions } from "../../src/runtime/postgres/open.ts";
import { Bench, candidate } from "../contract/fixture.ts";
import { SeededRandom } from "../support/clock.ts";
import { fleet } from "../support/fleet.ts";
import { Cluster, freePort, giveToServer, PgBouncer, whyNoPgBouncer, whyNoPostgres } from "../support/postgres.ts";

const reason = whyNoPostgres();
setDefaultTimeout(60_000);
let cluster: Cluster;
let certificates: string;

let opened = 0;
function options(url: string, project_id: string, env: PostgresOptions["env"] = {}) {
  opened += 1;
  const random = new SeededRandom(opened);
  return { url, project_id, env, clock: { now: Date.now }, random, create: true } as const;
}

async function bench(url: string, project_id: string, env: PostgresOptions["env"] = {}): Promise<Bench & Disposable> {
  const store = await openPostgresRuntime(options(url, project_id, env));
  const here = new Bench({ store, clock: undefined as never, second: () => store, close() {} });
  return Object.assign(here, { [Symbol.dispose]: () => store.close() });
}

const answer = (call: Promise<unknown>) =>
  call.then(
    () => "answered",
    ({ code, message }) => ({ code, message }),
  );

/** An authority, and a certificate of its own for `localhost`. */
function makeCertificates(folder: string): void {
  const openssl = (...args: readonly string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: folder, stderr: "pipe" });
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  for (const name of ["ca", "other"])
    openssl(
      ..."req -x509 -newkey rsa:2048 -nodes -days 2 -subj".split(" "),
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
    );
  openssl(..."req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr".split(" "));
  writeFileSync(join(folder, "san"), "subjectAltName=DNS:localhost");
  openssl(
    ..."x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.crt".split(
      " ",
    ),
  );
}

describe.skipIf(reason !== undefined)(`PostgreSQL${reason === undefined ? "" : `: ${reason}`}`, () => {
  beforeAll(async () => {
    certificates = mkdtempSync(join(tmpdir(), "lodestar-tls-"));
    chmodSync(certificates, 0o755);
    makeCertificates(certificates);
    chmodSync(join(certificates, "server.key"), 0o600);
    giveToServer(join(certificates, "server.key"));
    cluster = await Cluster.start({
      settings: [
        "ssl = on",
        `ssl_cert_file = '${certificates}/server.crt'`,
        `ssl_key_file = '${certificates}/server.key'`,
      ],
      hba: [
        "local all all trust",
        "hostssl all only_tls 127.0.0.1/32 trust",
        "host all only_tls 127.0.0.1/32 reject",
        "host all secret 127.0.0.1/32 scram-sha-256",
        "host all all 127.0.0.1/32 trust",
      ],
    });
    await cluster.admin(
      "create role agent login; create role secret login password 'open sesame'; create role only_tls superuser login",
    );
  }, 60_000);
  afterAll(async () => {
    rmSync(certificates, { recursive: true });
    await cluster?.stop();
  });

  describe("who gets in", () => {
    const withUser = (user: string, query = "") => cluster.url({ user, query });

    test("TLS: the certificate is checked against the authority that is named, and the name against the host", async () => {
      const at = (host: string, query: string) => withUser("only_tls", query).replace("127.0.0.1", host) as string;
      const ca = join(certificates, "ca.crt");
      using safe = await bench(at("localhost", `sslmode=verify-full&sslrootcert=${ca}`), "tls");
      await safe.join("A1");
      const [{ ssl }] = await cluster.admin(
        "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'only_tls'",
      );
      expect(ssl).toBe(true);
      const refused = async (url: string) => answer(openPostgresRuntime(options(url, "tls")));
      const unsafe = { code: "RUNTIME_UNREACHABLE", message: expect.stringContaining("could not be reached safely") };
      expect(await refused(at("localhost", `sslmode=verify-full&sslrootcert=${certificates}/other.crt`))).toEqual(
        unsafe,
      );
      expect(await refused(at("localhost", "sslmode=verify-full"))).toEqual(unsafe);
      expect(await refused(at("127.0.0.1", `sslmode=verify-full&sslrootcert=${ca}`))).toEqual(unsafe);
      // `verify-ca` does not look at the name; `require` without an authority looks at nothing, as libpq has it.
      expect(await refused(at("127.0.0.1", `sslmode=verify-ca&sslrootcert=${ca}`))).toBe("answered");
      expect(await refused(at("127.0.0.1", "sslmode=require"))).toBe("answered");
      expect(await refused(at("localhost", "sslmode=disable"))).toMatchObject({ code: "RUNTIME_UNREACHABLE" });
      // On this machine nothing is asked for; a server that wants TLS gets it.
      expect(await refused(at("127.0.0.1", ""))).toBe("answered");
    });

    test("a password comes from the environment, a password file or a service file; a wrong one is told as that", async () => {
      await cluster.admin("grant create on database lodestar to secret");
      const url = withUser("secret");
      const files = certificates;
      writeFileSync(join(files, "pass"), `127.0.0.1:${cluster.port}:*:secret:open sesame\n`);
      writeFileSync(join(files, "service"), "[other]\npassword=no\n[mine]\npassword=open sesame\n");
      const ways: readonly Record<string, string>[] = [
        { PGPASSWORD: "open sesame" },
        { PGPASSFILE: join(files, "pass") },
        { PGSERVICE: "mine", PGSERVICEFILE: join(files, "service") },
      ];
      for (const env of ways) expect(await answer(openPostgresRuntime(options(url, "pw", env)))).toBe("answered");
      for (const env of [{ PGPASSWORD: "wrong" }, { HOME: files }])
        expect(await answer(openPostgresRuntime(options(url, "pw", env)))).toEqual({
          code: "RUNTIME_UNREACHABLE",
          message: `The runtime at 127.0.0.1:${cluster.port} (database lodestar) did not let this user in.`,
        });
    });

    test("a socket is a way in", async () => {
      const url = `postgres://owner@/lodestar?host=${cluster.folder}&port=${cluster.port}`;
      using here = await bench(url, "socket");
      await here.join("A1");
      expect((await here.store.agents()).agents).toHaveLength(1);
    });

    test("a role with nothing but usage of the schema works, and can neither drop, change nor read around us", async () => {
      const url = withUser("agent");
      const denied = { code: "READ_ONLY", message: expect.stringContaining("does not allow this to its user") };
      await cluster.admin("drop schema if exists lodestar cascade");
      // There is nothing yet, and this role may not make it.
      {
        using early = await bench(url, "roles");
        expect(await answer(early.join("A1"))).toEqual(denied);
      }
      expect(await migratePostgres(options(cluster.url(), "roles"))).toEqual({ from: 0, to: 1 });
      expect(await migratePostgres(options(cluster.url(), "roles"))).toEqual({ from: 1, to: 1 });
      {
        using outside = await bench(url, "roles");
        expect(await answer(outside.join("A1"))).toEqual(denied);
      }
      await cluster.admin("grant usage on schema lodestar to agent");
      using here = await bench(url, "roles");
      await here.join("A1");
      await here.hold("A1", "X");
      await here.finish("done", "X", { agent_id: "A1" });
      expect(await here.types()).toEqual(["agent.joined", "task.claimed", "task.done"]);
      const around = new Bun.SQL({ ...{ adapter: "postgres", url, tls: false, max: 1 } });
      for (const text of [
        "drop schema lodestar cascade",
        "drop table lodestar.lease",
        "delete from lodestar.event",
        "update lodestar.lease set expires_at = 0",
        "select * from lodestar.message",
        "create table lodestar.mine (x integer)",
        "create function lodestar.read_v1(text) returns text language sql as 'select 1::text'",
      ])
        await expect(around.unsafe(text).simple()).rejects.toMatchObject({ errno: "42501" });
      await around.close();
    });
  });

  describe("versions", () => {
    test("32 clients that come first at once make schema and project once", async () => {
      await cluster.admin("drop schema if exists lodestar cascade");
      const done = await Promise.all(
        Array.from({ length: 32 }, () => migratePostgres(options(cluster.url(), "first"))),
      );
      expect(done.map(({ to }) => to)).toEqual(Array(32).fill(1));
      expect(done.filter(({ from }) => from === 0)).toHaveLength(1);
      const [{ migrations, projects }] = await cluster.admin(
        "select (select count(*)::int from lodestar.migration) as migrations, (select count(*)::int from lodestar.project) as projects",
      );
      expect({ migrations, projects }).toEqual({ migrations: 1, projects: 1 });
    });

    test("RUNTIME_TOO_NEW: a later migration that leaves this version behind stops it, also in the middle; another does not", async () => {
      await cluster.admin("drop schema if exists lodestar cascade");
      using here = await bench(cluster.url(), "versions");
      await here.join("A1");
      // What a later version does: it adds, and leaves what was there.
      await cluster.admin(
        "alter table lodestar.lease add column colour text; insert into lodestar.migration (version, works_with) values (2, 1)",
      );
      await here.hold("A1", "X");
      expect((await here.store.info()).schema_version).toBe(2);
      await cluster.admin("insert into lodestar.migration (version, works_with) values (3, 3)");
      const tooNew = {
        code: "RUNTIME_TOO_NEW",
        message: `The runtime at 127.0.0.1:${cluster.port} (database lodestar) is of a newer Lodestar than this one.`,
      };
      expect(await answer(here.claim("A1", "Y"))).toEqual(tooNew);
      expect(await answer(here.observe())).toEqual(tooNew);
      await cluster.admin("drop schema lodestar cascade");
    });

    test("two versions of the program, the newer one with another migration, drain one project at once", async () => {
      using here = await fleet();
      const tasks = Array.from({ length: 24 }, (_, i) => `T${i + 1}`);
      here.tasks(tasks, () => [], "{ project_id: two-versions }");
      // The newer one: these sources with one more migration.
      const newer = join(here.base, "newer");
      const root = join(import.meta.dir, "..", "..");
      for (const name of ["src", "package.json", "tsconfig.json", "bunfig.toml"])
        cpSync(join(root, name), join(newer, name), { recursive: true });
      symlinkSync(join(root, "node_modules"), join(newer, "node_modules"));
      const migrate = join(newer, "src/runtime/postgres/migrate.ts");
      const text = readFileSync(migrate, "utf8");
      const more = `{ text: "alter table lodestar.lease add column colour text default 'red'", works_with: 1 }`;
      const changed = text.replace("works_with: 1 }]", `works_with: 1 }, ${more}]`);
      expect(changed).not.toBe(text);
      writeFileSync(migrate, changed);
      const env = { LODESTAR_RUNTIME: cluster.url() };
      const old = (line: string) => here.ok(line, { env });
      const next = async (line: string) => {
        const ran = await here.run([join(newer, "src/main.ts"), ...line.split(" "), "--json"], {
          env,
          program: process.execPath,
        });
        if (ran.exit !== 0) throw new Error(ran.stdout + ran.stderr);
        return ran.json.data;
      };
      await old("agent join --id OLD");
      expect(await cluster.admin("select max(version) as version from lodestar.migration")).toMatchObject([
        { version: 1 },
      ]);
      expect(await next("runtime migrate")).toMatchObject({ schema_before: 1, schema_version: 2 });
      await next("agent join --id NEW");
      const drain = async (run: (line: string) => Promise<{ task_id?: string }>, agent: string) => {
        const got: string[] = [];
        for (;;) {
          const { task_id } = await run(`task next --claim --agent ${agent}`);
          if (task_id === undefined) return got;
          got.push(task_id);
          await run(`task done ${task_id} --agent ${agent}`);
        }
      };
      const [a, b] = await Promise.all([drain(old, "OLD"), drain(next, "NEW")]);
      expect([...a, ...b].sort()).toEqual([...tasks].sort());
      expect(a.length).toBeGreaterThan(0);
      expect(b.length).toBeGreaterThan(0);
    }, 120_000);
  });

  describe.skipIf(whyNoPgBouncer() !== undefined)("PgBouncer in transaction mode", () => {
    test("16 agents over two connections of the pool: one winner for each task, nothing left in a session", async () => {
      const port = freePort();
      const sessions = async () =>
        (await cluster.admin("select count(*)::int as count from pg_stat_activity where datname = 'lodestar'"))[0]
          .count;
      const before = await sessions();
      const bouncer = await PgBouncer.start(cluster, port);
      try {
        const url = cluster.url({ port });
        const agents = await Promise.all(Array.from({ length: 16 }, () => bench(url, "pooled")));
        const tasks = Array.from({ length: 48 }, (_, i) => `T${i}`);
        const won = await Promise.all(
          agents.map(async (one, i) => {
            const agent = `A${i}`;
            await one.join(agent);
            const got: string[] = [];
            for (let turn = 0; ; turn += 1) {
              const result = await one.claim(
                agent,
                tasks.map((task) => candidate(task)),
                {
                  ...{ take: "first", ttl: MINUTE, lease_ids: [`L-${agent}-${turn}`] },
                },
              );
              if (result.kind === "none" && !result.stale) return got;
              if (result.kind !== "granted") continue;
              const lease = result.grants[0]?.lease;
              if (lease === undefined) throw new Error("A grant without a lease.");
              got.push(lease.task_id);
              if (got.length % 2 === 0)
                await one.store.renew({
                  key: { task_id: lease.task_id, created_at: "" },
                  ttl: MINUTE,
                  automatic: false,
                  agent_id: agent,
                });
            }
          }),
        );
        expect(won.flat().sort()).toEqual([...tasks].sort());
        for (const one of agents) one[Symbol.dispose]();
        expect((await sessions()) - before).toBeLessThanOrEqual(2);
        expect(await cluster.admin("select locktype from pg_locks where locktype = 'advisory'")).toEqual([]);
      } finally {
        await bouncer.stop();
      }
    });
  });
});
