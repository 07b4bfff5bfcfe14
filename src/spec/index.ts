import { constants, Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { lstatSync, unlinkSync } from "node:fs";
import { descendantCounts, type Edges, findCycle, nodesOnCycles } from "../core/graph.ts";
import { isSatisfied, type Outcome, STATUSES, type Status } from "../core/status.ts";
import { createdKey, type KnownOutcome, specOutcome, type Task, type TaskKey } from "../core/task.ts";
import { DamagedIndex } from "./damaged-index.ts";
import type { SpecKey } from "./key.ts";
import type { Layout, Problem, Project, Spec, TaskBlock } from "./model.ts";

/** A task's row: the parsed task and what is kept of its place in the graph. */
export interface IndexedTask {
  readonly task: Task;
  readonly outcome: Outcome;
  /** Tasks that depend on it, directly or through others; deleted ones are not counted. */
  readonly unblocks: number;
  /** By the spec alone: `ready`, dependencies verified, on no cycle. */
  readonly claimable: boolean;
  readonly in_cycle: boolean;
}

/** What the index says of the spec as a whole. */
export interface Header {
  readonly key: SpecKey;
  /** False when the key alone cannot vouch for the bytes ({@link CLOCK_GRAIN}); then `digest` decides. */
  readonly settled: boolean;
  readonly digest: string;
  readonly project: Project;
  readonly layout: Layout;
  readonly broken: readonly Problem[];
  readonly by_status: Readonly<Record<Status, number>>;
  readonly claimable: number;
  /** Up to which version of which runtime {@link SpecIndex.mirrored} is complete. */
  readonly runtime_id: string;
  readonly runtime_version: number;
}

type Counts = Pick<Header, "by_status" | "claimable">;

export interface TaskChange {
  readonly task: Task;
  readonly hash: bigint;
  readonly length: number;
}

export interface TaskFilter {
  readonly label?: string | undefined;
  /** How the id begins. */
  readonly id_prefix?: string | undefined;
  readonly limit: number;
  readonly offset: number;
}

/** Raised when what the index holds changes shape: an older or newer file is thrown away and made again. */
const FORMAT = 6;

const SCHEMA = `
create table header (one integer primary key check (one = 1), body text not null);
create table features (one integer primary key check (one = 1), body text not null);
create table task (
  id text primary key,
  created_at text not null,
  status text not null,
  priority integer not null,
  unblocks integer not null,
  satisfied integer not null,
  claimable integer not null,
  in_cycle integer not null,
  labels text not null,
  hash text not null,
  length integer not null,
  body text not null
) without rowid;
create index task_claimable on task (priority, unblocks desc, id) where claimable = 1;
create index task_done on task (priority, unblocks desc, id) where status = 'done';
create table dependency (task_id text not null, depends_on text not null, primary key (depends_on, task_id)) without rowid;
create index dependency_task on dependency (task_id);
create index task_prd on task (id) where instr(body, '"prd":{') > 0;
create table memo (name text primary key, digest text not null, body text not null) without rowid;
create table mirror (task_id text not null, created_at text not null, body text not null, primary key (task_id, created_at)) without rowid;
`;

/** What {@link IndexedTask.claimable} says, of the row at hand: a missing dependency is not satisfied. */
const CLAIMABLE = `(status = 'ready' and in_cycle = 0 and not exists (
  select 1 from dependency d left join task need on need.id = d.depends_on
  where d.task_id = task.id and coalesce(need.satisfied, 0) = 0))`;

/** Name of the memo of all tasks' product context: no source is called so, whose names are paths in the repository. */
const OF_ALL = "//all";
const FORGET = "delete from memo where name = ?";

/** A task's place in the graph, as its row holds it. */
interface Place {
  readonly unblocks: number;
  readonly in_cycle: 0 | 1;
}

/** So many changes are taken in one by one; more are cheaper counted anew. */
const FEW = 200;

const NO_PLACE: Place = { unblocks: 0, in_cycle: 0 };

type Places = (id: string) => Place;

function placesIn(edges: Edges, deleted: ReadonlySet<string>): Places {
  const counts = descendantCounts(edges, (id) => !deleted.has(id));
  const cyclic = nodesOnCycles(edges);
  return (id) => ({ unblocks: counts.get(id) ?? 0, in_cycle: cyclic.has(id) ? 1 : 0 });
}

/** The same from a spec that was read whole: rows are then written once, not written and updated. */
function placesOf({ tasks }: Spec): Places {
  const deleted = tasks.filter(({ task }) => task.status === "deleted").map(({ task }) => task.id);
  return placesIn(new Map(tasks.map(({ task }) => [task.id, task.depends_on])), new Set(deleted));
}

interface Row {
  readonly body: string;
  readonly unblocks: number;
  readonly claimable: number;
  readonly in_cycle: number;
}

const COLUMNS = "body, unblocks, claimable, in_cycle";

/**
 * The disposable cache of one parsed spec, in SQLite so that a call reads only what it needs. It also mirrors those outcomes of the
 * runtime that the spec does not hold. Deleting its file loses nothing; without one it lives in memory.
 */
export class SpecIndex {
  readonly #database: Database;
  readonly #path: string;
  readonly #statements = new Map<string, Statement>();
  #header: Header | undefined;

  private constructor(database: Database, path: string) {
    this.#database = database;
    this.#path = path;
  }

  /** An index in memory, for one call. */
  static memory(): SpecIndex {
    const database = new Database(":memory:");
    database.run(SCHEMA);
    return new SpecIndex(database, ":memory:");
  }

  /**
   * Opens the file; `undefined` when there is none (and `create` is false), or when it cannot be used: damaged, of another
   * format and not writable, on read-only media. The caller then works in memory. With `create` a damaged one is made anew.
   */
  static open(path: string, create: boolean): SpecIndex | undefined {
    try {
      return SpecIndex.#open(path, create);
    } catch (cause) {
      // A cache that cannot be used is no cache; whatever is wrong with it, the spec itself is read.
      if (!create || !isDamage(cause)) return undefined;
    }
    try {
      removeIndex(path);
      return SpecIndex.#open(path, create);
    } catch {
      // It cannot be removed either: this call works in memory.
      return undefined;
    }
  }

  static #open(path: string, create: boolean): SpecIndex | undefined {
    let database: Database | undefined;
    try {
      // A repository is not trusted: a link that it brings must not lead us to somebody's other database.
      const file = lstatSync(path, { throwIfNoEntry: false });
      if (file?.isFile() === false) return undefined;
      database = new Database(path, { readwrite: true, create });
      // The log stays when the last reader leaves: making and removing it would cost every call two files.
      database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
      // Without power-loss durability (it is a cache), but never torn: WAL with NORMAL keeps its order.
      // An emptied log is cut off: whoever opens it next would read all of it again.
      database.run("pragma busy_timeout = 2000; pragma synchronous = normal; pragma journal_size_limit = 0");
      if (formatOf(database) !== FORMAT) prepareFile(database);
      // SQLite opens the log by its name, at the first read. If both were deleted and made again in between, the file is the old
      // one and the log the new one's: what would be read is neither.
      if (file !== undefined && lstatSync(path, { throwIfNoEntry: false })?.ino !== file.ino) {
        database.close();
        return undefined;
      }
      return new SpecIndex(database, path);
    } catch (cause) {
      database?.close();
      throw cause;
    }
  }

  close(): void {
    this.#database.close();
  }

  #prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Does something with the database. @throws DamagedIndex */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw isDamage(cause) ? new DamagedIndex(this.#path, cause) : cause;
    }
  }

  #all<R>(sql: string, ...values: SQLQueryBindings[]): R[] {
    return this.#guarded(() => this.#prepare(sql).all(...values) as R[]);
  }

  #get<R>(sql: string, ...values: SQLQueryBindings[]): R | undefined {
    return this.#guarded(() => (this.#prepare(sql).get(...values) as R | null) ?? undefined);
  }

  #run(sql: string, ...values: SQLQueryBindings[]): void {
    this.#guarded(() => this.#prepare(sql).run(...values));
  }

  /** Reads of one decision see one state of the index, whoever refreshes it meanwhile. */
  beginRead(): void {
    if (this.#database.inTransaction) return;
    this.#guarded(() => this.#database.run("begin"));
    this.#header = undefined;
  }

  endRead(): void {
    if (this.#database.inTransaction) this.#database.run("commit");
  }

  /** @returns `undefined` when nothing was indexed yet. */
  header(): Header | undefined {
    if (this.#header === undefined) {
      const row = this.#get<{ body: string }>("select body from header");
      this.#header = row === undefined ? undefined : this.#unseal<Header>(row.body);
    }
    return this.#header;
  }

  /** The ids of each feature's tasks. Apart from the header, which every call reads: they name most tasks of the spec. */
  features(): Spec["features"] {
    const row = this.#get<{ body: string }>("select body from features");
    return row === undefined ? {} : this.#unseal<Spec["features"]>(row.body);
  }

  #saveFeatures(features: Spec["features"]): void {
    this.#run(
      "insert into features (one, body) values (1, ?) on conflict (one) do update set body = excluded.body where body != excluded.body",
      seal(features),
    );
  }

  #saveHeader(header: Header): void {
    this.#run(
      "insert into header (one, body) values (1, ?) on conflict (one) do update set body = excluded.body",
      seal(header),
    );
    this.#header = header;
  }

  #write(body: () => void): void {
    this.endRead();
    this.#header = undefined;
    this.#database.run("begin immediate");
    try {
      body();
      this.#database.run("commit");
    } catch (cause) {
      if (this.#database.inTransaction) this.#database.run("rollback");
      this.#header = undefined;
      throw cause;
    }
  }

  /** What fetches the task of a block with this hash, for blocks that are indexed (`known` of readSpec). */
  knows(): (hash: bigint, id: string) => (() => Task | undefined) | undefined {
    const hashes = this.hashes();
    return (hash, id) => (hashes.get(id) === hash.toString(36) ? () => this.#known(hash, id) : undefined);
  }

  #known(hash: bigint, id: string): Task | undefined {
    const row = this.#get<{ body: string }>("select body from task where id = ? and hash = ?", id, hash.toString(36));
    return row === undefined ? undefined : this.#unseal<Task>(row.body);
  }

  /** The hash of each task's block in base 36, by id. */
  hashes(): Map<string, string> {
    const rows = this.#all<{ id: string; hash: string }>("select id, hash from task");
    return new Map(rows.map(({ id, hash }) => [id, hash]));
  }

  /** Where a task's block is to be looked for. */
  locate(id: string): { readonly hash: bigint; readonly length: number } | undefined {
    const row = this.#get<{ hash: string; length: number }>("select hash, length from task where id = ?", id);
    return row === undefined ? undefined : { hash: readHash(row.hash), length: row.length };
  }

  /**
   * Takes in a whole spec that was read. Only tasks whose blocks changed are written.
   *
   * @param isCurrent asked when nobody else can write here: false leaves everything as it is.
   */
  refresh(
    spec: Spec,
    seen: { readonly key: SpecKey; readonly settled: boolean; readonly digest: string },
    isCurrent: () => boolean = () => true,
  ): void {
    this.#write(() => {
      if (!isCurrent()) return;
      const before = this.hashes();
      const isNew = before.size === 0;
      const changed: TaskBlock[] = [];
      for (const block of spec.tasks) {
        if (before.get(block.id) !== block.hash.toString(36)) changed.push(block);
        before.delete(block.id);
      }
      const old = this.header();
      const header: Header = {
        ...seen,
        project: spec.project,
        layout: spec.layout,
        broken: spec.broken,
        by_status: old?.by_status ?? noStatuses(),
        claimable: old?.claimable ?? 0,
        runtime_id: old?.runtime_id ?? "",
        runtime_version: old?.runtime_version ?? 0,
      };
      this.#saveFeatures(spec.features);
      if (old !== undefined && changed.length + before.size === 0) return this.#saveHeader(header);
      // An edit by hand may have made a mirrored outcome differ again that was settled: mirror from the start.
      this.#run("delete from mirror");
      const unmirrored = { ...header, runtime_id: "", runtime_version: 0 };
      if (old !== undefined && before.size === 0 && !isNew)
        return this.#saveHeader({ ...unmirrored, ...this.#take(changed, old) });
      for (const id of before.keys()) this.#remove(id);
      const places = isNew ? placesOf(spec) : undefined;
      for (const block of changed)
        this.#put(block, isNew ? undefined : this.task(block.id), isNew ? places?.(block.id) : undefined);
      this.#recomputeGraph(places);
      this.#saveHeader({ ...unmirrored, ...this.#countAll() });
    });
  }

  /**
   * Takes in what an edit of ours changed, under the spec lock, right after the save.
   *
   * @param from the key of what was edited. A reader takes no lock of the spec: one that was slow may have put an older state here
   *   meanwhile. Then the edit is left out, and whoever reads next reads the file.
   */
  change(
    changes: readonly TaskChange[],
    from: SpecKey,
    seen: { readonly key: SpecKey; readonly layout: Layout },
    around: Partial<Pick<Spec, "project" | "features">> = {},
  ): void {
    this.#write(() => {
      const old = this.header();
      if (old === undefined || old.key !== from) return;
      const { features, ...header } = around;
      if (features !== undefined) this.#saveFeatures(features);
      this.#saveHeader({ ...old, ...seen, ...header, settled: true, digest: "", ...this.#take(changes, old) });
    });
  }

  /** Puts tasks that are new or changed, and what follows from them. @returns the new counts. */
  #take(changes: readonly TaskChange[], old: Counts): Counts {
    if (changes.length > FEW) {
      const known = this.hashes();
      for (const change of changes)
        this.#put(change, known.has(change.task.id) ? this.task(change.task.id) : undefined);
      this.#recomputeGraph();
      return this.#countAll();
    }
    let graphChanged = false;
    const touched = new Set<string>();
    const by_status = { ...old.by_status };
    for (const change of changes) {
      const { id } = change.task;
      const was = this.task(id);
      if (was !== undefined) by_status[was.task.status] -= 1;
      by_status[change.task.status] += 1;
      graphChanged ||= this.#movesGraph(was, change.task);
      this.#put(change, was);
      if (was === undefined && !graphChanged) this.#countNewDependent(change.task);
      touched.add(id);
      for (const dependent of this.dependents(id)) touched.add(dependent);
    }
    if (!graphChanged) return { by_status, claimable: old.claimable + this.#recomputeClaimable(touched) };
    this.#recomputeGraph();
    return this.#countAll();
  }

  /** The key was taken within the clock's grain, and the bytes proved to be the same: from now on the key vouches for them. */
  settle(key: SpecKey): void {
    this.#write(() => {
      const header = this.header();
      if (header?.key === key) this.#saveHeader({ ...header, settled: true });
    });
  }

  /**
   * Mirrors outcomes of a runtime up to `version`: those that the spec does not hold are kept, others only pass.
   *
   * @param from the header that `outcomes` and `holds` were made with: when another process has moved on, nothing is mirrored.
   */
  mirror(
    from: Header,
    runtime_id: string,
    version: number,
    outcomes: readonly KnownOutcome[],
    holds: (outcome: KnownOutcome) => boolean,
  ): void {
    this.#write(() => {
      const header = this.header();
      if (
        header?.key !== from.key ||
        header.runtime_id !== from.runtime_id ||
        header.runtime_version !== from.runtime_version
      )
        return;
      const kept = header.runtime_id === runtime_id ? this.mirrored<KnownOutcome>() : [];
      if (header.runtime_id !== runtime_id) this.#run("delete from mirror");
      for (const outcome of [...kept, ...outcomes]) {
        if (holds(outcome))
          this.#run("delete from mirror where task_id = ? and created_at = ?", outcome.task_id, outcome.created_at);
        else {
          this.#run(
            "insert into mirror (task_id, created_at, body) values (?, ?, ?) on conflict (task_id, created_at) do update set body = excluded.body",
            outcome.task_id,
            outcome.created_at,
            seal(outcome),
          );
        }
      }
      this.#saveHeader({ ...header, runtime_id, runtime_version: version });
    });
  }

  /** The mirrored outcomes that the spec did not hold when they were mirrored. */
  mirrored<O extends KnownOutcome>(): O[] {
    return this.#all<{ body: string }>("select body from mirror").map((row) => this.#unseal<O>(row.body));
  }

  #put({ task, hash, length }: TaskChange, was: IndexedTask | undefined, place: Place = NO_PLACE): void {
    this.#run(
      `insert into task (id, created_at, status, priority, unblocks, satisfied, claimable, in_cycle, labels, hash, length, body)
       values (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)
       on conflict (id) do update set created_at = excluded.created_at, status = excluded.status, priority = excluded.priority,
         satisfied = excluded.satisfied, labels = excluded.labels, hash = excluded.hash, length = excluded.length, body = excluded.body`,
      task.id,
      createdKey(task.created_at),
      task.status,
      task.priority,
      place.unblocks,
      isSatisfied(specOutcome(task)) ? 1 : 0,
      place.in_cycle,
      JSON.stringify(task.labels),
      hash.toString(36),
      length,
      seal(task),
    );
    if (JSON.stringify(was?.task.prd) !== JSON.stringify(task.prd)) this.#run(FORGET, OF_ALL);
    if (was !== undefined && sameList(was.task.depends_on, task.depends_on)) return;
    if (was !== undefined) this.#run("delete from dependency where task_id = ?", task.id);
    for (const need of task.depends_on)
      this.#run("insert or ignore into dependency (task_id, depends_on) values (?, ?)", task.id, need);
  }

  #remove(id: string): void {
    this.#run("delete from task where id = ?", id);
    this.#run("delete from dependency where task_id = ?", id);
    this.#run(FORGET, OF_ALL);
  }

  /** True when `unblocks` or cycles may change beyond what can be counted on the way. */
  #movesGraph(was: IndexedTask | undefined, task: Task): boolean {
    if (was === undefined) return this.dependents(task.id).length > 0 || task.depends_on.includes(task.id);
    if (!sameList(was.task.depends_on, task.depends_on)) return true;
    return (was.task.status === "deleted") !== (task.status === "deleted");
  }

  /** A new task on which nothing depends adds one to everything it depends on. */
  #countNewDependent(task: Task): void {
    if (task.status === "deleted") return;
    const seen = new Set<string>();
    const queue = [...task.depends_on];
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      const found = this.task(id);
      if (found === undefined) continue;
      this.#run("update task set unblocks = unblocks + 1 where id = ?", id);
      queue.push(...found.task.depends_on);
    }
  }

  #places(): Places {
    const deleted = this.#all<{ id: string }>("select id from task where status = 'deleted'");
    return placesIn(this.edges(), new Set(deleted.map(({ id }) => id)));
  }

  /** Brings every row's place in the graph up to date, then what is claimable. */
  #recomputeGraph(places: Places = this.#places()): void {
    for (const row of this.#all<{ id: string; unblocks: number; in_cycle: number }>(
      "select id, unblocks, in_cycle from task",
    )) {
      const { unblocks, in_cycle } = places(row.id);
      if (row.unblocks !== unblocks || row.in_cycle !== in_cycle) {
        this.#run("update task set unblocks = ?, in_cycle = ? where id = ?", unblocks, in_cycle, row.id);
      }
    }
    this.#run(`update task set claimable = ${CLAIMABLE} where claimable <> ${CLAIMABLE}`);
  }

  /** @returns by how much the number of claimable tasks grew. */
  #recomputeClaimable(ids: Iterable<string>): number {
    let delta = 0;
    for (const id of ids) {
      const changed = this.#get<{ claimable: number }>(
        `update task set claimable = ${CLAIMABLE} where id = ? and claimable <> ${CLAIMABLE} returning claimable`,
        id,
      );
      if (changed !== undefined) delta += changed.claimable === 1 ? 1 : -1;
    }
    return delta;
  }

  #countAll(): Counts {
    const by_status = noStatuses();
    for (const row of this.#all<{ status: Status; n: number }>(
      "select status, count(*) as n from task group by status",
    ))
      by_status[row.status] = row.n;
    const claimable = this.#get<{ n: number }>("select count(*) as n from task where claimable = 1")?.n ?? 0;
    return { by_status, claimable };
  }

  #readRow(row: Row): IndexedTask {
    const task = this.#unseal<Task>(row.body);
    return {
      task,
      outcome: specOutcome(task),
      unblocks: row.unblocks,
      claimable: row.claimable === 1,
      in_cycle: row.in_cycle === 1,
    };
  }

  /** What {@link seal} closed. @throws DamagedIndex when it is not what it was: edits of the spec go by what stands here. */
  #unseal<T>(body: string): T {
    const at = body.indexOf(" ");
    const text = body.slice(at + 1);
    return this.#guarded(() => {
      if (hashOf(text) !== body.slice(0, at)) throw new SyntaxError("The index holds other text than was put there.");
      return JSON.parse(text) as T;
    });
  }

  task(id: string): IndexedTask | undefined {
    const row = this.#get<Row>(`select ${COLUMNS} from task where id = ?`, id);
    return row === undefined ? undefined : this.#readRow(row);
  }

  /** A task's identity, without the rest of it. */
  key(id: string): TaskKey | undefined {
    const row = this.#get<{ created_at: string }>("select created_at from task where id = ?", id);
    return row === undefined ? undefined : { task_id: id, created_at: row.created_at };
  }

  /** Ids of the tasks that depend on it directly. */
  dependents(id: string): string[] {
    return this.#all<{ task_id: string }>(
      "select task_id from dependency where depends_on = ? order by task_id",
      id,
    ).map((row) => row.task_id);
  }

  /** Tasks that are claimable by the spec alone, in the order of T4 as far as the spec decides it. */
  claimable(filter: TaskFilter): IndexedTask[] {
    return this.#page("claimable = 1", filter);
  }

  /** Tasks that the spec records as done and not verified. */
  done(filter: TaskFilter): IndexedTask[] {
    return this.#page("status = 'done'", filter);
  }

  #page(where: string, { label, id_prefix, limit, offset }: TaskFilter): IndexedTask[] {
    const terms = [where];
    const values: SQLQueryBindings[] = [limit, offset];
    const filter = (value: string | undefined, term: (place: string) => string): void => {
      if (value !== undefined) terms.push(term(`?${values.push(value)}`));
    };
    filter(label, (place) => `exists (select 1 from json_each(labels) where value = ${place})`);
    filter(id_prefix, (place) => `substr(id, 1, length(${place})) = ${place}`);
    const sql = `select ${COLUMNS} from task where ${terms.join(" and ")} order by priority, unblocks desc, id limit ?1 offset ?2`;
    return this.#all<Row>(sql, ...values).map((row) => this.#readRow(row));
  }

  /** The tasks whose ids begin so, by id, read as far as they are asked for. */
  *tasksFrom(id_prefix: string, pageSize = 100): Generator<IndexedTask> {
    // Behind all that an id can go on with: the last character that there is stands for nothing, and in no id.
    const end = `${id_prefix}\u{10ffff}`;
    for (let after = ""; ; ) {
      const rows = this.#all<Row & { id: string }>(
        `select id, ${COLUMNS} from task where id >= ?1 and id < ?2 and id > ?3 order by id limit ?4`,
        ...[id_prefix, end, after, pageSize],
      );
      for (const row of rows) yield this.#readRow(row);
      if (rows.length < pageSize) return;
      after = rows.at(-1)?.id ?? "";
    }
  }

  /** Every task, by priority and id, a page at a time. */
  *tasks(pageSize = 500): Generator<IndexedTask> {
    for (let offset = 0; ; offset += pageSize) {
      const rows = this.#all<Row>(
        `select ${COLUMNS} from task order by priority, id limit ? offset ?`,
        pageSize,
        offset,
      );
      for (const row of rows) yield this.#readRow(row);
      if (rows.length < pageSize) return;
    }
  }

  hasPrd(): boolean {
    return this.#get(`select 1 from task where instr(body, '"prd":{') > 0 limit 1`) !== undefined;
  }

  /** Tasks with product context, by id. In a task's text the quotes would be escaped: only the field itself reads like this. */
  tasksWithPrd(): Task[] {
    const sql = `select body from task where instr(body, '"prd":{') > 0 order by id`;
    return this.#all<{ body: string }>(sql).map(({ body }) => this.#unseal<Task>(body));
  }

  /** What was {@link memorise}d under this name for exactly these bytes. */
  recall(name: string, digest: string): string | undefined {
    const row = this.#get<{ body: string }>("select body from memo where name = ? and digest = ?", name, digest);
    return row === undefined ? undefined : this.#unseal<string>(row.body);
  }

  /** What was worked out of the product context of all tasks; forgotten as soon as that of one changes. */
  recallOfAll(): string | undefined {
    return this.recall(OF_ALL, "");
  }

  /** @param from the header that it was worked out with: when the spec has changed since, it is not kept. */
  memoriseOfAll(body: string, from: Header): void {
    this.memorise(OF_ALL, "", body, from);
  }

  /** Keeps what was worked out from a file with this hash: the last one of each name. */
  memorise(name: string, digest: string, body: string, from?: Header): void {
    this.#write(() => {
      if (from !== undefined && this.header()?.key !== from.key) return;
      this.#run(
        "insert into memo (name, digest, body) values (?, ?, ?) on conflict (name) do update set digest = excluded.digest, body = excluded.body",
        name,
        digest,
        seal(body),
      );
    });
  }

  count(): number {
    return this.#get<{ n: number }>("select count(*) as n from task")?.n ?? 0;
  }

  /** The id after which a new one is written: the greatest that is smaller, in the order of its UTF-8 bytes. */
  predecessor(id: string): string | undefined {
    return this.#get<{ id: string }>("select id from task where id < ? order by id desc limit 1", id)?.id;
  }

  /** task → what it depends on, for the whole graph. */
  edges(): Map<string, string[]> {
    const edges = new Map<string, string[]>();
    for (const { id } of this.#all<{ id: string }>("select id from task order by id")) edges.set(id, []);
    for (const row of this.#all<{ task_id: string; depends_on: string }>("select task_id, depends_on from dependency"))
      edges.get(row.task_id)?.push(row.depends_on);
    return edges;
  }

  /** The cycle that giving `id` these dependencies would close, if any. */
  cycleThrough(id: string, depends_on: readonly string[]): string[] | undefined {
    const edges = new Map<string, readonly string[]>();
    const queue = [...depends_on];
    edges.set(id, depends_on);
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (edges.has(next)) continue;
      const needs = this.task(next)?.task.depends_on ?? [];
      edges.set(next, needs);
      queue.push(...needs);
    }
    return findCycle(edges, [id]);
  }
}

/** Marks the file as ours ("LodX"): a database that somebody else wrote is left alone. */
const APPLICATION_ID = 0x4c6f6458;

/**
 * Removes an index with its log, whatever it holds: making it anew is always right. What is no file of ours stays.
 */
export function removeIndex(path: string): void {
  // The database last: one that is made anew in between must not find the old one's log.
  for (const part of ["-wal", "-shm", ""]) {
    const there = lstatSync(path + part, { throwIfNoEntry: false });
    if (there !== undefined && !there.isDirectory()) unlinkSync(path + part);
  }
}

/** True when the file holds something that SQLite or we did not write so; false for "busy", "full" and the like. */
function isDamage(cause: unknown): boolean {
  if (cause instanceof SyntaxError) return true;
  return (
    cause instanceof SQLiteError &&
    /^SQLITE_(?:CORRUPT|NOTADB|ERROR|MISMATCH|FORMAT|RANGE)/.test(cause.code ?? "SQLITE_ERROR")
  );
}

const hashOf = (text: string): string => Bun.hash(text).toString(36);

/** A value as text that tells when it was damaged: SQLite notices only damage to its own structure. */
function seal(value: unknown): string {
  const text = JSON.stringify(value);
  return `${hashOf(text)} ${text}`;
}

function prepareFile(database: Database): void {
  const tables = database.query("select name from sqlite_master where type = 'table'").all() as { name: string }[];
  const { application_id } = database.query("pragma application_id").get() as { application_id: number };
  if (tables.length > 0 && application_id !== APPLICATION_ID) throw new Error("This database is not an index.");
  database.run("pragma journal_mode = wal");
  database.run("begin immediate");
  if (formatOf(database) !== FORMAT) {
    const old = database.query("select name from sqlite_master where type = 'table'").all() as { name: string }[];
    for (const { name } of old) database.run(`drop table "${name}"`);
    database.run(SCHEMA);
    database.run(`pragma application_id = ${APPLICATION_ID}`);
    database.run(`pragma user_version = ${FORMAT}`);
  }
  database.run("commit");
}

const formatOf = (database: Database): number =>
  (database.query("pragma user_version").get() as { user_version: number }).user_version;

function readHash(text: string): bigint {
  let hash = 0n;
  for (const digit of text) hash = hash * 36n + BigInt(Number.parseInt(digit, 36));
  return hash;
}

function noStatuses(): Record<Status, number> {
  return Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
}

const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);
