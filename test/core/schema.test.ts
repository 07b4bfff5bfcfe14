import { expect, test } from "bun:test";
import * as TypeBox from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import {
  Dictionary,
  Flag,
  Float,
  Integer,
  List,
  Literal,
  OneOf,
  Optional,
  Shape,
  Text,
  Union,
  Unknown,
} from "../../src/core/schema.ts";

/** Every builder beside TypeBox's own, made from the same arguments. */
const pairs: readonly (readonly [string, TypeBox.TSchema, TypeBox.TSchema])[] = [
  ["Text", Text({ minLength: 1, description: "d" }), TypeBox.String({ minLength: 1, description: "d" })],
  ["Integer", Integer({ minimum: 0 }), TypeBox.Integer({ minimum: 0 })],
  ["Float", Float(), TypeBox.Number()],
  ["Flag", Flag({ default: true }), TypeBox.Boolean({ default: true })],
  ["Unknown", Unknown(), TypeBox.Unknown()],
  ["Literal", Literal("a"), TypeBox.Literal("a")],
  ["List", List(Text(), { minItems: 1 }), TypeBox.Array(TypeBox.String(), { minItems: 1 })],
  ["Union", Union([Text(), Integer()]), TypeBox.Union([TypeBox.String(), TypeBox.Integer()])],
  ["Dictionary", Dictionary(Text(), Integer()), TypeBox.Record(TypeBox.String(), TypeBox.Integer())],
  [
    "Shape",
    Shape({ a: Text(), b: Optional(List(Flag())) }, { additionalProperties: false }),
    TypeBox.Object(
      { a: TypeBox.String(), b: TypeBox.Optional(TypeBox.Array(TypeBox.Boolean())) },
      { additionalProperties: false },
    ),
  ],
  [
    "Shape without required fields",
    Shape({ b: Optional(Text()) }),
    TypeBox.Object({ b: TypeBox.Optional(TypeBox.String()) }),
  ],
];

test.each(pairs)("%s makes what TypeBox makes, symbols and all", (_, ours, theirs) => {
  expect(ours).toEqual(theirs);
  expect(Object.getOwnPropertySymbols(ours).sort()).toEqual(Object.getOwnPropertySymbols(theirs).sort());
});

test("TypeBox's checker understands our values", () => {
  const schema = Shape({ a: Text(), b: Optional(Integer({ minimum: 1 })), c: Union([Literal("x"), Literal("y")]) });
  expect(Value.Check(schema, { a: "", c: "x" })).toBe(true);
  expect(Value.Check(schema, { a: "", b: 0, c: "x" })).toBe(false);
  expect(Value.Check(schema, { a: "", c: "z" })).toBe(false);
  expect(OneOf(["x", "y"]).anyOf).toHaveLength(2);
});
