/**
 * Tries the Windows program on Linux, under Wine, as `bun run smoke` tries the one of this system. Exit status 1 when something is
 * not as it should be.
 *
 *   bun run windows      needs Debian's wine and gcc-mingw-w64-x86-64
 *
 * Wine before version 9 lacks bcryptprimitives.dll, from which Bun takes its random numbers; a stand-in with that one function is
 * compiled beside the program.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../build.ts";
import { smoke } from "./smoke.ts";

const STAND_IN = `#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T count) { return RtlGenRandom(to, (ULONG)count); }
`;
const COMPILER = "x86_64-w64-mingw32-gcc";

for (const needed of ["wine", COMPILER, "git"]) {
  if (Bun.which(needed) !== null) continue;
  console.error(`There is no ${needed} on the path.`);
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), "lodestar-windows-"));
const env = { ...process.env, WINEPREFIX: join(scratch, "prefix"), WINEDEBUG: "-all" };
process.on("exit", () => {
  // Wine's server goes on for a while; one that has ended by itself is no failure.
  Bun.spawnSync(["wineserver", "-k"], { env });
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const must = (...words: string[]) => {
  const ran = Bun.spawnSync(words, { cwd: scratch, env, stdout: "pipe", stderr: "pipe" });
  if (ran.exitCode !== 0) throw new Error(`${words.join(" ")}: ${ran.stderr}`);
};
const program = build("windows-x64");
must("cp", program, join(scratch, "lodestar.exe"));
writeFileSync(join(scratch, "random.c"), STAND_IN);
must(COMPILER, "-shared", "-o", "bcryptprimitives.dll", "random.c", "-ladvapi32");
must("wineboot", "-i");
const shop = join(scratch, "shop");
mkdirSync(shop);
must("git", "init", "-q", "-b", "main", shop);

const failed = await smoke(["wine", join(scratch, "lodestar.exe")], shop, env);
process.exit(failed === 0 ? 0 : 1);
