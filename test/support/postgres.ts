/**
 * A PostgreSQL cluster of the tests' own, in a temporary folder, on a socket and a free loopback port; gone when it is stopped.
 */
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPostgresRuntime, type PostgresOptions, postgresRuntimeLater } from "../../src/runtime/postgres/open.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import type { Opened } from "../contract/fixture.ts";
import { START } from "../contract/fixture.ts";
import { ManualClock, SeededRandom } from "./clock.ts";

/** The folder of the newest server's programs, or of those that `LODESTAR_TEST_POSTGRES` names; `undefined` when there is none. */
function programs(): string | undefined {
  const named = process.env.LODESTAR_TEST_POSTGRES;
  if (named) return named;
  const versions = "/usr/lib/postgresql";
  const debian = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = debian.map((version) => join(versions, version, "bin"));
  const initdb = Bun.which("initdb");
  if (initdb !== null) folders.push(join(initdb, ".."));
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

/**
 * Why the tests of PostgreSQL cannot run here; `undefined` when they can. In CI there is no reason: `.ci/run` installs it.
 */
export function whyNoPostgres(): string | undefined {
  if (programs() !== undefined) return undefined;
  if (process.env.CI === "true") throw new Error("PostgreSQL is not installed: apt-get install postgresql");
  return "PostgreSQL is not installed (apt-get install postgresql pgbouncer)";
}

export interface ClusterOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[];
  /** Lines of pg_hba.conf, in the place of trust for everybody. */
  readonly hba?: readonly string[];
  /** Waits for the disk at each commit, as a server must that is not only a test. */
  readonly durable?: boolean;
}

/** A running server. */
export class Cluster {
  readonly folder: string;
  readonly data: string;
  readonly port: number;
  readonly #durable: boolean;
  #server: ReturnType<typeof Bun.spawn> | undefined;

  private constructor(folder: string, data: string, port: number, durable: boolean) {
    this.folder = folder;
    this.data = data;
    this.port = port;
    this.#durable = durable;
  }

  /** Makes a cluster with an empty database `lodestar` of the user `owner`, and starts it. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), "lodestar-pg-"));
    const data = join(folder, "data");
    mkdirSync(data);
    for (const path of [folder, data]) giveToServer(path);
    const cluster = new Cluster(folder, data, freePort(), options.durable ?? false);
    run(
      cluster.command(
        "initdb",
        "-D",
        data,
        "-U",
        "owner",
        "--auth=trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
      ),
    );
    await Bun.write(join(data, "extra.conf"), (options.settings ?? []).join("\n"));
    await Bun.write(join(data, "postgresql.auto.conf"), "include_if_exists = 'extra.conf'\n");
    if (options.hba !== undefined) await Bun.write(join(data, "pg_hba.conf"), `${options.hba.join("\n")}\n`);
    await cluster.up();
    await cluster.admin("create database lodestar", "postgres");
    return cluster;
  }

  /** The words that start a program of the server's, as a user that it accepts: it refuses to run as root. */
  command(program: string, ...args: readonly string[]): string[] {
    const owner = serverUser();
    const as =
      owner === undefined ? [] : ["setpriv", `--reuid=${owner.uid}`, `--regid=${owner.gid}`, "--clear-groups", "--"];
    return [...as, program.startsWith("/") ? program : join(programs() ?? "", program), ...args];
  }

  /** Starts the server, and waits until it answers. */
  async up(): Promise<void> {
    const settings = [
      // As servers from version 14 on keep passwords.
      ...["-c", "password_encryption=scram-sha-256"],
      ...["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300", "-c", "shared_buffers=32MB"],
      // What is tested is that programs and server may die, not that the machine may: tests need not wait for the disk.
      ...["-c", `fsync=${this.#durable ? "on" : "off"}`, "-c", "log_min_messages=fatal"],
    ];
    const argv = this.command("postgres", "-D", this.data, "-k", this.folder, "-p", String(this.port), ...settings);
    const log = join(this.folder, "log");
    const start = () => Bun.spawn(argv, { stdout: "ignore", stderr: Bun.file(log) });
    this.#server = start();
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.admin("select 1", "postgres");
        return;
      } catch (cause) {
        const hasEnded = this.#server.exitCode !== null;
        const said = hasEnded ? readFileSync(log, "utf8") : "";
        // Processes of a server that was killed are yet to go: who watches over a server starts it again.
        const isHeldUp = /pre-existing shared memory block|lock file "postmaster.pid"/.test(said);
        if (attempt > 300 || (hasEnded && !isHeldUp)) throw new Error(readFileSync(log, "utf8"), { cause });
        await Bun.sleep(50);
        if (hasEnded) this.#server = start();
      }
    }
  }

  /** `kill -9` of the server and of all its processes, as when its machine loses power. */
  async kill(): Promise<void> {
    const [pid = ""] = readFileSync(join(this.data, "postmaster.pid"), "utf8").split("\n");
    for (const one of [Number(pid), ...childrenOf(Number(pid))]) {
      try {
        process.kill(one, "SIGKILL");
      } catch {
        // It went by itself: its parent is gone.
      }
    }
    await this.#server?.exited;
    rmSync(join(this.data, "postmaster.pid"), { force: true });
  }

  /** The database's address, with what is given after the question mark. */
  url(more: { readonly user?: string; readonly port?: number; readonly query?: string } = {}): string {
    const { user = "owner", port = this.port, query = "" } = more;
    return `postgres://${user}@127.0.0.1:${port}/lodestar${query === "" ? "" : `?${query}`}`;
  }

  /** Runs SQL as the superuser. */
  // biome-ignore lint/suspicious/noExplicitAny: a test asserts what it finds.
  async admin(text: string, database = "lodestar"): Promise<any[]> {
    const client = new Bun.SQL({
      ...{ adapter: "postgres", hostname: "127.0.0.1", port: this.port, username: "owner", database },
      ...{ max: 1, prepare: false, tls: false, connectionTimeout: 5 },
    });
    try {
      return [...(await client.unsafe(text).simple())];
    } finally {
      await client.close();
    }
  }

  /** A standby that follows this server, with an address of its own. */
  async standby(name: string): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), "lodestar-pg-"));
    giveToServer(folder);
    const standby = new Cluster(folder, join(folder, "data"), freePort(), this.#durable);
    const from = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "owner"];
    run(this.command("pg_basebackup", ...from, "-D", standby.data, "-R", "-X", "stream", "-c", "fast", "--no-sync"));
    await Bun.write(
      join(standby.data, "extra.conf"),
      `primary_conninfo = 'host=127.0.0.1 port=${this.port} user=owner application_name=${name}'\nsynchronous_standby_names = ''\n`,
    );
    await Bun.write(join(standby.data, "postgresql.auto.conf"), "include_if_exists = 'extra.conf'\n");
    await standby.up();
    return standby;
  }

  /** From here on a commit waits for this standby. */
  async replicateTo(name: string): Promise<void> {
    await this.admin(`alter system set synchronous_standby_names = '${name}'`);
    await this.admin("select pg_reload_conf()");
    for (;;) {
      const [row] = await this.admin(`select sync_state from pg_stat_replication where application_name = '${name}'`);
      if (row?.sync_state === "sync") return;
      await Bun.sleep(20);
    }
  }

  /** Waits until a standby has all that its primary wrote. */
  async caughtUp(primary: Cluster): Promise<void> {
    const [{ at }] = await primary.admin("select pg_current_wal_lsn()::text as at");
    for (;;) {
      const [{ there }] = await this.admin(
        `select coalesce(pg_last_wal_replay_lsn() >= '${at}'::pg_lsn, false) as there`,
      );
      if (there) return;
      await Bun.sleep(20);
    }
  }

  /** A standby hears no more of its primary. */
  async deafen(): Promise<void> {
    await this.admin("alter system set primary_conninfo = ''");
    await this.admin("select pg_reload_conf()");
    for (;;) {
      const [{ receivers }] = await this.admin("select count(*)::int as receivers from pg_stat_wal_receiver");
      if (receivers === 0) return;
      await Bun.sleep(20);
    }
  }

  /** A standby becomes the primary. */
  async promote(): Promise<void> {
    await this.admin("select pg_promote(true, 60)");
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server !== undefined && server.exitCode === null) {
      // "Fast": sessions are ended, not waited for.
      server.kill("SIGINT");
      await server.exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Why PgBouncer cannot be started here; as {@link whyNoPostgres}. */
export function whyNoPgBouncer(): string | undefined {
  if (pgbouncer() !== null) return undefined;
  if (process.env.CI === "true") throw new Error("PgBouncer is not installed: apt-get install pgbouncer");
  return "PgBouncer is not installed (apt-get install pgbouncer)";
}

const pgbouncer = () => Bun.which("pgbouncer", { PATH: `${process.env.PATH ?? ""}:/usr/sbin` });

/** A pool of two connections in transaction mode before a cluster. */
export class PgBouncer {
  readonly #process: ReturnType<typeof Bun.spawn>;

  private constructor(process: ReturnType<typeof Bun.spawn>) {
    this.#process = process;
  }

  static async start(cluster: Cluster, port: number): Promise<PgBouncer> {
    const ini = join(cluster.folder, "pgbouncer.ini");
    const users = join(cluster.folder, "users.txt");
    await Bun.write(users, '"owner" ""\n"agent" ""\n');
    await Bun.write(
      ini,
      `[databases]
lodestar = host=127.0.0.1 port=${cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
`,
    );
    const argv = cluster.command(pgbouncer() ?? "pgbouncer", ini);
    const process = Bun.spawn(argv, { stdout: "ignore", stderr: Bun.file(join(cluster.folder, "pgbouncer.log")) });
    for (let attempt = 0; ; attempt += 1) {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(() => undefined);
      socket?.end();
      if (socket !== undefined) return new PgBouncer(process);
      if (attempt > 200) throw new Error(readFileSync(join(cluster.folder, "pgbouncer.log"), "utf8"));
      await Bun.sleep(50);
    }
  }

  async stop(): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
  }
}

let projects = 0;

/** A runtime of its own in the cluster whose clock moves when told, as the contract wants it. */
export async function openProject(
  cluster: Cluster,
  more: Partial<Omit<PostgresOptions, "create">> = {},
): Promise<Opened & { readonly project_id: string }> {
  projects += 1;
  const project_id = `project-${projects}`;
  const clock = new ManualClock(START);
  const options = (seed: number) => ({
    ...{ url: cluster.url(), project_id, env: {}, clock, random: new SeededRandom(seed), create: true as const },
    ...more,
  });
  const opened: RuntimeStore[] = [];
  const first = await openPostgresRuntime(options(projects * 100));
  opened.push(first);
  // The first step makes schema and project; from then on the project goes by the caller's clock.
  await first.heartbeat("nobody");
  const at = ["last_now", "last_token", "last_seq", "last_message", "pruned_at", "pruned_seq"].map(
    (name) => `${name} = ${START}`,
  );
  await cluster.admin(
    `update lodestar.project set clock = 'caller', clock_offset = 0, calls_pruned_at = 0, ${at} where project_id = '${project_id}';
     delete from lodestar.call where project_id = '${project_id}'`,
  );
  const second = (): RuntimeStore => {
    const store = postgresRuntimeLater(options(projects * 100 + opened.length));
    opened.push(store);
    return store;
  };
  const close = (): void => {
    for (const store of opened) store.close();
  };
  return { store: first, clock, second, project_id, close };
}

/** Makes a file one that the server may call its own. */
export function giveToServer(path: string): void {
  const owner = serverUser();
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

/** Whom the server runs as where the tests run as root. */
function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error("The server does not run as root, and there is neither a user postgres nor nobody.");
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        // The fields after the name, which may hold anything but a closing bracket at its end.
        const [, ppid] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
        return Number(ppid) === parent;
      } catch {
        return false;
      }
    });
}

export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

function run(argv: readonly string[]): void {
  const { exitCode, stderr, stdout } = Bun.spawnSync([...argv], { stdout: "pipe", stderr: "pipe", cwd: tmpdir() });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stdout}${stderr}`);
}
