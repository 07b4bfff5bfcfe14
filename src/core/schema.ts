/**
 * The builders of JSON Schema that commands and the spec use. They make TypeBox's own values, with TypeBox's types, and a test
 * holds each against TypeBox's builder. Only TypeBox's are not called at run time: they check and clone at every step, which
 * costs some milliseconds for the schemas of one command, as much as the whole rest of a call.
 */
import type * as TypeBox from "@sinclair/typebox";
import { NEW_ID_PATTERN } from "./ids.ts";
import { STATUSES } from "./status.ts";
import { DURATION_PATTERN } from "./time.ts";

export type Static<T extends TypeBox.TSchema> = TypeBox.Static<T>;
export type TSchema = TypeBox.TSchema;

/** The symbols by which TypeBox knows its values. */
const KIND = Symbol.for("TypeBox.Kind");
const OPTIONAL = Symbol.for("TypeBox.Optional");

type Options = Readonly<Record<string, unknown>>;
type Made = Readonly<Record<string | symbol, unknown>>;

/** Marks fresh `fields` in place: dozens of these are made by every call, and each copy would be felt. */
function make(kind: string, fields: Record<string | symbol, unknown>, options: Options | undefined): Made {
  fields[KIND] = kind;
  if (options !== undefined) for (const name in options) fields[name] = options[name];
  return fields;
}

export const Text = ((options?: Options) =>
  make("String", { type: "string" }, options)) as unknown as typeof TypeBox.String;
export const Integer = ((options?: Options) =>
  make("Integer", { type: "integer" }, options)) as unknown as typeof TypeBox.Integer;
export const Float = ((options?: Options) =>
  make("Number", { type: "number" }, options)) as unknown as typeof TypeBox.Number;
export const Flag = ((options?: Options) =>
  make("Boolean", { type: "boolean" }, options)) as unknown as typeof TypeBox.Boolean;
export const Unknown = ((options?: Options) => make("Unknown", {}, options)) as unknown as typeof TypeBox.Unknown;
export const Literal = ((value: string | number | boolean, options?: Options) =>
  make("Literal", { const: value, type: typeof value }, options)) as unknown as typeof TypeBox.Literal;
export const List = ((items: Made, options?: Options) =>
  make("Array", { type: "array", items }, options)) as unknown as typeof TypeBox.Array;
export const Union = ((anyOf: readonly Made[], options?: Options) =>
  make("Union", { anyOf }, options)) as unknown as typeof TypeBox.Union;
export const Optional = ((schema: Made) => ({
  ...schema,
  [OPTIONAL]: "Optional",
})) as unknown as typeof TypeBox.Optional;

/** A mapping with these properties; those that are not {@link Optional} are required. */
export const Shape = ((properties: Readonly<Record<string, Made>>, options?: Options) => {
  const required: string[] = [];
  for (const key in properties) if (properties[key]?.[OPTIONAL] === undefined) required.push(key);
  return make(
    "Object",
    required.length === 0 ? { type: "object", properties } : { type: "object", required, properties },
    options,
  );
}) as unknown as typeof TypeBox.Object;

/** A mapping from any text to one kind of value. */
export const Dictionary = ((_key: Made, value: Made, options?: Options) =>
  make(
    "Record",
    { type: "object", patternProperties: { "^(.*)$": value } },
    options,
  )) as unknown as typeof TypeBox.Record;

/** One of these words; published as `anyOf` of constants. */
export const OneOf = <const T extends readonly string[]>(words: T, options?: { readonly description?: string }) =>
  make("Unsafe", { anyOf: words.map((word) => Literal(word)) }, options) as unknown as TypeBox.TUnsafe<T[number]>;

export const TaskId = Text({ minLength: 1, maxLength: 200, description: "Task id" });
export const NewTaskId = Text({ pattern: NEW_ID_PATTERN, description: "Id of the new task; made up when left out" });
export const AgentId = Text({ minLength: 1, maxLength: 200, description: "Agent id" });
export const LeaseId = Text({ minLength: 1, description: "Lease id" });
export const Token = Integer({ minimum: 0, description: "Fencing token: larger with every grant" });
export const Instant = Text({ format: "date-time", description: "ISO 8601, UTC" });
export const StatusWord = OneOf(STATUSES, { description: "Status" });

/** A duration as text: `90s`, `15m`, `1h30m`, `2d`; a bare number is seconds. */
export const Duration = (description = "Duration such as 90s, 15m, 1h30m") =>
  Text({ pattern: DURATION_PATTERN, description });
