/** What the help says of each option: something, and what the option does. */
import { expect, describe as group, test } from "bun:test";
import { describe } from "../../src/cli/describe.ts";
import { REGISTRY } from "../../src/commands/registry.ts";

const commands = await Promise.all(
  Object.entries(REGISTRY).map(async ([name, load]) => [name, describe((await load()).default)] as const),
);

group.each(commands)("%s", (_, { options = [], arguments: places = [] }) => {
  test("says of each option what it does, not only what it is", () => {
    for (const { option, description = "" } of options) {
      expect({ option, description }).not.toMatchObject({
        description: expect.stringMatching(/^$|^(Agent|Task) id$|^Status$|^Label$/),
      });
    }
    for (const { name, description = "" } of places)
      expect({ name, description }).not.toMatchObject({ description: "" });
  });

  test("an option that turns something off says so", () => {
    for (const { option, description = "" } of options) {
      if (option.startsWith("--no-"))
        expect({ option, description }).toMatchObject({ description: expect.stringMatching(/^Do not /) });
    }
  });
});

test("--agent says who acts", () => {
  const claim = commands.find(([name]) => name === "task.claim")?.[1];
  expect(claim?.options?.find(({ option }) => option === "--agent")?.description).toBe(
    "Who is acting (or LODESTAR_AGENT)",
  );
  expect(claim?.options?.find(({ option }) => option === "--no-context")?.description).toBe(
    "Do not hand over the task's context",
  );
});
