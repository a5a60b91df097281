// Shows hints in the slots and verdicts in the strip, and reports the shop's own events to the SDK.
//
// Everything here is an addition: without this script, or without the SDK, the pages still work.
(() => {
  "use strict";

  const ROWS_MAX = 20;
  const ITEMS_MAX = 4;
  const KEPT_MAX = 40;
  const TIMER_MS_MAX = 2 ** 31 - 1;

  // What outlives a page, for as long as the tab is open. A browser may refuse to keep anything.
  const keep = {
    read(name) {
      try {
        const value = JSON.parse(sessionStorage.getItem(`shop.${name}`));
        return Array.isArray(value) ? value : [];
      } catch {
        return [];
      }
    },
    write(name, list) {
      try {
        sessionStorage.setItem(`shop.${name}`, JSON.stringify(list));
      } catch {
        // Full or forbidden: the strip then starts afresh on each page.
      }
    },
  };

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // ---- Which hint led to a product: later events about it name the hint ----

  const attribute = (sku, hint) => {
    const others = keep.read("hints").filter((entry) => entry[0] !== sku);
    keep.write("hints", [...others, [sku, hint]].slice(-KEPT_MAX));
  };

  const attributed = (type, props) => {
    if (type !== "product_view" && type !== "basket_add") return props;
    const entry = keep.read("hints").find(([sku]) => sku === props.sku);
    return entry ? { ...props, hint: entry[1] } : props;
  };

  // ---- Reports: what the page says has happened goes to the SDK, once ----

  const reportAll = () => {
    const done = keep.read("reported");
    for (const mark of document.querySelectorAll("[data-report]")) {
      const once = mark.dataset.once;
      if (once && done.includes(once)) continue;
      try {
        const type = mark.dataset.report;
        window.clickmill.track(type, attributed(type, JSON.parse(mark.dataset.props)));
      } catch (error) {
        console.warn("shop: not reported", mark.dataset.report, error);
        continue;
      }
      if (once) done.push(once);
    }
    keep.write("reported", done.slice(-KEPT_MAX));
  };

  const withSdk = (run) => {
    if (window.clickmill) return run();
    const script = document.querySelector("script[data-collector]");
    if (script) script.addEventListener("load", () => window.clickmill && run(), { once: true });
  };

  // ---- Names of products seen in this tab, to say why something is suggested ----

  const rememberName = () => {
    const product = document.querySelector("[data-product]");
    if (!product) return;
    const { product: sku, name } = product.dataset;
    const others = keep.read("names").filter((entry) => entry[0] !== sku);
    keep.write("names", [...others, [sku, name]].slice(-KEPT_MAX));
  };

  const nameOf = (sku) => (keep.read("names").find((entry) => entry[0] === sku) || [])[1];

  // ---- Slots ----

  // Per slot: the hint it shows, or none. A hint that comes twice changes nothing.
  const shown = new Map();
  const waiting = new Map();
  let epoch = 0;

  const slotOf = (name) => document.querySelector(`[data-cm-slot="${CSS.escape(name || "suggested")}"]`);

  const own = (path) => (typeof path === "string" && /^\/(?![/\\])/.test(path) ? path : null);

  const price = (slot, cents) => {
    const currency = slot.dataset.currency || "GBP";
    const minimumFractionDigits = cents % 100 ? 2 : 0;
    const format = new Intl.NumberFormat("en-GB", { style: "currency", currency, minimumFractionDigits });
    return format.format(cents / 100);
  };

  const card = (slot, hint, [position, item]) => {
    const url = own(item.url) || `/p/${encodeURIComponent(item.sku)}`;
    const image = own(item.image) || `/img/${encodeURIComponent(item.sku)}.svg`;
    const picture = Object.assign(make("img"), { src: image, alt: "", width: 400, height: 400 });
    const tile = make("div", "tile");
    tile.append(picture);
    const link = Object.assign(make("a", "", item.name || item.sku), { href: url });
    link.dataset.cmClick = "product_click";
    link.dataset.cmProps = JSON.stringify({ sku: item.sku, hint: hint.id, slot: slot.dataset.cmSlot, position });
    link.addEventListener("click", () => attribute(item.sku, hint.id));
    const name = make("p", "card-name");
    name.append(link);
    const words = make("div", "card-words");
    words.append(name);
    if (Number.isFinite(item.price_cents)) words.append(make("p", "price", price(slot, item.price_cents)));
    const entry = make("li", "card small");
    entry.dataset.sku = item.sku;
    entry.append(tile, words);
    return entry;
  };

  const because = (hint) => {
    const inputs = (hint.why && hint.why.inputs) || [];
    const names = inputs.map(nameOf).filter(Boolean).slice(0, 2);
    return names.length ? `because you looked at ${names.join(" and ")}` : "";
  };

  const announce = (text) => {
    const place = document.querySelector("[data-announce]");
    if (place && place.textContent !== text) place.textContent = text;
  };

  // The slot and the shop's own choice lie in the same place: one is there, the other is not.
  const exchange = (slot, filled) => {
    const standing = slot.closest("[data-shelf]")?.querySelector("[data-standing]");
    slot.hidden = !filled;
    if (standing) standing.hidden = filled;
  };

  const paint = (slot, hint) => {
    const list = slot.querySelector("[data-slot-items]");
    list.replaceChildren(...[...hint.items.entries()].map((entry) => card(slot, hint, entry)));
    slot.querySelector("[data-slot-title]").textContent = hint.title;
    slot.querySelector("[data-slot-why]").textContent = because(hint);
    slot.dataset.hint = hint.id;
    exchange(slot, true);
    watch(slot);
  };

  // A hint counts as seen once half of its slot is in view; each is told of once.
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        const hint = target.dataset.hint;
        const told = keep.read("told");
        if (!isIntersecting || !hint || told.includes(hint) || !window.clickmill) continue;
        keep.write("told", [...told, hint].slice(-KEPT_MAX));
        window.clickmill.track("exposure", { hint, slot: target.dataset.cmSlot });
      }
    },
    { threshold: 0.5 },
  );

  const watch = (slot) => {
    // Looking anew makes the observer speak even if the slot was in view already.
    seen.unobserve(slot);
    seen.observe(slot);
  };

  const empty = (slot) => {
    const held = slot.contains(document.activeElement);
    slot.querySelector("[data-slot-items]").replaceChildren();
    delete slot.dataset.hint;
    exchange(slot, false);
    if (held) document.querySelector("main").focus();
  };

  // Nobody loses the link they are on: a new hint waits until the focus has left the shelf.
  const show = (slot, hint) => {
    const shelf = slot.closest("[data-shelf]") || slot;
    if (!shelf.contains(document.activeElement)) {
      paint(slot, hint);
      announce(`${hint.title}: ${hint.items.length} ${hint.items.length === 1 ? "product" : "products"}`);
      return;
    }
    const first = !waiting.has(slot);
    waiting.set(slot, hint);
    if (!first) return;
    const left = () => {
      // The focus arrives at its new place after this event.
      setTimeout(() => {
        if (shelf.contains(document.activeElement)) return;
        shelf.removeEventListener("focusout", left);
        const last = waiting.get(slot);
        waiting.delete(slot);
        if (last && shown.get(slot) === last) show(slot, last);
      });
    };
    shelf.addEventListener("focusout", left);
  };

  const forget = (slot) => {
    shown.delete(slot);
    waiting.delete(slot);
    empty(slot);
  };

  const expire = (slot, hint) => {
    const left = hint.expires_at - Date.now();
    if (left > TIMER_MS_MAX) return;
    setTimeout(() => shown.get(slot) === hint && forget(slot), Math.max(0, left));
  };

  const suggest = (detail) => {
    const slot = slotOf(detail.slot);
    const content = detail.content || {};
    const items = (Array.isArray(content.items) ? content.items : [])
      .filter((item) => item && typeof item.sku === "string")
      .slice(0, ITEMS_MAX);
    if (!slot || !items.length) return "no place";
    const before = shown.get(slot);
    if (before && before.id === detail.id) return "shown before";
    if (detail.expires_at && detail.expires_at <= Date.now()) return "expired";
    const hint = {
      id: detail.id,
      items,
      title: content.title || "Suggested for you",
      why: detail.why,
      expires_at: detail.expires_at,
    };
    shown.set(slot, hint);
    show(slot, hint);
    if (hint.expires_at) expire(slot, hint);
    return "shown";
  };

  // A withdrawal names products, a hint, or a whole slot; whatever it names leaves at once.
  const withdraw = (detail) => {
    const content = detail.content || {};
    const skus = new Set(
      [content.sku, ...(content.skus || []), ...(content.items || []).map((item) => item && item.sku)].filter(Boolean),
    );
    const hint = content.hint || content.id;
    const named = detail.slot ? slotOf(detail.slot) : null;
    for (const [slot, held] of [...shown]) {
      if (named && slot !== named) continue;
      if (hint && held.id !== hint) continue;
      const items = skus.size ? held.items.filter((item) => !skus.has(item.sku)) : [];
      if (items.length === held.items.length) continue;
      if (!items.length) {
        forget(slot);
        continue;
      }
      held.items = items;
      const focused = slot.contains(document.activeElement);
      for (const entry of slot.querySelectorAll("[data-sku]")) {
        if (skus.has(entry.dataset.sku)) entry.remove();
      }
      if (focused && !slot.contains(document.activeElement)) slot.querySelector("[data-slot-title]").focus();
    }
    return "withdrawn";
  };

  const reset = () => {
    for (const slot of [...shown.keys()]) forget(slot);
    return "reset";
  };

  const apply = (detail) => {
    if (Number.isFinite(detail.epoch)) {
      if (detail.epoch < epoch) return "outdated";
      epoch = detail.epoch;
    }
    switch (detail.kind) {
      case "suggest":
        return suggest(detail);
      case "withdraw":
        return withdraw(detail);
      case "reset":
        return reset();
      default:
        return "passed over";
    }
  };

  // ---- The strip ----

  const strip = document.querySelector("[data-strip]");
  const rows = keep.read("rows");

  const time = (at) => new Date(at).toTimeString().slice(0, 8);

  const rowElement = (row) => {
    const line = make("tr");
    const outcome = make("td");
    outcome.append(make("span", `outcome outcome-${row.outcome.replace(/[^a-z]/g, "-")}`, row.outcome));
    line.append(
      make("td", "", time(row.at)),
      make("td", "", row.what),
      outcome,
      make("td", "", row.detail || ""),
      make("td", "number", Number.isFinite(row.ms) ? String(Math.round(row.ms)) : "–"),
    );
    return line;
  };

  const sum = () => {
    const events = rows.filter((row) => row.kind === "event");
    // A duplicate is durable too: its first copy's answer was lost with the page that waited for it.
    const durable = ["accepted", "duplicate"];
    const accepted = events.filter((row) => durable.includes(row.outcome)).length;
    const hints = rows.filter((row) => row.kind === "hint" && row.outcome === "shown");
    const timed = hints.filter((row) => Number.isFinite(row.ms));
    const parts = [`${accepted} of ${events.length} events accepted`];
    if (hints.length) parts.push(`${hints.length} ${hints.length === 1 ? "hint" : "hints"}`);
    if (timed.length) parts.push(`last hint after ${Math.round(timed.at(-1).ms)} ms`);
    return parts.join(" · ");
  };

  const paintStrip = () => {
    if (!strip) return;
    strip.querySelector("[data-strip-rows]").replaceChildren(...rows.map(rowElement).reverse());
    if (rows.length) strip.querySelector("[data-strip-sum]").textContent = sum();
  };

  const note = (row) => {
    const known = rows.findIndex((have) => have.id === row.id && have.kind === row.kind);
    // The verdict on an event that was tried again replaces the one before.
    if (known >= 0 && row.kind === "event") rows.splice(known, 1);
    rows.push(row);
    rows.splice(0, Math.max(0, rows.length - ROWS_MAX));
    keep.write("rows", rows);
    paintStrip();
  };

  const onVerdict = ({ detail }) => {
    if (!detail) return;
    note({
      kind: "event",
      id: detail.id,
      at: Date.now(),
      what: detail.type || "event",
      outcome: detail.outcome || "unknown",
      detail: detail.reason,
      ms: detail.latency_ms,
    });
  };

  const onHint = ({ detail }) => {
    if (!detail) return;
    const outcome = apply(detail);
    const skus = ((detail.content && detail.content.items) || []).map((item) => item && item.sku);
    note({
      kind: "hint",
      id: detail.id,
      at: Date.now(),
      what: `hint: ${detail.kind}`,
      outcome,
      detail: [detail.slot, skus.filter(Boolean).join(", ")].filter(Boolean).join(" ← "),
      ms: detail.latency_ms,
    });
  };

  const openStrip = () => {
    if (!strip) return;
    strip.hidden = false;
    strip.open = keep.read("open")[0] === true;
    strip.addEventListener("toggle", () => keep.write("open", [strip.open]));
    paintStrip();
  };

  document.addEventListener("clickmill:hint", onHint);
  document.addEventListener("clickmill:verdict", onVerdict);
  rememberName();
  openStrip();
  withSdk(reportAll);
})();
