/** What every checker of histories says, and the rules that it shares with the others. */
import { type OutboxRow, outcomeOfRow } from "../support/runtime-tables.ts";
import { type Known, type SpecTask, type SpecTasks, sameRound, statusOf } from "./lattice.ts";

/** A promise of model.md that a history broke. */
export class Violation extends Error {
  readonly promise: string;
  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`);
    this.promise = promise;
  }
}

/** True when T2 lets this row wait for as long as the spec says this of its task: a verification, until the work arrives. */
export const waitsForWork = (row: OutboxRow, task: SpecTask): boolean =>
  row.change === "verify" && (task.outcome.rank < 1 || !sameRound(task.outcome.reopens, outcomeOfRow(row).reopens));

/** T1: the first task whose status `task list` tells otherwise than the two planes together do. */
export function misreported(
  tasks: SpecTasks,
  known: Known,
  listed: readonly { readonly id: string; readonly status: string }[],
): string | undefined {
  const said = new Map(listed.map(({ id, status }) => [id, status]));
  for (const task of tasks.values()) {
    const truth = statusOf(task, known);
    if (said.get(task.id) !== truth) return `${task.id} is ${said.get(task.id)}; it is ${truth}`;
  }
  return undefined;
}
