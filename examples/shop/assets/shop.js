// Shows verdicts and hints in the strip, says why something is suggested, and reports the shop's own events and
// who is signed in to the SDK.
//
// Everything here is an addition: without this script, or without the SDK, the pages still work.
(() => {
  "use strict";

  const ROWS_MAX = 20;
  const KEPT_MAX = 40;

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

  // ---- The customer: who is signed in, by the server's word, the SDK says with a proof ----

  const CUSTOMER = "shop.customer";

  // Whoever signs out or in by another name is another visitor, for whom the proof is then signed.
  const introduce = async () => {
    const customer = document.querySelector("[data-customer]")?.dataset.customer || "";
    const before = localStorage.getItem(CUSTOMER) || "";
    if (customer === before) return;
    if (before) window.clickmill.reset();
    localStorage.setItem(CUSTOMER, "");
    if (!customer) return;
    const body = new URLSearchParams({ visitor: window.clickmill.visitor() });
    const answer = await fetch("/proof", { method: "POST", body });
    if (!answer.ok) throw new Error(`the shop proves nothing: ${answer.status}`);
    window.clickmill.identify(customer, await answer.text());
    window.clickmill.flush();
    localStorage.setItem(CUSTOMER, customer);
  };

  // Once the SDK's core is there the visitor has an id. What fails is tried again on the next page.
  const introduceLater = () =>
    setTimeout(() => introduce().catch((error) => console.warn("shop: not identified", error)));

  // ---- Names of products seen in this tab, to say why something is suggested ----

  const rememberName = () => {
    const product = document.querySelector("[data-product]");
    if (!product) return;
    const { product: sku, name } = product.dataset;
    const others = keep.read("names").filter((entry) => entry[0] !== sku);
    keep.write("names", [...others, [sku, name]].slice(-KEPT_MAX));
  };

  const nameOf = (sku) => (keep.read("names").find((entry) => entry[0] === sku) || [])[1];

  // ---- Hints: the SDK shows them in the shelves; here it is said why ----

  const because = ({ detail: { content, why } }) => {
    const { model, inputs = [], support = 0 } = why || {};
    const names = inputs.map(nameOf).filter(Boolean).slice(0, 2).join(" and ");
    const times = (what) => (support > 1 ? ` (${support} ${what})` : "");
    const words = {
      nearest_visits: names && `because you looked at ${names}${times("visits")}`,
      bought_together: names && `often bought with ${names}${times("orders")}`,
      recently_viewed: "you looked at them before",
      category_popular: names ? `looked at most beside ${names}` : "looked at most in this department",
      shop_popular: `looked at most these days${times("looks at the first")}`,
    };
    content.because = words[model];
  };

  const follow = ({ target }) => {
    const link = target.closest?.("clickmill-slot a[data-cm-props]");
    if (!link) return;
    const { sku, hint } = JSON.parse(link.dataset.cmProps);
    if (sku && hint) attribute(sku, hint);
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
    const { id, kind, slot, content, latency_ms: ms } = detail;
    const skus = (content?.items || []).map((item) => item?.sku);
    const row = { kind: "hint", id, at: Date.now(), what: `hint: ${kind}`, ms };
    row.detail = [slot, skus.filter(Boolean).join(", ")].filter(Boolean).join(" ← ");
    // The SDK's slots hear of it after this script.
    setTimeout(() => {
      const isShown = document.querySelector(`clickmill-slot[data-cm-hint="${CSS.escape(id)}"]`);
      note({ ...row, outcome: kind !== "suggest" ? "done" : isShown ? "shown" : "not shown" });
    });
  };

  const openStrip = () => {
    if (!strip) return;
    strip.hidden = false;
    strip.open = keep.read("open")[0] === true;
    strip.addEventListener("toggle", () => keep.write("open", [strip.open]));
    paintStrip();
  };

  document.addEventListener("clickmill:slot", because);
  document.addEventListener("click", follow, true);
  document.addEventListener("clickmill:hint", onHint);
  document.addEventListener("clickmill:verdict", onVerdict);
  document.addEventListener("clickmill:state", introduceLater, { once: true });
  rememberName();
  openStrip();
  withSdk(reportAll);
})();
