/** What every face answers, for failures too. The four keys are always there; `error` only when `ok` is false. */
export interface Envelope {
  readonly ok: boolean;
  readonly error?: EnvelopeError;
  readonly data: unknown;
  readonly next: readonly EnvelopeAction[];
  readonly warnings: readonly string[];
}

export interface EnvelopeError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly retriable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface EnvelopeAction {
  readonly intent: string;
  readonly cmd: string;
  readonly description: string;
}
