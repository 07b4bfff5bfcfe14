/**
 * Collects the licences of what is inside the program into src/commands/repo/licences.json, which `lodestar version --licenses` shows.
 *
 *   bun scripts/release/licences.ts            writes it
 *   bun scripts/release/licences.ts --check    exit status 1 when it is not current
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json";
import { graphvizVersion, inside } from "./inside.ts";

const ROOT = join(import.meta.dir, "..", "..");
const PATH = join(ROOT, "src", "commands", "repo", "licences.json");

interface Licence {
  readonly name: string;
  readonly version: string;
  /** SPDX. */
  readonly license: string;
  /** Its words; absent where the package brings none. */
  readonly text?: string;
  readonly note?: string;
}

/** What no lock file names: the runtime around the program, and what a package brings compiled. */
const runtime: Licence = {
  name: "bun",
  version: packageJson.packageManager.replace("bun@", ""),
  license: "MIT",
  note: "The runtime. It links JavaScriptCore and parts of WebKit (LGPL-2.1), BoringSSL, SQLite, zlib and others: https://bun.sh/docs/project/licensing has the list and how to link them anew.",
};
const graphviz = async (): Promise<Licence> => ({
  name: "graphviz",
  version: await graphvizVersion(),
  license: "EPL",
  note: "Compiled to WebAssembly inside @viz-js/viz, unchanged. The Eclipse Public License and the sources: https://graphviz.org/license and https://gitlab.com/graphviz/graphviz.",
});

const NO_WORDS =
  "The package names its licence and brings no words of it; those of the MIT License stand above, with Lodestar's own.";

/** The words of a package's licence, as it brings them. */
function textOf(name: string): string | undefined {
  const folder = join(ROOT, "node_modules", name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e([.-]|$)/i.test(entry));
  return file === undefined
    ? undefined
    : `${readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim()}\n`;
}

/** The whole file, as it should be. */
export async function licences(): Promise<string> {
  const own: Licence = {
    name: "lodestar",
    version: packageJson.version,
    license: packageJson.license,
    text: readFileSync(join(ROOT, "LICENSE"), "utf8"),
  };
  const packages = (await inside()).map(({ name, version, license }): Licence => {
    const text = textOf(name);
    return text === undefined ? { name, version, license, note: NO_WORDS } : { name, version, license, text };
  });
  return `${JSON.stringify([own, runtime, ...packages, await graphviz()], null, 2)}\n`;
}

if (import.meta.main) {
  const wanted = await licences();
  if (!process.argv.includes("--check")) writeFileSync(PATH, wanted);
  else if (!existsSync(PATH) || readFileSync(PATH, "utf8") !== wanted) {
    console.error("src/commands/repo/licences.json is not current: bun run licences");
    process.exit(1);
  }
}
