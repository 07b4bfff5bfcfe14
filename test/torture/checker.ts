/**
 * Judges a history of real processes: a pure function, so that a history on disk can be judged again, and a doctored one shows
 * that it can fail. Shares no code with the product; what it shares with the simulation's checker is in test/simulation/.
 */
import { holds, join, type Known, NONE, type Outcome, readTasks, sameRound } from "../simulation/lattice.ts";
import { misreported, Violation, waitsForWork } from "../simulation/promises.ts";
import { keyOfRow, type LeaseRow, outcomeOfRow } from "../support/runtime-tables.ts";
import { factsOf } from "./facts.ts";
import type { Answered, Asked, Entry, Fact, Foreign, Found } from "./history.ts";

/** A question with its answer. */
interface Ask {
  readonly asked: Asked;
  readonly answered: Answered;
}

/** One call of a worker: every time that it asked. */
interface Call {
  readonly asks: readonly Ask[];
  readonly first: Asked;
}

interface Grant {
  readonly task: string;
  readonly agent: string;
  readonly token: number;
  readonly lease_id: string;
  readonly expires: number;
  readonly ask: Ask;
  readonly fresh: boolean;
}

export interface Judgement {
  readonly violations: readonly Violation[];
  /** Operations that were answered as done, and looked for. */
  readonly acknowledged: number;
  /** Acknowledged operations that are nowhere; each is a violation too. */
  readonly lost: number;
  /** What an editor's save wrote over, having read the file before: it takes no lock, nothing is promised. */
  readonly overwritten: number;
  /** What was saved during a merge without our driver, and is not in what Git made of it. */
  readonly put_back: number;
  /** What fell into the window between a last look and a rename that S3 leaves open to who takes no lock of ours. */
  readonly in_window: number;
}

/** More than this in the open window, and it is not tiny (S3). */
const TINY = 0.002;

/** Checks a whole history. Calls without an answer (the run was cut off) count as silent. */
export function judge(history: readonly Entry[]): Judgement {
  const found = history.find((entry): entry is Found => entry.kind === "found");
  if (found === undefined)
    return { ...NOTHING, violations: [new Violation("Defect", "The history has no end: nothing was looked for.")] };
  const calls = callsOf(history);
  const asks = calls.flatMap((call) => call.asks);
  const foreign = history.filter((entry): entry is Foreign => entry.kind === "foreign");
  const facts = checkFacts(asks, foreign, found);
  const lost = [
    ...checkOutcomes(asks, found),
    ...checkOthers(asks, found),
    ...checkLeaseAcks(asks, found),
    ...facts.lost,
  ];
  return {
    violations: [
      ...checkAnswers(asks, foreign),
      ...checkExclusive(asks, found),
      ...checkTokens(asks, found),
      ...checkRepeats(calls, found),
      ...checkEvents(found),
      ...checkPlanes(found),
      ...checkRemains(found),
      ...facts.others,
      ...lost,
    ],
    acknowledged: asks.filter(({ answered, asked }) => answered.result === "ok" && isWrite(asked)).length,
    lost: lost.length,
    overwritten: facts.overwritten,
    put_back: facts.put_back,
    in_window: facts.in_window,
  };
}
const NOTHING = { acknowledged: 0, lost: 0, overwritten: 0, put_back: 0, in_window: 0 };

const READS: ReadonlySet<string> = new Set(["status", "task list", "task show", "events", "task next", "agent list"]);
const isWrite = ({ command }: Asked): boolean => !READS.has(command);

function callsOf(history: readonly Entry[]): Call[] {
  const answers = new Map<string, Answered>();
  for (const entry of history) if (entry.kind === "answered") answers.set(`${entry.call} ${entry.attempt}`, entry);
  const end = history.at(-1)?.at ?? 0;
  const calls = new Map<number, Ask[]>();
  for (const asked of history) {
    if (asked.kind !== "asked") continue;
    const { call, attempt } = asked;
    const answered = answers.get(`${call} ${attempt}`) ?? {
      kind: "answered",
      at: end,
      call,
      attempt,
      result: "silent",
    };
    const asks = calls.get(call) ?? [];
    asks.push({ asked, answered });
    calls.set(call, asks);
  }
  return [...calls.values()].flatMap((asks) => (asks[0] === undefined ? [] : [{ asks, first: asks[0].asked }]));
}

const isOk = ({ answered }: Ask): boolean => answered.result === "ok";
const told = ({ asked }: Ask): string =>
  `#${asked.call} ${asked.command} ${asked.args.join(" ")} by ${asked.agent} in ${asked.worktree}`;

// --- What a process may say ---

/** Codes that say that the spec could not be read at that moment. */
const UNREADABLE: ReadonlySet<string> = new Set(["SPEC_INVALID", "SPEC_CONFLICT_MARKERS", "NOT_INITIALIZED"]);

/** S2: nobody sees half a file of ours; a reader is refused only while somebody else is writing. Nothing is a defect. */
function* checkAnswers(asks: readonly Ask[], foreign: readonly Foreign[]): Iterable<Violation> {
  for (const ask of asks) {
    const { asked, answered } = ask;
    if (answered.result === "broken") yield new Violation("Defect", `${told(ask)} said ${answered.said ?? ""}`);
    if (answered.result !== "refused") continue;
    const { code = "" } = answered;
    if (code === "INTERNAL" || code === "USAGE")
      yield new Violation("Defect", `${told(ask)}: ${code} ${answered.said}`);
    if (code === "RUNTIME_CORRUPT") yield new Violation("L6", `${told(ask)} found the runtime damaged.`);
    if (!UNREADABLE.has(code)) continue;
    if (!foreign.some((one) => one.worktree === asked.worktree && overlap(one, ask)))
      yield new Violation("S2", `${told(ask)} found the spec unreadable (${code}) while nobody else wrote it.`);
  }
}

const overlap = (one: Foreign, { asked, answered }: Ask): boolean => one.from <= answered.at && asked.at <= one.at;

// --- Leases ---

/** Leases that answers told of. */
function grantsOf(asks: readonly Ask[]): Grant[] {
  return asks.filter(isOk).flatMap((ask) => {
    const { data } = ask.answered;
    const list = data?.claims ?? (data?.lease_id !== undefined && data.expires_at !== undefined ? [data] : []);
    // biome-ignore lint/suspicious/noExplicitAny: the answer of any command.
    return list.map((one: any) => ({
      task: one.task_id,
      agent: one.agent_id,
      token: one.fencing_token,
      lease_id: one.lease_id,
      expires: Date.parse(one.expires_at),
      ask,
      fresh: one.already !== true,
    }));
  });
}

const endOfLease = (row: LeaseRow): number =>
  row.ended === null || row.ended_at === null ? row.expires_at : Math.min(row.ended_at, row.expires_at);

/** L1, twice: by the runtime's own record of all grants, and by what the holders were told. */
function* checkExclusive(asks: readonly Ask[], found: Found): Iterable<Violation> {
  const last = new Map<string, LeaseRow>();
  for (const row of found.leases) {
    const before = last.get(keyOfRow(row));
    if (before !== undefined && endOfLease(before) > row.granted_at)
      yield new Violation("L1", `${row.task_id} was granted to ${row.agent_id} while ${before.agent_id} held it.`);
    last.set(keyOfRow(row), row);
  }
  const held = new Map<string, { readonly grant: Grant; readonly from: number; readonly to: number }[]>();
  const ends = endingsOf(asks);
  for (const grant of grantsOf(asks)) {
    const from = grant.ask.answered.at;
    // From here on nobody may rely on it: somebody asked for something that can end or shorten it, or had asked before.
    const cut = (ends.get(grant.task) ?? []).reduce(
      (end, other) =>
        other === grant.ask || other.answered.at < grant.ask.asked.at
          ? end
          : Math.min(end, Math.max(other.asked.at, from)),
      grant.expires,
    );
    const to = Math.min(grant.expires, cut);
    if (to <= from) continue;
    const others = held.get(grant.task) ?? [];
    for (const other of others)
      if (other.grant.lease_id !== grant.lease_id && other.from < to && from < other.to)
        yield new Violation("L1", `${told(grant.ask)} was told to hold ${grant.task} while ${other.grant.agent} did.`);
    others.push({ grant, from, to });
    held.set(grant.task, others);
  }
}

/** Calls that may end or shorten a lease on a task, whoever makes them. */
function endingsOf(asks: readonly Ask[]): Map<string, Ask[]> {
  const ends = new Map<string, Ask[]>();
  const keeps: ReadonlySet<string> = new Set(["task claim", "task next --claim", "task update", ...READS]);
  for (const ask of asks) {
    if (keeps.has(ask.asked.command)) continue;
    for (const task of ask.asked.tasks) ends.set(task, [...(ends.get(task) ?? []), ask]);
  }
  return ends;
}

/** L2: one grant, one token; later grants have larger ones; a token that another's grant made stale does nothing. */
function* checkTokens(asks: readonly Ask[], found: Found): Iterable<Violation> {
  const leases = new Map<number, string>(found.leases.map((row) => [row.fencing_token, row.lease_id]));
  let previous: LeaseRow | undefined;
  for (const row of found.leases) {
    if (previous !== undefined && row.granted_at < previous.granted_at)
      yield new Violation("L2", `The token ${row.fencing_token} is larger than an earlier grant's.`);
    previous = row;
  }
  const grants = grantsOf(asks);
  for (const grant of grants) {
    const known = leases.get(grant.token);
    if (known !== undefined && known !== grant.lease_id)
      yield new Violation("L2", `The token ${grant.token} was given out twice: ${known} and ${grant.lease_id}.`);
    leases.set(grant.token, grant.lease_id);
  }
  // A retry under a key is told of the first grant again: what counts is when its token was first heard of.
  const heard = new Map<number, Grant>();
  for (const grant of [...grants].sort((a, b) => a.ask.answered.at - b.ask.answered.at))
    if (!heard.has(grant.token)) heard.set(grant.token, grant);
  const byAnswer = [...heard.values()];
  let max = 0;
  let i = 0;
  for (const grant of [...byAnswer]
    .filter(({ fresh, ask }) => fresh && ask.asked.attempt === 1)
    .sort((a, b) => a.ask.asked.at - b.ask.asked.at)) {
    for (
      let next = byAnswer[i];
      next !== undefined && next.ask.answered.at < grant.ask.asked.at;
      i += 1, next = byAnswer[i]
    )
      max = Math.max(max, next.token);
    if (grant.token <= max)
      yield new Violation(
        "L2",
        `${told(grant.ask)} was given the token ${grant.token}; ${max} was known before it asked.`,
      );
  }
  const byTask = Map.groupBy(byAnswer, ({ task }) => task);
  for (const ask of asks) {
    const { token, tasks, attempt } = ask.asked;
    // Under a key, the answer to an earlier attempt is given again.
    if (!isOk(ask) || token === undefined || ask.answered.data?.already === true || attempt > 1) continue;
    if (ask.asked.args.includes("--force")) continue;
    const newer = (byTask.get(tasks[0] ?? "") ?? []).find(
      (grant) => grant.token > token && grant.ask.answered.at < ask.asked.at,
    );
    if (newer !== undefined)
      yield new Violation(
        "L2",
        `${told(ask)} was accepted with the token ${token}; ${newer.agent} had ${newer.token}.`,
      );
  }
}

/** L6 for leases: every grant that was answered is in the runtime's record, and a renewal was not forgotten. */
function* checkLeaseAcks(asks: readonly Ask[], found: Found): Iterable<Violation> {
  const rows = new Map(found.leases.map((row) => [row.fencing_token, row]));
  for (const grant of grantsOf(asks)) {
    const row = rows.get(grant.token);
    if (row === undefined || row.task_id !== grant.task || row.agent_id !== grant.agent)
      yield new Violation("L6", `${told(grant.ask)}: the grant ${grant.token} is not in the runtime.`);
  }
  for (const ask of asks) {
    if (!isOk(ask) || ask.asked.command !== "task renew") continue;
    const { fencing_token, new_expires_at, task_id } = ask.answered.data;
    const row = rows.get(fencing_token);
    const isThere = found.events.some(
      (event) =>
        event.type === "task.renewed" &&
        event.task_id === task_id &&
        dataOf(event.data).fencing_token === fencing_token,
    );
    if (row === undefined || !isThere)
      yield new Violation("L6", `${told(ask)}: the renewal until ${new_expires_at} is lost.`);
  }
  for (const ask of asks) {
    if (!isOk(ask) || ask.asked.command !== "task release") continue;
    // With --force it is another agent's that ends.
    const isForced = ask.asked.args.includes("--force");
    const row = found.leases.find(
      ({ task_id, agent_id, ended, expires_at }) =>
        task_id === ask.asked.tasks[0] &&
        (isForced || agent_id === ask.asked.agent) &&
        (ended !== null || expires_at <= found.at),
    );
    if (row === undefined) yield new Violation("L6", `${told(ask)}: the release is lost.`);
  }
}

// --- Outcomes ---

const dataOf = (data: string | null): { readonly fencing_token?: number; readonly reopens?: readonly string[] } =>
  data === null ? {} : JSON.parse(data);

const EVENT_OF: Readonly<Record<string, string>> = {
  "task done": "task.done",
  "task verify": "task.verified",
  "task reopen": "task.reopened",
  "task delete": "task.deleted",
};

/** L6 for outcomes: an answer has its event, made between question and answer; the events lead to what the runtime holds. */
function* checkOutcomes(asks: readonly Ask[], found: Found): Iterable<Violation> {
  const events = Map.groupBy(found.events, (event) => `${event.type} ${event.task_id}`);
  for (const ask of asks) {
    const type = ask.asked.args.includes("--verify") ? "task.verified" : EVENT_OF[ask.asked.command];
    if (type === undefined || !isOk(ask)) continue;
    for (const task of recordedBy(ask)) {
      const [from, to] = [since(asks, ask), ask.answered.at];
      const isThere = (events.get(`${type} ${task}`) ?? []).some(
        (event) => event.agent_id === ask.asked.agent && event.created_at >= from && event.created_at <= to,
      );
      if (!isThere) yield new Violation("L6", `${told(ask)}: the outcome of ${task} was answered and is lost.`);
    }
  }
}

/** The tasks that an answer says it changed, and not that they were so already. */
function recordedBy({ asked, answered: { data } }: Ask): readonly string[] {
  if (asked.command === "task delete") return data.deleted.map(({ id }: { id: string }) => id);
  const list: readonly { readonly task_id: string; readonly already?: boolean }[] = data.verified ?? [data];
  return list.filter(({ already }) => already !== true).map(({ task_id }) => task_id);
}

/** When the call of this question was first asked: under a key, the first attempt's deed is answered again. */
const since = (asks: readonly Ask[], { asked }: Ask): number =>
  asked.attempt === 1 ? asked.at : (asks.find((one) => one.asked.call === asked.call)?.asked.at ?? asked.at);

const RANK_AFTER: Readonly<Record<string, number>> = { "task.done": 1, "task.verified": 2, "task.deleted": 3 };

/** T1: an outcome goes forward, or back by a reopening that has a new name; the runtime holds what the events lead to. */
function* checkEvents(found: Found): Iterable<Violation> {
  const now = new Map<string, Outcome>();
  let seq = 0;
  for (const event of found.events) {
    if (event.seq <= seq) yield new Violation("Events", `The event ${event.seq} follows ${seq}.`);
    seq = event.seq;
    const rank = RANK_AFTER[event.type];
    const { task_id } = event;
    if (task_id === null || (rank === undefined && event.type !== "task.reopened")) continue;
    const before = now.get(task_id) ?? NONE;
    const after =
      rank === undefined
        ? { reopens: [...(dataOf(event.data).reopens ?? [])].sort(), rank: 0, verified: false }
        : { reopens: before.reopens, rank, verified: rank === 2 || (rank === 3 && before.verified) };
    const isForward =
      rank === undefined
        ? after.reopens.length > before.reopens.length
        : rank > before.rank && (rank !== 2 || before.rank === 1);
    if (!isForward || !holds(after, before))
      yield new Violation(
        "T1",
        `The event ${event.seq} (${event.type}) moves ${task_id} backwards from ${said(before)}.`,
      );
    now.set(task_id, join(after, before));
  }
  const recorded = new Map(found.outcomes.map((row) => [row.task_id, outcomeOfRow(row)]));
  for (const [task_id, outcome] of now) {
    const row = recorded.get(task_id);
    if (row === undefined || row.rank !== outcome.rank || !sameRound(row.reopens, outcome.reopens))
      yield new Violation(
        "L6",
        `The events say that ${task_id} is ${said(outcome)}, the runtime ${row === undefined ? "nothing" : said(row)}.`,
      );
  }
}

const said = ({ rank, reopens }: Outcome): string => `rank ${rank} after ${reopens.length} reopenings`;

/** Joining, messages. */
function* checkOthers(asks: readonly Ask[], found: Found): Iterable<Violation> {
  const agents = new Set(found.agents);
  const notes = new Set(found.notes.map(({ text }) => text));
  for (const ask of asks) {
    if (!isOk(ask)) continue;
    if (ask.asked.command === "agent join" && !agents.has(ask.asked.agent))
      yield new Violation("L6", `${told(ask)}: the agent is not there.`);
    const { note } = ask.asked;
    if (note !== undefined && ask.answered.data?.already !== true && !notes.has(note))
      yield new Violation("L6", `${told(ask)}: the note is lost.`);
  }
}

// --- Repeats ---

/** L4: one key, one deed, one answer. */
function* checkRepeats(calls: readonly Call[], found: Found): Iterable<Violation> {
  const posted = Map.groupBy(found.notes, ({ text }) => text);
  for (const { asks, first } of calls) {
    if (first.note !== undefined && (posted.get(first.note) ?? []).length > 1)
      yield new Violation("L4", `The note of #${first.call} ${first.command} was posted more than once.`);
    if (first.key === undefined) continue;
    const [one, ...others] = asks.filter(isOk);
    for (const other of others)
      if (one !== undefined && identity(one) !== identity(other))
        yield new Violation(
          "L4",
          `${told(other)} under the key ${first.key}: ${identity(other)} after ${identity(one)}.`,
        );
  }
}

/** What of an answer says which deed it was. */
function identity({ answered: { data } }: Ask): string {
  const { id, created, task_id, lease_id, fencing_token, reopens, deleted } = data;
  return JSON.stringify({ id, created, task_id, lease_id, fencing_token, reopens, deleted });
}

// --- The spec ---

/** What an answer promises to be in the spec from then on (S3). */
function factsPromised({ asked, answered: { data } }: Ask): readonly Fact[] {
  if (asked.command === "task create") return [data.id];
  if (asked.command === "task import") return data.created;
  if (asked.command !== "task update") return [];
  return asked.args.flatMap((word, i) => (asked.args[i - 1] === "--add-label" ? [`${data.id}#${word}`] : []));
}

/** S3: what was answered is in a spec when all is over, unless an editor wrote over it; after the last merge it is in all. */
function checkFacts(asks: readonly Ask[], foreign: readonly Foreign[], found: Found) {
  const merged = factsOf(found.merged);
  const anywhere = new Set(found.specs.flatMap(({ text }) => [...factsOf(text)]));
  const isGit = ({ what }: Foreign): boolean => what === "checkout" || what.startsWith("merge");
  const overwritten = new Set(foreign.flatMap(({ overwrote }) => overwrote));
  // A label is gone with its task.
  const isExcused = (fact: Fact): boolean => overwritten.has(fact) || overwritten.has(fact.split("#")[0] ?? fact);
  const git = foreign.filter(isGit);
  const lost: Violation[] = [];
  const others: Violation[] = [];
  let put_back = 0;
  let in_window = git.reduce((sum, { overwrote }) => sum + overwrote.length, 0);
  let promised = 0;
  for (const ask of asks) {
    if (!isOk(ask)) continue;
    for (const fact of factsPromised(ask)) {
      promised += 1;
      if (merged.has(fact) || isExcused(fact)) continue;
      const meanwhile = git.filter((one) => one.worktree === ask.asked.worktree && overlap(one, ask));
      if (meanwhile.some(isPutBack)) put_back += 1;
      else if (meanwhile.length > 0) in_window += 1;
      else if (anywhere.has(fact)) others.push(new Violation("S4", `Merging lost ${fact}, from ${told(ask)}.`));
      else lost.push(new Violation("S3", `${fact} is nowhere, from ${told(ask)}.`));
    }
  }
  const byHand = foreign.flatMap(({ added }) => added);
  in_window += byHand.filter((fact) => !merged.has(fact) && !isExcused(fact)).length;
  if (in_window > Math.max(2, (promised + byHand.length) * TINY))
    others.push(
      new Violation("S3", `The window is not tiny: ${in_window} of ${promised + byHand.length} changes fell into it.`),
    );
  return { lost, others, overwritten: overwritten.size, put_back, in_window };
}

/** A merge without our driver on the path has nobody who decides by what the tasks mean; a line of it can be dropped. */
const isPutBack = ({ what }: Foreign): boolean => what === "merge by text";

/** T1, T2: both planes agree when all is over. */
function* checkPlanes(found: Found): Iterable<Violation> {
  const known: Known = new Map(found.outcomes.map((row) => [keyOfRow(row), outcomeOfRow(row)]));
  const tasks = readTasks(found.merged);
  const wrong = misreported(tasks, known, found.listed);
  if (wrong !== undefined) yield new Violation("T1", `task list says that ${wrong}.`);
  for (const task of tasks.values()) {
    const outcome = known.get(task.key);
    if (outcome !== undefined && !holds(task.outcome, outcome))
      yield new Violation(
        "T2",
        `The merged spec says of ${task.id} ${said(task.outcome)}, the runtime ${said(outcome)}.`,
      );
  }
  for (const row of found.outbox) {
    const spec = found.specs.find(({ root, branch }) => root === row.target_worktree && branch === row.target_branch);
    const task = spec === undefined ? undefined : readTasks(spec.text).get(row.task_id);
    if (task?.key === keyOfRow(row) && !waitsForWork(row, task))
      yield new Violation(
        "T2",
        `The ${row.change} of ${row.task_id} still waits for ${row.target_branch}, which is here.`,
      );
  }
}

/** Nothing is damaged, and nothing is left behind. */
function* checkRemains(found: Found): Iterable<Violation> {
  for (const what of found.damaged) yield new Violation("L6", `Damaged: ${what}`);
  for (const name of found.leftovers) yield new Violation("S2", `Left behind: ${name}`);
  for (const { worktree, healthy, said: what } of found.doctors)
    if (!healthy) yield new Violation("T2", `doctor finds ${worktree} unhealthy: ${what}`);
}
