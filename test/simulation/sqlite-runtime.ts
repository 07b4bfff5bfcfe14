/** A runtime in a SQLite file, as the simulation sees it. */
import { Database } from "bun:sqlite";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { Sql } from "../../src/runtime/sqlite/sql.ts";
import { readLeases, readOutbox, readOutcomes } from "../support/runtime-tables.ts";
import type { ClockRow, Listener, SimulatedRuntime, Tables } from "./runtime.ts";
import { Crash } from "./scheduler.ts";

/** Called before each statement that changes a runtime. */
let beforeStatement: () => void = () => {};

// A process may die between two statements of a transaction: the only place below the store's methods where the simulation stands.
const { run } = Sql.prototype;
Sql.prototype.run = function (this: Sql, ...args: Parameters<Sql["run"]>): number {
  beforeStatement();
  return run.apply(this, args);
};

export class SqliteRuntime implements SimulatedRuntime {
  readonly env = {};
  readonly conventions = {};
  readonly #path: string;
  readonly #put: string[] = [];
  #listener: Listener | undefined;
  #db: Database | undefined;
  #inode = 0n;
  #statements = 0;

  /** @param base the folder of the history's worktrees. */
  constructor(base: string) {
    this.#path = join(base, "main", ".lodestar", "runtime.sqlite");
    beforeStatement = () => this.#beforeStatement();
  }

  attach(listener: Listener): void {
    this.#listener = listener;
  }

  async isThere(): Promise<boolean> {
    return existsSync(this.#path);
  }

  async read(): Promise<Tables | undefined> {
    const inode = statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.ino;
    if (inode === undefined) return undefined;
    if (this.#db === undefined || inode !== this.#inode) {
      const opened = new Database(this.#path, { readwrite: true, create: false });
      if (opened.query("select 1 from sqlite_schema where name = 'lease'").get() === null) {
        // Another program's, or nothing in it yet.
        opened.close();
        return undefined;
      }
      this.#db?.close();
      this.#db = opened;
      this.#inode = inode;
    }
    const db = this.#db;
    return {
      identity: String(inode),
      clock: (db.query("select clock_offset, last_now, last_seq from runtime").get() as ClockRow | null) ?? undefined,
      ...{ leases: readLeases(db), outcomes: readOutcomes(db), outbox: readOutbox(db) },
      seqs: (db.query("select seq from event order by seq").all() as { seq: number }[]).map(({ seq }) => seq),
    };
  }

  doom(statements: number): void {
    this.#statements = statements;
  }

  #beforeStatement(): void {
    if (this.#statements === 0) return;
    this.#statements -= 1;
    if (this.#statements > 0) return;
    this.#listener?.died();
    throw new Crash();
  }

  async lose(): Promise<void> {
    this.#listener?.say("the runtime is deleted");
    this.#closeOwn();
    for (const part of ["-wal", "-shm", ""]) rmSync(this.#path + part, { force: true });
  }

  readonly putForeign = (): void => {
    const mark = `theirs-${this.#put.length + 1}`;
    this.#listener?.say(`another program leaves its runtime there: ${mark}`);
    const theirs = new Database(this.#path, { create: true });
    theirs.run("create table theirs (mark text)");
    theirs.run("insert into theirs values (?)", [mark]);
    theirs.close();
    this.#put.push(mark);
  };

  get foreign() {
    return { put: this.#put, found: () => this.#foreignFound() };
  }

  /** Wherever they were moved. */
  #foreignFound(): readonly string[] {
    const folder = dirname(this.#path);
    return readdirSync(folder)
      .filter((name) => /^runtime\.sqlite(\.foreign-\d+)?$/.test(name))
      .flatMap((name) => {
        const database = new Database(join(folder, name), { readonly: true });
        try {
          const isTheirs = database.query("select 1 from sqlite_schema where name = 'theirs'").get() !== null;
          return isTheirs
            ? (database.query("select mark from theirs").all() as { mark: string }[]).map(({ mark }) => mark)
            : [];
        } finally {
          database.close();
        }
      });
  }

  keepsLocks(): boolean | undefined {
    if (this.#db === undefined || !existsSync("/proc/locks")) return undefined;
    // The list is no snapshot: while other processes lock and unlock, a line may be passed over.
    const isKept = (): boolean =>
      readFileSync("/proc/locks", "utf8")
        .split("\n")
        .some((line) => line.includes(` ${process.pid} `) && line.includes(`:${this.#inode} `));
    return Array.from({ length: 50 }).some(isKept);
  }

  #closeOwn(): void {
    this.#db?.close();
    this.#db = undefined;
  }

  async close(): Promise<void> {
    this.#closeOwn();
  }
}
