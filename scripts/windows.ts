/**
 * Tries the Windows program on Linux, under Wine: an agent's loop, processes that want one task at once, a spec with CR LF. Exit
 * status 1 when something is not as on Linux.
 *
 *   bun run windows      needs Debian's wine and gcc-mingw-w64-x86-64
 *
 * Wine before version 9 lacks bcryptprimitives.dll, from which Bun takes its random numbers; a stand-in with that one function is
 * compiled beside the program.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../build.ts";

const STAND_IN = `#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T count) { return RtlGenRandom(to, (ULONG)count); }
`;
const COMPILER = "x86_64-w64-mingw32-gcc";
const CLAIMANTS = 8;
const CREATES = 12;

for (const needed of ["wine", COMPILER, "git"]) {
  if (Bun.which(needed) !== null) continue;
  console.error(`There is no ${needed} on the path.`);
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), "lodestar-windows-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const env = { ...process.env, WINEPREFIX: join(scratch, "prefix"), WINEDEBUG: "-all" };
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

interface Ran {
  readonly exit: number;
  // biome-ignore lint/suspicious/noExplicitAny: the answers of several commands.
  readonly json: any;
}

async function lodestar(...args: readonly string[]): Promise<Ran> {
  const words = ["wine", join(scratch, "lodestar.exe"), ...args, "--json"];
  const child = Bun.spawn(words, { cwd: shop, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const text = await new Response(child.stdout).text();
  const exit = await child.exited;
  try {
    return { exit, json: JSON.parse(text) };
  } catch {
    throw new Error(
      `lodestar ${args.join(" ")}: exit status ${exit}, ${text}${await new Response(child.stderr).text()}`,
    );
  }
}

let failed = 0;
function check(what: string, isSo: boolean): void {
  console.log(`${isSo ? "ok    " : "FAILED"}  ${what}`);
  if (!isSo) failed += 1;
}
const spec = () => readFileSync(join(shop, ".lodestar", "spec.yaml"), "utf8");
const together = <T>(count: number, make: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => make(n)));

check("init", (await lodestar("init", "--name", "shop")).exit === 0);
for (let n = 0; n < CLAIMANTS; n += 1) await lodestar("agent", "join", "--id", `A${n}`);
await lodestar("task", "create", "--id", "T-A", "--title", "First");
await lodestar("task", "create", "--id", "T-B", "--title", "Second", "--depends-on", "T-A");
const claims = await together(CLAIMANTS, (n) => lodestar("task", "claim", "T-A", "--agent", `A${n}`));
const winners = claims.flatMap(({ exit }, n) => (exit === 0 ? [`A${n}`] : []));
check(`of ${CLAIMANTS} processes that claim one task, one has it`, winners.length === 1);
check(
  "the others are told who",
  claims.every(({ exit, json }) => exit === 0 || json.error.code === "ALREADY_CLAIMED"),
);
const done = await lodestar("task", "done", "T-A", "--verify", "--agent", winners[0] ?? "");
check("done --verify unblocks the next", done.exit === 0 && done.json.data.unblocked?.[0] === "T-B");
const made = await together(CREATES, (n) => lodestar("task", "create", "--title", `Made ${n}`));
const acknowledged = made.filter(({ exit }) => exit === 0).length;
check(`${CREATES} tasks are created at once`, acknowledged === CREATES);
check("all of them are in the file", (spec().match(/title: Made \d+/g) ?? []).length === acknowledged);
writeFileSync(join(shop, ".lodestar", "spec.yaml"), spec().replaceAll(/\r?\n/g, "\r\n"));
const updated = await lodestar("task", "update", "T-B", "--priority", "5", "--add-label", "late");
check("a spec with CR LF is edited", updated.exit === 0 && spec().includes("priority: 5\r\n"));
check("and keeps them", !/[^\r]\n/.test(spec()));
const doctor = await lodestar("doctor");
check("doctor finds nothing broken", doctor.exit === 0);
must("wineserver", "-k");
process.exit(failed === 0 ? 0 : 1);
