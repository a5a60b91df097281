// The SDK as a module: the stub, begun by `init` instead of by a script tag. Importing it does nothing,
// and where there is no page its calls do nothing either, so that servers may render what uses it.
// The build puts the stub in the place of its name.

const stub = () => {
  /* the stub */
};

const isPage = typeof document !== "undefined";
const said = new Set();
/** Says once what is wrong and what to do. */
const advise = (text) => {
  if (said.has(text)) return;
  said.add(text);
  console.warn(`clickmill: ${text}`);
};

const api = (call) => {
  if (!isPage) return;
  if (!window.clickmill) advise(`${call} came before init({ key, collector }); it is not sent`);
  return window.clickmill;
};

// ---- Hints that hold ----

// The snapshot that follows a reset has this long to come, ms.
const PATIENCE = 1000;

const hints = new Map();
const ears = new Set();
// The ids of hints that were there before a reset and did not come again yet.
const stale = new Set();
let patience;
const set = (slot, hint) => {
  if (hint) hints.set(slot, hint);
  else if (!hints.delete(slot)) return;
  ears.forEach((run) => run());
};
const expire = (slot, { id, expires_at }) => {
  const left = expires_at - Date.now();
  // With fewer products it is still the same hint.
  if (hints.get(slot)?.id !== id || !(left < Infinity)) return;
  if (left <= 0) set(slot);
  else setTimeout(expire, Math.min(left, 2 ** 31 - 1), slot, { id, expires_at });
};
const show = (slot, hint) => {
  const { id, content, expires_at } = hint;
  stale.delete(id);
  // A hint that comes twice changes nothing.
  if (hints.get(slot)?.id === id) return;
  if (expires_at <= Date.now() || !content || content.items?.length === 0) return;
  set(slot, hint);
  expire(slot, hint);
};
// A withdrawal names products, a hint or a whole slot.
const withdraw = (slot, content) => {
  const { hint, id = hint, sku, skus = [], items = [] } = content || {};
  const gone = new Set([sku, ...skus, ...items.map((item) => item?.sku)].filter(Boolean));
  for (const [place, shown] of [...hints]) {
    if ((slot && place !== slot) || (id && shown.id !== id)) continue;
    const { items, product } = shown.content;
    const all = Array.isArray(items) ? items : product ? [product] : [];
    const left = all.filter((item) => !gone.has(item?.sku));
    if (!gone.size || (all.length && !left.length)) set(place);
    else if (left.length < all.length) set(place, { ...shown, content: { ...shown.content, items: left } });
  }
};
// What comes again with the snapshot was never away.
const forget = () => {
  hints.forEach(({ id }) => stale.add(id));
  clearTimeout(patience);
  patience = setTimeout(() => {
    for (const [slot, { id }] of [...hints]) if (stale.has(id)) set(slot);
    stale.clear();
  }, PATIENCE);
};
const hear = ({ detail }) => {
  const { kind, slot, content } = detail;
  if (/suggest|promote|stock/.test(kind)) show(slot || "page", detail);
  else if (kind === "withdraw") withdraw(slot, content);
  else if (kind === "reset") forget();
};

// ---- Beginning ----

const check = async (key, collector) => {
  let reply;
  try {
    reply = await fetch(`${collector}/v1/config?k=${encodeURIComponent(key)}`);
    if (reply.ok) return;
    const { error } = await reply.json();
    if (error === "unknown_write_key") {
      advise(`the collector does not know the write key "${key}": give the one of a [[sites]] entry in its configuration`);
    } else if (error === "origin_not_allowed") {
      advise(`pages of ${location.origin} may not use this write key: add it to the origins of its [[sites]] entry`);
    } else advise(`the collector answers ${reply.status} ${error || ""}`);
  } catch {
    advise(
      reply
        ? `what answers at ${collector} is no collector: its answer of ${reply.status} is not JSON`
        : `${collector} does not answer: is the address right, is ${location.origin} among the origins of the site, ` +
            "and does the page's connect-src allow it?",
    );
  }
};

/** Begins. The first call counts. */
export const init = ({ key, collector, hints: stream, core, consent, off, beforeSend, plugins = [] } = {}) => {
  if (!isPage) return;
  if (window.clickmill) return advise("init came twice, or beside a script tag; the first one counts");
  if (!key || !collector) return advise("init needs a key, the site's write key, and a collector, its address");
  const tag = document.createElement("script");
  // Not a script that runs: the stub reads its settings from here.
  tag.type = "text/plain";
  const list = (words) => (Array.isArray(words) ? words.join() : words);
  const settings = { key, collector, hints: stream, core, consent: list(consent), off: list(off) };
  for (const [name, value] of Object.entries(settings)) {
    if (value !== undefined) tag.dataset[name] = value;
  }
  document.head.append(tag);
  document.addEventListener("clickmill:hint", hear);
  if (beforeSend) {
    document.addEventListener("clickmill:event", (event) => {
      // Where it throws, nobody has looked at the event: it is not taken. A decision about consent is, or
      // nobody would carry it out.
      let props = event.detail.type === "consent" && undefined;
      try {
        props = beforeSend(event.detail);
      } finally {
        if (props === false) event.preventDefault();
        else if (props) event.detail.props = props;
      }
    });
  }
  stub();
  for (const plugin of plugins) plugin(window.clickmill);
  // Nothing is asked of anybody before the visitor was.
  if (settings.consent !== "pending") (window.requestIdleCallback || setTimeout)(() => check(key, collector));
};

// ---- Calls ----

export const track = (type, props) => api("track")?.track(type, props);
export const page = (props) => api("page")?.page(props);
export const consent = (purposes) => api("consent")?.consent(Array.isArray(purposes) ? purposes.join() : purposes);
export const identify = (customer, proof) => api("identify")?.identify(customer, proof);
export const reset = () => api("reset")?.reset();
export const flush = () => api("flush")?.flush();
export const visitor = () => api("visitor")?.visitor();

/** Hears of `hint`, `verdict`, `state` and `event`; gives back what ends that. */
export const on = (name, run) => {
  if (!isPage) return () => {};
  const ear = ({ detail }) => run(detail);
  document.addEventListener(`clickmill:${name}`, ear);
  return () => document.removeEventListener(`clickmill:${name}`, ear);
};

/** The hint that a slot shows now. */
export const hint = (slot = "page") => hints.get(slot);

/** Hears that the hint of some slot is another one; gives back what ends that. */
export const subscribe = (run) => {
  ears.add(run);
  return () => ears.delete(run);
};

/** The arm of an experiment, 0 where it is not known. */
export const variant = (experiment) => {
  const clickmill = api("variant");
  if (clickmill && !clickmill.variant) advise('variant needs plugins: [experiments()] of "clickmill/experiments"');
  return clickmill?.variant?.(experiment) ?? 0;
};

/** Resolves when it is known which experiments run. */
export const variants = async () => {
  await (isPage && window.clickmill?.variants?.());
};

const calls = { init, track, page, consent, identify, reset, flush, visitor, on, hint, variant };

/** Calls by name: `clickmill("track", "search", { query })`. */
export default (name, ...all) => {
  if (Object.hasOwn(calls, name)) return calls[name](...all);
  if (isPage) advise(`there is no command "${name}"; there are ${Object.keys(calls).join(", ")}`);
};
