/**
 * Checks a value against the JSON Schemas that we write: the few keywords of core/schema.ts, interpreted. TypeBox's own
 * checker would cost more at start-up than a whole call may; a test holds this one against a real validator.
 */

import { DURATION_PATTERN } from "./time.ts";

/** The keywords that we use. */
interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Node;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

export interface Issue {
  /** Keys and indices from the root to the value. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const patterns = new Map<string, RegExp>();
function matches(pattern: string, text: string): boolean {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    compiled = new RegExp(pattern, "u");
    patterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "string") return value.length > 40 ? "a text" : `the text ${JSON.stringify(value)}`;
  return `${typeof value === "boolean" ? "" : "the number "}${String(value)}`;
}

const NAMES: Readonly<Record<string, string>> = {
  object: "a mapping",
  array: "a list",
  string: "a text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  null: "null",
};

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return typeof value === "number" && Number.isSafeInteger(value);
    case "number":
      return typeof value === "number" && Number.isFinite(value);
    case "null":
      return value === null;
    default:
      return typeof value === type;
  }
}

/** All issues of `value` under `schema`, outermost first; none when it fits. */
export function check(schema: object, value: unknown): Issue[] {
  const issues: Issue[] = [];
  visit(schema as Node, value, [], issues);
  return issues;
}

function visit(node: Node, value: unknown, path: readonly (string | number)[], issues: Issue[]): void {
  const fail = (message: string) => issues.push({ path, message });
  if (node.anyOf !== undefined) {
    const fits = node.anyOf.some((option) => check(option, value).length === 0);
    if (fits) return;
    const words = node.anyOf.map((option) => option.const);
    const only = node.anyOf[0];
    if (words.every((word) => word !== undefined)) fail(`must be one of ${words.join(", ")}, not ${describe(value)}`);
    else if (node.anyOf.length === 1 && only !== undefined) visit(only, value, path, issues);
    else
      fail(
        `must be ${node.anyOf.map((option) => NAMES[option.type ?? ""] ?? "something else").join(" or ")}, not ${describe(value)}`,
      );
    return;
  }
  if ("const" in node) {
    if (value !== node.const) fail(`must be ${JSON.stringify(node.const)}, not ${describe(value)}`);
    return;
  }
  if (node.type !== undefined && !isOfType(node.type, value)) {
    fail(`must be ${NAMES[node.type] ?? node.type}, not ${describe(value)}`);
    return;
  }
  if (typeof value === "string") checkText(node, value, fail);
  else if (typeof value === "number") checkNumber(node, value, fail);
  else if (Array.isArray(value)) {
    if (node.minItems !== undefined && value.length < node.minItems) fail(`needs at least ${node.minItems} items`);
    if (node.maxItems !== undefined && value.length > node.maxItems) fail(`has more than ${node.maxItems} items`);
    const items = node.items;
    if (items !== undefined)
      value.forEach((item, i) => {
        visit(items, item, [...path, i], issues);
      });
  } else if (typeof value === "object" && value !== null)
    checkMapping(node, value as Record<string, unknown>, path, issues);
}

/** The length of a text in characters, as JSON Schema counts: code points, not units of UTF-16. */
const lengthOf = (text: string): number => [...text].length;

function checkText(node: Node, value: string, fail: (message: string) => void): void {
  const { minLength = 0, maxLength } = node;
  if (value.length < minLength || (minLength > 1 && lengthOf(value) < minLength))
    fail(value === "" ? "must not be empty" : `needs at least ${minLength} characters`);
  if (maxLength !== undefined && value.length > maxLength && lengthOf(value) > maxLength)
    fail(`is longer than ${maxLength} characters`);
  if (node.pattern !== undefined && !matches(node.pattern, value))
    fail(
      node.pattern === DURATION_PATTERN
        ? `must be a duration such as 90s, 15m or 1h30m, not ${describe(value).replace("the text ", "")}`
        : `is not written as it must be: ${describe(value)}`,
    );
}

function checkNumber(node: Node, value: number, fail: (message: string) => void): void {
  if (node.minimum !== undefined && value < node.minimum) fail(`must be at least ${node.minimum}, not ${value}`);
  if (node.maximum !== undefined && value > node.maximum) fail(`must be at most ${node.maximum}, not ${value}`);
}

function checkMapping(
  node: Node,
  value: Record<string, unknown>,
  path: readonly (string | number)[],
  issues: Issue[],
): void {
  for (const key of node.required ?? []) {
    if (!Object.hasOwn(value, key)) issues.push({ path: [...path, key], message: "is missing" });
  }
  const patterned = Object.values(node.patternProperties ?? {})[0];
  for (const [key, item] of Object.entries(value)) {
    const known =
      node.properties !== undefined && Object.hasOwn(node.properties, key) ? node.properties[key] : undefined;
    if (known !== undefined) visit(known, item, [...path, key], issues);
    else if (patterned !== undefined) visit(patterned, item, [...path, key], issues);
    else if (node.additionalProperties === false) issues.push({ path: [...path, key], message: "is not known here" });
    else if (typeof node.additionalProperties === "object")
      visit(node.additionalProperties, item, [...path, key], issues);
  }
}
