// Typed events, written by `clickmill-catalog codegen typescript`; a change here is lost.
// Bounds and patterns stand in the comments: the collector holds events to them, the compiler does not.

export interface EverythingAddress {
  /** Personal: taken out where the visitor has not consented. */
  city?: string;
  [more: string]: unknown;
}

/** A line. */
export interface EverythingLines {
  colour: "red" | "blue";
  /** A product's number.
   *  Must have minLength `1`.
   */
  sku: string;
}

/** One of each thing that a schema can say.
 *  Schema `everything/2`.
 */
export interface Everything {
  address?: EverythingAddress;
  answer?: unknown;
  anything?: unknown;
  /** When it was.
   *  Must have format `date-time`.
   */
  at: string;
  counts?: Record<string, number>;
  /** Somebody's.
   *  Must have pattern `^[^@]+@[^@]+$`.
   *  Personal: taken out where the visitor has not consented.
   */
  email?: string;
  /** A name that no field has, and *\/ in its words. */
  "is-new"?: boolean;
  lines: Array<EverythingLines>;
  mixed?: unknown;
  mode?: "fast";
  /** Must have maxLength `10`. */
  note?: string | null;
  offset?: number;
  /** Must have minimum `0`, maximum `1000`. */
  priceCents?: number;
  /** Must have exclusiveMinimum `0`. */
  share: number;
  /** How it stands. */
  state?: "on sale" | "sold-out" | "on_sale";
  /** Must have minItems `1`, uniqueItems `true`. */
  tags?: Array<string>;
  /** A name that is a keyword. */
  type?: string;
}

/** Schema `nothing/1`. */
export interface Nothing {
}

/** The properties of each event type. */
export interface EventProps {
  everything: Everything;
  nothing: Nothing;
}

/** An event, told apart by its `type`. */
export type TypedEvent =
  | { type: "everything"; props: Everything }
  | { type: "nothing"; props: Nothing };
