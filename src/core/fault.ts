/** The places where a test build may die or stand still: between the steps whose order the model promises (T2, S2, L9). */
export type FaultPoint =
  /** A claim has looked at both planes and not yet asked for the lease. */
  | "before-grant"
  /** An outcome is decided and not yet committed. */
  | "before-finish"
  /** The runtime holds the outcome; the spec knows nothing of it. */
  | "after-runtime-commit"
  | "before-temp"
  | "after-temp-write"
  | "after-fsync"
  | "before-rename"
  | "after-rename"
  | "after-save-before-index"
  /** The spec holds the outcome; the outbox row is still there. */
  | "before-settle"
  /** A runtime that is moved takes no more writes; the new one is empty. */
  | "after-retire"
  /** The new one holds everything; nobody was told. */
  | "after-restore";

/** `true` in a test build alone; the product is compiled with `false`, and nothing of a fault is left in it. */
declare const LODESTAR_TEST_FAULTS: boolean | undefined;

/** Does nothing, except in a test build, whose entry file says what happens (test/support/faulty.ts). */
export function fault(point: FaultPoint): void {
  if (typeof LODESTAR_TEST_FAULTS === "undefined" || !LODESTAR_TEST_FAULTS) return;
  (globalThis as { lodestarFault?: (point: FaultPoint) => void }).lodestarFault?.(point);
}
