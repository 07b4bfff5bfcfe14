import type { Millis } from "../../core/time.ts";

/** The runtime's time: it never goes back, and after a clock was set back it goes on at normal speed (L5). */
export function timeOf(row: { readonly clock_offset: Millis; readonly last_now: Millis }, wall: Millis): Millis {
  return Math.max(wall + row.clock_offset, row.last_now);
}
