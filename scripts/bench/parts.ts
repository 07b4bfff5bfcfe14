/**
 * What single things cost a program that runs once, over an empty program (docs/performance.md): `bun run scripts/bench/parts.ts`.
 * Each is a program of a few lines, compiled with the product's flags; valgrind counts its instructions.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FLAGS } from "../../build.ts";
import { instructions } from "./instructions.ts";

const END = "process.exit(0);\n";
/** Enough that what is not theirs does not count. */
const FUNCTIONS = 300;

/** Functions that do nothing, each of them different, so that none is folded into another. */
const functions = (called: boolean) =>
  Array.from({ length: FUNCTIONS }, (_, i) => `function f${i}(x) { return x.a${i}; }`).join("\n") +
  `\nconst all = [${Array.from({ length: FUNCTIONS }, (_, i) => `f${i}`)}];\n` +
  `const x = {};\n${called ? "for (const f of all) f(x);" : "if (process.env.NEVER) for (const f of all) f(x);"}\n${END}`;

const LIBRARY = { darwin: "libc.dylib", win32: "msvcrt.dll" }[process.platform as string] ?? "libc.so.6";
const FFI =
  'import { dlopen } from "bun:ffi";\n' +
  `const { symbols } = dlopen("${LIBRARY}", { getpid: { args: [], returns: "int" } });\nsymbols.getpid();\n${END}`;

const PARTS: readonly (readonly [name: string, source: string, env?: Readonly<Record<string, string>>])[] = [
  [`${FUNCTIONS} functions that are loaded and not called`, functions(false)],
  [`${FUNCTIONS} functions that are called once`, functions(true)],
  ["`node:fs`, and one `statSync`", `import { statSync } from "node:fs";\nstatSync("/");\n${END}`],
  ["`bun:ffi`, one library, and one call", FFI],
  ["`Bun.file(…).stat()`", `await Bun.file("/").stat();\n${END}`],
  ["`process.exit` alone", END],
  ["nothing, without machine code (`BUN_JSC_useJIT=0`)", END, { BUN_JSC_useJIT: "0" }],
];

const scratch = mkdtempSync(join(tmpdir(), "lodestar-parts-"));
try {
  const entry = join(scratch, "main.js");
  const program = join(scratch, "program");
  const count = (source: string, env: Readonly<Record<string, string>> = {}) => {
    writeFileSync(entry, source);
    const built = Bun.spawnSync([process.execPath, "build", ...FLAGS, entry, `--outfile=${program}`], { cwd: scratch });
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    return instructions([program], scratch, { PATH: process.env.PATH, HOME: scratch, ...env });
  };
  const empty = count("export {};\n");
  console.log("| over an empty program | millions of instructions |\n| --- | --- |");
  for (const [name, source, env] of PARTS)
    console.log(`| ${name} | ${((count(source, env) - empty) / 1e6).toFixed(2)} |`);
  console.log(`| an empty program | ${(empty / 1e6).toFixed(2)} |`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
