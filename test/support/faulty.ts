/**
 * The entry file of the test build: Lodestar that dies, or stands still, where `LODESTAR_FAULT` says.
 *
 *   LODESTAR_FAULT=before-rename         dies there as `kill -9` would make it
 *   LODESTAR_FAULT=before-grant:stop     stands still there until SIGCONT
 *   LODESTAR_FAULT=before-temp:ENOSPC    fails there as the operating system would
 */
import type { FaultPoint } from "../../src/core/fault.ts";

const [point, how] = (process.env.LODESTAR_FAULT ?? "").split(":");

(globalThis as { lodestarFault?: (at: FaultPoint) => void }).lodestarFault = (at) => {
  if (at !== point) return;
  if (how !== undefined && how !== "stop")
    throw Object.assign(new Error(`${how}: as the test wants it`), { code: how });
  process.kill(process.pid, how === "stop" ? "SIGSTOP" : "SIGKILL");
};

await import("../../src/main.ts");
