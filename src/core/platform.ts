/** What the operating system does in its own way; tests give another one than they run on. */
export interface Platform {
  /**
   * Files that somebody has open can be neither replaced nor removed unless they allowed it, folders cannot be flushed, and a
   * process that ends takes none of its children along.
   */
  readonly windows: boolean;
  /** Stands still; no other way out between two tries of one step. */
  readonly pause: (ms: number) => void;
}

export const PLATFORM: Platform = { windows: navigator.platform.startsWith("Win"), pause: Bun.sleepSync };

/** Together about a second: scanners and indexers open a new file for a few milliseconds, an editor that saves for less. */
const PAUSES = [1, 2, 5, 10, 20, 50, 100, 200, 300, 300] as const;
/** What Windows says of a file that somebody has open; of one that may not be written it says the same. */
const HELD: ReadonlySet<unknown> = new Set(["EPERM", "EACCES", "EBUSY"]);

/**
 * Renames or removes a file: on Windows again and again for a second while somebody has it open, elsewhere once.
 * @throws whatever the last try throws.
 */
export function insist<T>(action: () => T, { windows, pause }: Platform = PLATFORM): T {
  if (!windows) return action();
  for (const ms of PAUSES) {
    try {
      return action();
    } catch (cause) {
      if (!HELD.has((cause as { code?: unknown }).code)) throw cause;
      pause(ms);
    }
  }
  return action();
}
