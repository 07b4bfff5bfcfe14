import type { LodestarError } from "../core/errors.ts";
import type { RuntimeStore } from "./store.ts";

/** A place for a runtime, as it is opened. */
export type RuntimeTarget =
  | { readonly kind: "sqlite"; readonly path: string }
  /** The URL as it was given, possibly with a password: never for a message. */
  | { readonly kind: "postgres"; readonly url: string };

/** Who says which runtime counts: nobody, `LODESTAR_RUNTIME`, or the spec's `project.conventions.runtime`. */
export type ChosenBy = "default" | "LODESTAR_RUNTIME" | "conventions.runtime";

export interface RuntimeChoice {
  readonly by: ChosenBy;
  /** Absent where what is named cannot be a runtime at all. */
  readonly target?: RuntimeTarget;
  /** A path, or a URL without its secrets. */
  readonly where: string;
  /** Why it is not used: it is not trusted here, it lacks the project's id, it cannot be read. */
  readonly problem?: LodestarError;
}

/** The runtimes that a call could speak to. For what moves and judges them; nothing is opened before it is asked for. */
export interface Runtimes {
  readonly choice: RuntimeChoice;
  /** What the spec names, also where `LODESTAR_RUNTIME` takes its place. */
  readonly committed: RuntimeChoice | undefined;
  /** Under what name a shared database keeps this project. */
  readonly project_id: string | undefined;
  /**
   * A path, or a URL, as somebody wrote it.
   * @throws LodestarError `USAGE` for what this version does not know.
   */
  named(text: string): RuntimeTarget;
  /** The same for people: never with a password. */
  where(target: RuntimeTarget): string;
  /** Whether the URL of a target holds a secret, which no committed file may. */
  holdsSecret(target: RuntimeTarget): boolean;
  /**
   * @param mode `write` makes what is not there. `read` answers `undefined` for it.
   * @throws LodestarError `RUNTIME_NOT_MIGRATED` for a shared database without the project's id.
   */
  open(target: RuntimeTarget, mode: "read" | "write", project_id?: string): Promise<RuntimeStore | undefined>;
  /** Brings its schema to this program's. @returns the numbers before (0: there was none) and after. */
  migrate(target: RuntimeTarget, project_id: string): Promise<{ readonly from: number; readonly to: number }>;

  /** The file that holds what this person trusts on this machine. */
  readonly trust_path: string;
  trusts(url: string): boolean;
  trust(url: string): void;
  /** @returns false when it was not trusted. */
  distrust(url: string): boolean;
}
