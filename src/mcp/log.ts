import { appendFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Serving } from "../commands/serving.ts";
import { LodestarError } from "../core/errors.ts";
import { formatInstant } from "../core/time.ts";

/** One thing that the server says of itself. Arguments and answers are never part of it. */
export interface Entry {
  readonly event: "started" | "stopped" | "called" | "failed";
  readonly message: string;
}

export type Log = (entry: Entry) => void;

/**
 * What is worth telling goes to standard error; with `--log-file` everything goes there, each call too.
 *
 * @throws LodestarError `PATH_NOT_FOUND` when the file cannot be written.
 */
export function logOf(serving: Serving, cwd: string): Log {
  const { log_file, json_logs } = serving.input as { readonly log_file?: string; readonly json_logs?: boolean };
  const line = ({ event, message }: Entry): string => {
    const at = formatInstant(serving.clock.now());
    // A message may hold text from elsewhere: as JSON it stays one line, and no escape sequence works.
    return json_logs === true ? JSON.stringify({ at, event, message }) : `${at} ${event} ${JSON.stringify(message)}`;
  };
  if (log_file === undefined) return (entry) => void (entry.event === "called" || serving.log(line(entry)));
  const path = resolve(cwd, log_file);
  const append = (text: string): void => {
    try {
      appendFileSync(path, text);
    } catch (cause) {
      throw new LodestarError("PATH_NOT_FOUND", `--log-file: ${path} cannot be written: ${(cause as Error).message}`, {
        details: { option: "--log-file", path },
        cause,
      });
    }
  };
  append("");
  let lost = false;
  return (entry) => {
    if (entry.event !== "called") serving.log(line(entry));
    try {
      append(`${line(entry)}\n`);
    } catch (cause) {
      // A full disk must not end the sessions; it is told once.
      if (!lost) serving.log((cause as Error).message);
      lost = true;
    }
  };
}
