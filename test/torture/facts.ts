import { readTasks } from "../simulation/lattice.ts";
import type { Fact } from "./history.ts";

/** What a spec says that nothing but a person's own change takes back: its tasks and their labels. */
export function factsOf(text: string): Set<Fact> {
  const facts = new Set<Fact>();
  for (const task of readTasks(text).values()) {
    facts.add(task.id);
    const { labels = [] } = JSON.parse(task.body) as { labels?: readonly string[] };
    for (const label of labels) facts.add(`${task.id}#${label}`);
  }
  return facts;
}

/** What `before` says and `after` does not. */
export function lostBetween(before: string, after: string): Fact[] {
  if (before === after) return [];
  const kept = factsOf(after);
  return [...factsOf(before)].filter((fact) => !kept.has(fact));
}
