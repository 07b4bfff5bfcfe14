/** The spec plane without files: bytes to tasks, edits to bytes. */
export { applyEdits } from "./edit.ts";
export {
  type AppliedEdits,
  type ChangedTask,
  type Locate,
  type SpecEdit,
  StaleBlock,
  type TaskFieldsPatch,
} from "./edits.ts";
export { refuseTooMuch } from "./problems.ts";
export { type ReadOptions, readSpec, type SpecReading } from "./read.ts";
