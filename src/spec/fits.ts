/**
 * A schema as a function that is true only for values without issues: the fast answer for the many that fit. Whoever gets
 * `false` asks core/check.ts what is wrong; it alone decides.
 */

interface SchemaNode {
  readonly type?: string;
  readonly anyOf?: readonly SchemaNode[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly minimum?: number;
  readonly maximum?: number;
}

type Fits = (value: unknown) => boolean;

/** The keywords that are understood here; a schema with others fits nothing, which is slow and right. */
const KNOWN = new Set([
  "type",
  "anyOf",
  "const",
  "properties",
  "required",
  "items",
  "minimum",
  "maximum",
  "description",
  "format",
]);

export function compileFits(schema: object): Fits {
  return compile(schema as SchemaNode);
}

function compile(node: SchemaNode): Fits {
  if (Object.keys(node).some((key) => !KNOWN.has(key))) return () => false;
  if (node.anyOf !== undefined) {
    if (node.anyOf.every((option) => "const" in option)) {
      const words = new Set(node.anyOf.map((option) => option.const));
      return (value) => words.has(value);
    }
    const options = node.anyOf.map(compile);
    return (value) => options.some((fits) => fits(value));
  }
  switch (node.type) {
    case "string":
      return "const" in node ? (value) => value === node.const : (value) => typeof value === "string";
    case "integer": {
      const { minimum = -Infinity, maximum = Infinity } = node;
      return (value) => Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum;
    }
    case "array": {
      const item = compile(node.items ?? {});
      return (value) => Array.isArray(value) && value.every(item);
    }
    case "object":
      return compileObject(node);
    default:
      return () => false;
  }
}

function compileObject({ properties = {}, required = [] }: SchemaNode): Fits {
  const fields = Object.entries(properties).map(([key, node]) => ({
    key,
    fits: compile(node),
    required: required.includes(key),
  }));
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const mapping = value as Record<string, unknown>;
    for (const field of fields) {
      const item = mapping[field.key];
      if (item === undefined ? field.required : !field.fits(item)) return false;
    }
    return true;
  };
}
