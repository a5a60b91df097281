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
  /** Its id, a UUID. */
  readonly id: string;
  /** Its type, such as `product_view`. */
  readonly type: string;
  /** When it happened, ms since 1970. */
  readonly at: number;
  /** What happened, as its type's schema says. */
  props: Record<string, unknown>;
  /**
   * Where it happened, as JSON: `page` with its `url` and `title`, `referrer`, `campaign`, `screen`,
   * `locale` and `time_zone`; not all of it in every event. It may be exchanged for other JSON, to keep
   * a part of an address to oneself, for instance.
   */
  facts: string;
}

/**
 * A hint of the relay. A `reset` may be the SDK's own, when the visitor is another one or has taken
 * consent back: it has its kind and nothing else.
 */
export interface Hint {
  /** Its id. Of two with the same one the second changes nothing. */
  readonly id: string;
  /** Why it was said. */
  readonly kind: "promote" | "reset" | "stock" | "suggest" | "variant" | "withdraw";
  /** The slot it is for; none where it is for the whole page. */
  readonly slot?: string;
  /** What to show: products with a heading or, of the kind `stock`, how one product is stocked. */
  readonly content: {
    title?: string;
    items?: Item[];
    /** It is there again, or running out. */
    state?: "back" | "low";
    /** How many pieces of it can be had. */
    available?: number;
    product?: Item;
    [more: string]: unknown;
  };
  /** What found it, and what that went by. */
  readonly why?: { model: string; inputs: string[] };
  /** When it stops being true, ms since 1970, by the browser's clock even where that is wrong. */
  readonly expires_at: number;
  /** The generation of what decided it. */
  readonly epoch?: number;
  /** The event that it answers, where it answers one. */
  readonly cause?: { event: string; received_at: number };
  /** Whether an earlier page had it already. */
  readonly replayed?: boolean;
  /** From the event that it answers to here, ms, where that is known. */
  readonly latency_ms?: number;
}

/** A product in a hint. */
export interface Item {
  /** Which product. */
  sku: string;
  /** What it is called. */
  name?: string;
  /** The address of its page. */
  url?: string;
  /** The address of its picture. */
  image?: string;
  /** What it costs, in hundredths of the currency. */
  price_cents?: number;
  [more: string]: unknown;
}

/** What became of an event. */
export interface Verdict {
  /** The event's id. */
  readonly id: string;
  /** Its type. */
  readonly type: string;
  /** What the collector did with it; what is to be tried again is kept and sent again. */
  readonly outcome: "accepted" | "duplicate" | "rejected" | "retry";
  /** Why it was not taken, by a name that stays. */
  readonly reason?: string;
  /** The schema that it was judged by, such as `product_view/2`. */
  readonly schema?: string;
  /** The part of it that is wrong, as a JSON pointer. */
  readonly pointer?: string;
  /** What is wrong with it, in a sentence. */
  readonly detail?: string;
  /** From the event to the collector's answer, ms. */
  readonly latency_ms: number;
}

/** How the SDK fares. */
export interface State {
  /** What the delivery does. */
  readonly delivery: "idle" | "in_flight" | "backing_off" | "stopped";
  /** How the stream of hints is. */
  readonly stream: "closed" | "open" | "waiting";
  /** How many events wait. */
  readonly queued: number;
  /** What became of all events of this queue, by count. */
  readonly books: Record<string, number>;
}

/** What can be heard of. */
export interface News {
  /** A hint came. */
  hint: Hint;
  /** The collector has judged an event. */
  verdict: Verdict;
  /** Something changed in how the SDK fares. */
  state: State;
  /** An event was taken. */
  event: Taken;
}

/** What the page has once `init` has run. */
export interface Clickmill {
  /** As the function of the same name, for any type. */
  track(type: string, props?: object): string | undefined;
  /** As the function of the same name. */
  page(props?: object): string | undefined;
  /** As the function of the same name, with the purposes in one text. */
  consent(purposes?: string): string | undefined;
  /** As the function of the same name. */
  identify(customer: string, proof?: string): string | undefined;
  /** As the function of the same name. */
  reset(): string | undefined;
  /** As the function of the same name. */
  visitor(): string | undefined;
  /** As the function of the same name. */
  flush(): void;
  /** As the function of the same name; what is heard goes on until the page ends. */
  on<N extends keyof News>(name: N, run: (news: News[N]) => void): void;
  /** As the function of the same name, with `clickmill/experiments`. */
  variant?(experiment: string): number;
  /** As the function of the same name, with `clickmill/experiments`. */
  variants?(): Promise<void>;
  /** A shop's events by name, with `clickmill/shop`. */
  shop?: Shop;
}

/** A shop's events by name. Of what they are given they send what the schemas know. */
export interface Shop {
  /** A product was looked at. */
  viewed(product: object): string | undefined;
  /** A product in a list was clicked. */
  clicked(product: object): string | undefined;
  /** A product went into the basket. */
  added(product: object): string | undefined;
  /** A product left the basket. */
  removed(product: object): string | undefined;
  /** A list of products was shown. */
  listed(list: object): string | undefined;
  /** The basket was looked at. */
  basket(basket: object): string | undefined;
  /** A step of the checkout was reached. */
  checkout(step: object): string | undefined;
  /** Something was searched for. */
  searched(search: object): string | undefined;
  /** Something was ordered. */
  ordered(order: object): string | undefined;
}

declare global {
  interface Window {
    /** What the page has once the SDK has begun. */
    clickmill?: Clickmill;
  }
}

/** Has its say once the SDK has begun. */
export type Plugin = (clickmill: Clickmill) => void;

/** How the SDK begins. */
export interface Options {
  /** The site's write key. */
  key: string;
  /** The address of the collector, without a path. */
  collector: string;
  /** The address of the relay; without it there are no hints. */
  hints?: string;
  /** Where `clickmill_core.js` of this package's `dist` is served; without it the stub sends alone. */
  core?: string;
  /**
   * What the visitor has granted; left out, the site's configuration says. `"pending"` says that they
   * have to be asked first: until `consent` is called, what happens is held in memory alone.
   */
  consent?: readonly Purpose[] | string;
  /** What the SDK is not to tell by itself. */
  off?: readonly ("click" | "page")[] | string;
  /** Gives back other properties, `false` to keep an event from being taken, or nothing. */
  beforeSend?: (event: Taken) => Record<string, unknown> | false | void;
  /** The modules to begin with, such as `auto()` of `clickmill/auto`. */
  plugins?: readonly Plugin[];
}

/** Begins the SDK in a page; on a server it does nothing, and neither does a second call. */
export function init(options: Options): void;
/** Takes an event; its id, or none where it was kept from being taken. */
export function track<T extends keyof Events>(type: T, props: Events[T]): string | undefined;
/** Takes a page view inside the page. */
export function page(props?: EventProps["page_view"]): string | undefined;
/**
 * What the visitor has decided; without an argument, what was said last. While nobody has decided, do not
 * call it: whatever it is called with is a decision. Where it takes analytics back, the collector is told
 * whose decision that was, and nothing of them after it.
 */
export function consent(purposes?: readonly Purpose[] | string): string | undefined;
/**
 * Says which customer this is: 1 to 128 printable ASCII characters. `proof` is what your server says
 * of that. Another customer in the same browser is another visitor. It is kept until `reset`, and only
 * with consent to analytics.
 */
export function identify(customer: string, proof?: string): string | undefined;
/** The customer logged out: what comes next in this browser is a new visitor's. */
export function reset(): string | undefined;
/** Sends what waits now. */
export function flush(): void;
/** The visitor's id; none before there is one, or where it is not allowed. */
export function visitor(): string | undefined;
/** Gives back what ends it. */
export function on<N extends keyof News>(name: N, run: (news: News[N]) => void): () => void;
/** The hint that a slot shows now; `page` where no slot is named. */
export function hint(slot?: string): Hint | undefined;
/** Hears that the hint of some slot is another one; gives back what ends that. */
export function subscribe(run: () => void): () => void;
/** The arm of an experiment, counted from 0, the control; needs `clickmill/experiments`. */
export function variant(experiment: string): number;
/** Resolves when it is known which experiments run, and who sees them. */
export function variants(): Promise<void>;

/** Calls by name. */
export default function clickmill(name: string, ...all: unknown[]): unknown;
