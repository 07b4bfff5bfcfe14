import type { NextAction } from "./command.ts";
import type { Context } from "./context.ts";

/**
 * For the calls that answer anywhere: false where Lodestar is not set up.
 * @throws LodestarError what makes the place itself unusable.
 */
export function isSetUp(context: Context): boolean {
  if (context.initialized) return true;
  if (context.problem !== undefined && context.problem.code !== "NOT_INITIALIZED") throw context.problem;
  return false;
}

/** What to do where Lodestar is not set up, and how people are told. */
export const SET_UP: NextAction = { command: "init", input: {}, why: "Initialize Lodestar in this repository" };
export const NOT_SET_UP = "Not a Lodestar repository";
