/**
 * Writes test/performance/baseline.json: what the hot commands load, ask, open, read, write and flush now. The tests beside it fail when
 * one of them grows; the commit that grows it says why. Needs strace.
 */
import { relative } from "node:path";
import { compare } from "../test/performance/compare.ts";
import {
  BASELINE,
  type Baseline,
  canTrace,
  observe,
  observeChunks,
  readBaseline,
} from "../test/performance/observe.ts";

if (!canTrace()) {
  console.error("strace cannot run here; without it a part of the baseline would be lost.");
  process.exit(1);
}
const root = `${import.meta.dir}/..`;
const before = readBaseline();
const now: Baseline = { calls: await observe(), chunks: observeChunks() };
await Bun.write(BASELINE, JSON.stringify(now, null, 2));
const format = ["node_modules/@biomejs/biome/bin/biome", "format", "--write", BASELINE];
const { exitCode } = Bun.spawnSync([process.execPath, ...format], { cwd: root, stdout: "ignore", stderr: "inherit" });
if (exitCode !== 0) process.exit(1);
if (before !== undefined) {
  const { grown, shrunk } = compare(before, now);
  for (const line of [...grown, ...shrunk]) console.log(line);
}
console.log(`Written: ${relative(process.cwd(), BASELINE)}`);
