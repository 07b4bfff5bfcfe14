import { Flag, List, Optional, Shape, Text } from "../../core/schema.ts";
import { VERSION } from "../../core/version.ts";
import { blank, line, table, text, type View } from "../../core/view.ts";
import { command } from "../command.ts";

const Licence = Shape({
  name: Text(),
  version: Text(),
  license: Text({ description: "SPDX" }),
  text: Optional(Text()),
  note: Optional(Text()),
});

export default command({
  name: "version",
  effect: "read",
  summary: "Show the version, or the licences of what is inside",
  explain:
    "The version of this program, the same as --version. With --licenses also what it is made of, each with its licence and that licence's words.",
  anywhere: true,
  input: Shape({ licenses: Optional(Flag({ description: "The licences of everything inside, in full" })) }),
  output: Shape({ version: Text(), licenses: Optional(List(Licence)) }),
  examples: [
    { line: "lodestar version --json", shows: "For scripts" },
    { line: "lodestar version --licenses | less", shows: "What is inside, and under which terms" },
  ],
  run: async ({ licenses }) => {
    if (licenses !== true) return { version: VERSION };
    return { version: VERSION, licenses: (await import("./licences.json")).default };
  },
  view: ({ version, licenses = [] }): View[] => [
    line(`lodestar ${version}`),
    ...(licenses.length === 0 ? [] : [blank]),
    table(
      ["Inside", "Version", "Licence"],
      licenses.map(({ name, version, license }) => [name, version, license]),
    ),
    ...licenses.flatMap((each): View[] => [
      blank,
      line(`${each.name} ${each.version}: ${each.license}`, "strong"),
      ...(each.note === undefined ? [] : [line(each.note)]),
      ...(each.text === undefined ? [] : [text(each.text)]),
    ]),
  ],
});
