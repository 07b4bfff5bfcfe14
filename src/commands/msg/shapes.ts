import { LodestarError } from "../../core/errors.ts";
import { AgentId, Instant, Integer, List, OneOf, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { formatInstant, readInstant } from "../../core/time.ts";
import { line, note, type View } from "../../core/view.ts";
import { type MessagePage, type MessageQuery, SEVERITIES } from "../../runtime/store.ts";

export const MessageItem = Shape({
  message_id: Text(),
  from_agent_id: Optional(AgentId),
  to_agent_id: Optional(AgentId),
  task_id: Optional(Text()),
  text: Text(),
  created_at: Instant,
  subject: Optional(Text()),
  severity: Optional(OneOf(SEVERITIES)),
  read_by: Optional(List(AgentId)),
});
type Item = Static<typeof MessageItem>;

export const Cursor = Text({ minLength: 1, description: "Go on where the answer with this cursor ended" });
export const Limit = Integer({ minimum: 1, maximum: 1000, default: 50, description: "At most so many" });
export const Since = Text({ minLength: 1, description: "Only those sent then or later, as ISO 8601" });
export const Until = Text({ minLength: 1, description: "Only those sent then or earlier, as ISO 8601" });
export const pageFields = {
  messages: List(MessageItem),
  count: Integer({ description: "How many are in this answer" }),
  cursor: Optional(Text()),
};

/** How many messages an answer has unless it says how many it wants. */
export const PAGE = 50;

/** The messages of a page as answers have them. @param read_by tells who has read each. */
export function items({ messages }: MessagePage, read_by: boolean): Item[] {
  return messages.map(({ read_by: readers, created_at, ...message }) => ({
    ...message,
    created_at: formatInstant(created_at),
    ...(read_by && readers.length > 0 ? { read_by: [...readers] } : {}),
  }));
}

/** Reads the times between which messages lie. @throws LodestarError `USAGE` */
export function between(input: {
  readonly since?: string;
  readonly until?: string;
}): Pick<MessageQuery, "since" | "until"> {
  const { since, until } = input;
  return {
    ...(since === undefined ? {} : { since: readTime("--since", since) }),
    ...(until === undefined ? {} : { until: readTime("--until", until) }),
  };
}

function readTime(option: string, text: string): number {
  const at = readInstant(text);
  if (at === undefined) {
    throw new LodestarError(
      "USAGE",
      `${option} must be a time such as 2026-01-04T09:19:43Z, not ${JSON.stringify(text)}.`,
      {
        details: { option, value: text },
      },
    );
  }
  return at;
}

const CURSOR = /^c([1-9]\d{0,15})$/;

/** A cursor is the number of the last message shown: what is sent later neither moves nor repeats what comes after it. */
export const cursorAt = (last: number): string => `c${last}`;
export const isCursor = (text: string): boolean => CURSOR.test(text);

/** @throws LodestarError `USAGE` */
export function readCursor(text: string): number {
  const number = CURSOR.exec(text)?.[1];
  if (number !== undefined) return Number(number);
  throw new LodestarError("USAGE", `${JSON.stringify(text)} is no cursor of messages.`, {
    hint: "Use the cursor of the last page, or begin again without one.",
  });
}

/** `task:AUTH-1` and `AUTH-1` are one thread. */
export const bareTask = (text: string): string => (text.startsWith("task:") ? text.slice("task:".length) : text);

/** Messages as people read them: who, when, and how many have read it. */
export function messageViews(messages: readonly Item[], withPlace: boolean): View[] {
  return messages.flatMap((message) => {
    const { from_agent_id = "someone", to_agent_id, task_id, created_at, subject, severity, text, read_by } = message;
    const where = withPlace ? (task_id ?? to_agent_id) : undefined;
    const grave = severity === "blocker" ? "bad" : severity === "warning" ? "warn" : "strong";
    const head = [
      `${from_agent_id}${where === undefined ? "" : ` to ${where}`}`,
      created_at,
      ...(severity === undefined ? [] : [`[${severity}]`]),
      ...(read_by === undefined ? [] : [`(read by ${read_by.join(", ")})`]),
    ];
    return [
      line(head.join("  "), grave, 1),
      ...(subject === undefined ? [] : [line(subject, "strong", 2)]),
      ...text.split("\n").map((part) => line(part, "plain", 2)),
    ];
  });
}

/** The line that says that there is more. */
export const moreNote = (cursor: string | undefined): View[] =>
  cursor === undefined ? [] : [note(`More with --cursor ${cursor}`)];
