import { LodestarError } from "../../core/errors.ts";
import { locateSource, type Shelf } from "../../prd/source.ts";
import { specKey } from "../../spec/key.ts";
import type { Context } from "../context.ts";
import { look } from "../look.ts";
import { citing, openSources } from "./sources.ts";

/** A product document that a task cites. */
export interface Document {
  /** As the tasks have it. */
  readonly name: string;
  /** What changes whenever the file does; `undefined`: there is none that may be read. One system call. */
  key(): string | undefined;
}

/** The documents that tasks cite, by name. No other file of the repository is shown to who asks from elsewhere. */
export async function citedDocuments(context: Context): Promise<readonly Document[]> {
  const seen = await look(context, "read");
  const { shelf } = openSources(context, seen.index);
  const names = new Set(citing(seen).map(({ prd }) => prd.source));
  return [...names].sort().map((name) => ({ name, key: () => keyOf(shelf, name) }));
}

function keyOf(shelf: Shelf, name: string): string | undefined {
  try {
    return specKey(locateSource(shelf, name).path);
  } catch (error) {
    if (error instanceof LodestarError) return undefined;
    throw error;
  }
}
