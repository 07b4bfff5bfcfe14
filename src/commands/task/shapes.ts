import {
  Dictionary,
  Flag,
  Instant,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  StatusWord,
  TaskId,
  Text,
  Token,
  Unknown,
} from "../../core/schema.ts";
import type { Task } from "../../core/task.ts";
import { formatInstant, readInstant } from "../../core/time.ts";
import { type Message, SEVERITIES } from "../../runtime/store.ts";

/** Where a task's work is, if in Git. */
export const CompletedInShape = Shape({ branch: Text(), commit: Optional(Text()) });

export const PrdRefShape = Shape({ anchor: Text(), lines: Optional(Unknown()), hash: Optional(Text()) });
export const PrdShape = Shape({
  source: Text(),
  refs: Optional(List(PrdRefShape)),
  excerpt: Optional(Text()),
  prd_hash: Optional(Text()),
});

/** The fields of a task in answers: optional ones are left out when empty. */
export const taskFields = {
  id: TaskId,
  title: Text(),
  description: Optional(Text()),
  acceptance_criteria: Optional(List(Text())),
  depends_on: Optional(List(TaskId)),
  labels: Optional(List(Text())),
  locks: Optional(List(Text())),
  priority: Integer(),
  status: StatusWord,
  reopens: Optional(List(Text())),
  created_at: Optional(Text()),
  updated_at: Optional(Text()),
  completed_by: Optional(Text()),
  completed_at: Optional(Text()),
  verified_by: Optional(Text()),
  verified_at: Optional(Text()),
  completed_in: Optional(CompletedInShape),
  prd: Optional(PrdShape),
};

/** A task's data for an answer: no empty lists, instants in one form. */
export function taskData(
  task: Task,
): Record<string, unknown> & { id: string; title: string; priority: number; status: Task["status"] } {
  const { id, title, description, acceptance_criteria, depends_on, labels, locks, priority, status, reopens, ...rest } =
    task;
  const { created_at, updated_at, completed_at, verified_at, ...others } = rest;
  return {
    id,
    title,
    ...(description === undefined || description === "" ? {} : { description }),
    ...filled({ acceptance_criteria, depends_on, labels, locks }),
    priority,
    status,
    ...filled({ reopens }),
    ...instants({ created_at, updated_at, completed_at, verified_at }),
    ...others,
  };
}

/** Only the lists that have something in them. */
export function filled<K extends string>(lists: Record<K, readonly string[] | undefined>): { [P in K]?: string[] } {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => Array.isArray(list) && list.length > 0)) as {
    [P in K]?: string[];
  };
}

function instants(fields: Record<string, string | undefined>): Record<string, string> {
  const written: Record<string, string> = {};
  for (const [name, text] of Object.entries(fields)) {
    if (text === undefined) continue;
    const at = readInstant(text);
    written[name] = at === undefined ? text : formatInstant(at);
  }
  return written;
}

export const MessageShape = Shape({
  message_id: Text(),
  from_agent_id: Optional(Text()),
  task_id: Optional(Text()),
  text: Text(),
  created_at: Instant,
  subject: Optional(Text()),
  severity: Optional(OneOf(SEVERITIES)),
});

export function messageData(
  message: Message,
): { message_id: string; text: string; created_at: string } & Record<string, unknown> {
  const { created_at, ...rest } = message;
  return { ...rest, created_at: formatInstant(created_at) };
}

/** What a claim hands over: enough to begin, within a budget of characters. */
export const ContextShape = Shape({
  title: Text(),
  description: Optional(Text()),
  acceptance_criteria: Optional(List(Text())),
  locks: Optional(List(Text())),
  prd_source: Optional(Text()),
  prd_excerpt: Optional(Text()),
  prd_sections: Optional(
    List(
      Shape({
        anchor: Text(),
        content: Optional(Text()),
        drift: Optional(OneOf(["moved", "edited", "missing", "source_missing"])),
      }),
    ),
  ),
  truncated: Optional(Text({ description: "Something was cut: the command that tells all of it" })),
});

export const HandoffShape = Shape({ unread: Integer(), messages: List(MessageShape) });

const claimFields = {
  lease_id: Text(),
  task_id: TaskId,
  agent_id: Text(),
  fencing_token: Token,
  expires_at: Instant,
  ttl_seconds: Integer(),
  already: Optional(Flag()),
  context: Optional(ContextShape),
  handoff: Optional(HandoffShape),
};

/** The answer for one granted lease. */
export const ClaimShape = Shape(claimFields);

export const NoteText = Text({ maxLength: 65_536, description: "Handoff for the task's thread" });
export const Details = Dictionary(Text(), Unknown());
