import { OneOf, Shape, Text } from "../../core/schema.ts";
import { text } from "../../core/view.ts";
import { command } from "../command.ts";
import { SCRIPTS, SHELLS } from "./completion-scripts.ts";

export default command({
  name: "completions",
  effect: "read",
  summary: "Print the script that makes a shell complete commands",
  explain:
    "Prints a script for the shell to read. It completes commands, options and their values, and ids as they are at that moment: for `task claim` what can be claimed, for `task done` what you hold, for --agent who has joined. The script asks the installed `lodestar` for all of that, so it need not be renewed after an upgrade. Completing writes nothing. Ids and labels that a shell could take for something else than a word are not offered.",
  positional: ["shell"],
  anywhere: true,
  input: Shape({ shell: OneOf(SHELLS, { description: "The shell to complete in" }) }),
  output: Shape({ shell: OneOf(SHELLS), script: Text() }),
  examples: [
    { line: `eval "$(lodestar completions bash)"`, shows: "bash: in ~/.bashrc" },
    { line: `source <(lodestar completions zsh)`, shows: "zsh: in ~/.zshrc, after compinit" },
    { line: "lodestar completions fish > ~/.config/fish/completions/lodestar.fish", shows: "fish: once" },
    {
      line: "lodestar completions powershell | Out-String | Invoke-Expression",
      shows: "PowerShell: in the file that $PROFILE names",
    },
  ],
  run: async ({ shell }) => ({ shell, script: SCRIPTS[shell] }),
  view: ({ script }) => [text(script)],
});
