import { Flag, Optional, Shape } from "../../core/schema.ts";
import { text } from "../../core/view.ts";
import { command } from "../command.ts";
import { wholeSpec } from "../exchange/read-spec.ts";
import { SnapshotShape, snapshotData } from "../exchange/snapshot-data.ts";

export default command({
  name: "export.snapshot",
  effect: "read",
  summary: "Write the whole state of both planes as JSON",
  explain:
    "Project, tasks with all their fields (also those that Lodestar does not know), features, agents, every grant, outcomes, events and idempotency keys, in an order that the state decides; `lodestar import FILE --from lodestar` brings them back. Messages and their read receipts come with --include-messages; without it nothing in the snapshot quotes a message. Comments and the layout of spec.yaml are not in it: Git keeps those. It changes nothing.",
  input: Shape({ include_messages: Optional(Flag({ description: "Messages and who has read them, too" })) }),
  output: SnapshotShape,
  examples: [
    { line: "lodestar export snapshot --include-messages > snapshot.json", shows: "Everything" },
    { line: "lodestar export snapshot --json", shows: "Inside the usual envelope" },
  ],
  run: async (input, context) => {
    for (let attempt = 1; ; attempt += 1) {
      const { whole, key } = await wholeSpec(context);
      const runtime = await (await context.runtimeIfAny())?.snapshot();
      // Where the spec stays the same around the look at the runtime, both are of one moment.
      if (context.spec.key() === key || attempt === ATTEMPTS)
        return snapshotData(whole, runtime, context.clock.now(), input.include_messages === true);
    }
  },
  view: (snapshot) => [text(escaped(JSON.stringify(snapshot, null, 2)))],
});

/** How often it looks again where the spec changes all the time. */
const ATTEMPTS = 5;

/** JSON in which what has no picture of its own is an escape: none of it acts on a terminal, and all of it comes back. */
function escaped(json: string): string {
  return json.replace(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}
