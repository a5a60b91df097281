import type { EventProps } from "./events.js";

export type { EventProps, TypedEvent } from "./events.js";

/** What may be done with a visitor's data. */
export type Purpose = "advertising" | "analytics" | "experiments" | "personalization";

/**
 * The events that may be tracked. Add your own, written by `clickmill-catalog codegen typescript`:
 *
 *     declare module "clickmill" { interface Events extends MyEventProps {} }
 */
export interface Events extends EventProps {}

/** An event before it is taken. */
export interface Taken {
  readonly id: string;
  readonly type: string;
  /** When it happened, ms since 1970. */
  readonly at: number;
  props: Record<string, unknown>;
}

/** A hint of the relay. */
export interface Hint {
  readonly id: string;
  readonly kind: "promote" | "reset" | "stock" | "suggest" | "variant" | "withdraw";
  readonly slot?: string;
  readonly content: { title?: string; items?: Item[]; [more: string]: unknown };
  readonly why?: { model: string; inputs: string[] };
  /** When it stops being true, ms since 1970. */
  readonly expires_at: number;
  readonly latency_ms?: number;
}

/** A product in a hint. */
export interface Item {
  sku: string;
  name?: string;
  url?: string;
  image?: string;
  price_cents?: number;
  [more: string]: unknown;
}

/** What became of an event. */
export interface Verdict {
  readonly id: string;
  readonly type: string;
  readonly outcome: "accepted" | "duplicate" | "rejected" | "retry";
  readonly reason?: string;
  readonly pointer?: string;
  readonly latency_ms: number;
}

/** How the SDK fares. */
export interface State {
  readonly delivery: string;
  readonly stream: string;
  readonly queued: number;
  readonly books: Record<string, number>;
}

/** What can be heard of. */
export interface News {
  hint: Hint;
  verdict: Verdict;
  state: State;
  event: Taken;
}

/** What the page has once `init` has run. */
export interface Clickmill {
  track(type: string, props?: object): string | undefined;
  page(props?: object): string | undefined;
  consent(purposes?: string): string | undefined;
  identify(customer: string, proof?: string): string | undefined;
  reset(): string | undefined;
  visitor(): string | undefined;
  flush(): void;
  on<N extends keyof News>(name: N, run: (news: News[N]) => void): void;
}

/** Has its say once the SDK has begun. */
export type Plugin = (clickmill: Clickmill) => void;

export interface Options {
  /** The site's write key. */
  key: string;
  /** The address of the collector, without a path. */
  collector: string;
  /** The address of the relay; without it there are no hints. */
  hints?: string;
  /** Where `clickmill_core.js` of this package's `dist` is served; without it the stub sends alone. */
  core?: string;
  /** What the visitor has granted; left out, the site's configuration says. */
  consent?: readonly Purpose[] | string;
  /** Gives back other properties, `false` to keep an event from being taken, or nothing. */
  beforeSend?: (event: Taken) => Record<string, unknown> | false | void;
  plugins?: readonly Plugin[];
}

export function init(options: Options): void;
/** Takes an event; its id, or none where it was kept from being taken. */
export function track<T extends keyof Events>(type: T, props: Events[T]): string | undefined;
/** Takes a page view inside the page. */
export function page(props?: EventProps["page_view"]): string | undefined;
/** What the visitor has decided; without an argument, what was said last. */
export function consent(purposes?: readonly Purpose[] | string): string | undefined;
/**
 * Says which customer this is: 1 to 128 printable ASCII characters. `proof` is what your server says
 * of that. Another customer in the same browser is another visitor. It is kept until `reset`, and only
 * with consent to analytics.
 */
export function identify(customer: string, proof?: string): string | undefined;
/** The customer logged out: what comes next in this browser is a new visitor's. */
export function reset(): string | undefined;
export function flush(): void;
export function visitor(): string | undefined;
/** Gives back what ends it. */
export function on<N extends keyof News>(name: N, run: (news: News[N]) => void): () => void;
/** The hint that a slot shows now; `page` where no slot is named. */
export function hint(slot?: string): Hint | undefined;
/** Hears that the hint of some slot is another one; gives back what ends that. */
export function subscribe(run: () => void): () => void;
/** The arm of an experiment, counted from 0, the control; needs `clickmill/experiments`. */
export function variant(experiment: string): number;
/** Resolves when it is known which experiments run. */
export function variants(): Promise<void>;

/** Calls by name. */
export default function clickmill(name: string, ...all: unknown[]): unknown;
