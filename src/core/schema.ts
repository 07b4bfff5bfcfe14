/**
 * The builders of JSON Schema that commands use. Named imports, so that a command loads these few functions and not all
 * of TypeBox (start-up is the product's speed).
 */
import {
  Array as List,
  Boolean as Flag,
  Integer,
  Literal,
  Number as Float,
  Object as Shape,
  Optional,
  Record as Dictionary,
  type Static,
  String as Text,
  type TSchema,
  Union,
  Unknown,
  Unsafe,
} from "@sinclair/typebox";
import { NEW_ID_PATTERN } from "./ids.ts";
import { STATUSES } from "./status.ts";
import { DURATION_PATTERN } from "./time.ts";

export { Dictionary, Flag, Float, Integer, List, Literal, Optional, Shape, Text, Union, Unknown };
export type { Static, TSchema };

/** One of these words; published as `anyOf` of constants. */
export const OneOf = <const T extends readonly string[]>(words: T, options: { readonly description?: string } = {}) =>
  Unsafe<T[number]>({ ...options, anyOf: words.map((word) => Literal(word)) });

export const TaskId = Text({ minLength: 1, maxLength: 200, description: "Task id" });
export const NewTaskId = Text({ pattern: NEW_ID_PATTERN, description: "Id of the new task; made up when left out" });
export const AgentId = Text({ minLength: 1, maxLength: 200, description: "Agent id" });
export const LeaseId = Text({ minLength: 1, description: "Lease id" });
export const Token = Integer({ minimum: 0, description: "Fencing token: larger with every grant" });
export const Instant = Text({ format: "date-time", description: "ISO 8601, UTC" });
export const StatusWord = OneOf(STATUSES, { description: "Status" });

/** A duration as text: `90s`, `15m`, `1h30m`, `2d`; a bare number is seconds. */
export const Duration = (description = "Duration such as 90s, 15m, 1h30m") => Text({ pattern: DURATION_PATTERN, description });
