import { describe, expect, test } from "bun:test";
import { chooseFields, readFields } from "../../src/commands/fields.ts";
import next from "../../src/commands/task/next.ts";
import { LodestarError } from "../../src/core/errors.ts";

const refuse = (message: string) => new LodestarError("USAGE", message);

describe("choosing fields of a command that answers a list or something else", () => {
  const paths = readFields(next, "task_id,id,context.title", refuse);

  test("names the fields of both", () => {
    expect(paths).toEqual([["task_id"], ["id"], ["context", "title"]]);
    expect(() => readFields(next, "task_ids", refuse)).toThrow('Did you mean "task_id"?');
  });

  test("chooses from each item of the list", () => {
    const data = { tasks: [{ id: "A", title: "a", priority: 1 }], total_claimable: 1 };
    expect(chooseFields(data, "tasks", paths)).toEqual({ tasks: [{ id: "A" }], total_claimable: 1 });
  });

  test("chooses from the answer itself where it is no list", () => {
    const data = { lease_id: "L", task_id: "A", context: { title: "a", description: "d" } };
    expect(chooseFields(data, "tasks", paths)).toEqual({ task_id: "A", context: { title: "a" } });
  });
});
