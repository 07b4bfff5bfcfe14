import { Shape, Text } from "../../core/schema.ts";
import { VERSION } from "../../core/version.ts";
import { line } from "../../core/view.ts";
import { command } from "../command.ts";

export default command({
  name: "version",
  effect: "read",
  summary: "Show the version",
  explain: "The version of this program, the same as --version.",
  anywhere: true,
  input: Shape({}),
  output: Shape({ version: Text() }),
  examples: [{ line: "lodestar version --json", shows: "For scripts" }],
  run: async () => ({ version: VERSION }),
  view: ({ version }) => [line(`lodestar ${version}`)],
});
