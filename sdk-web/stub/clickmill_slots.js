// Places for hints: `<clickmill-slot name="suggested">` with a `<template>` in it shows the hints of
// that slot. Whatever else it holds is the page's own choice, which stands there while there is no
// hint.
//
// A template's element is filled by its `data-cm-text`, `-href`, `-src`, `-alt`, `-title` and
// `-label`: patterns such as `{name}`, with alternatives after a bar (`{url}|/p/{sku}`). `{x:cents}`
// is a price. An element with `data-cm-each="items"` is there once for each of them. What strangers
// wrote becomes text or one of these attributes and nothing else, and addresses are http(s).
//
// A link in a hint tells that it was clicked, a hint that it was seen; both by the hint's id.
(() => {
  // A hint was seen when half of it was there for this long, ms.
  const DWELL = 1000;
  // The snapshot that follows a reset has this long to come, ms.
  const PATIENCE = 1000;
  // The longest wait that a browser's timers know, ms.
  const WAIT_MAX = 2 ** 31 - 1;
  const ITEMS_MAX = 20;
  const ATTRIBUTES = { href: "href", src: "src", alt: "alt", title: "title", label: "aria-label" };
  const doc = document;
  const now = Date.now;

  // ---- Filling a template ----

  const at = (values, path) =>
    path.split(".").reduce((value, name) => (value && Object.hasOwn(value, name) ? value[name] : ""), values);

  const isSafe = (slot, text) => {
    try {
      const { protocol, origin } = new URL(text, doc.baseURI);
      return /^https?:$/.test(protocol) && (!slot.hasAttribute("same-origin") || origin === location.origin);
    } catch {}
  };

  const price = (slot, cents) =>
    new Intl.NumberFormat(slot.closest("[lang]")?.lang || [], {
      style: "currency",
      currency: slot.getAttribute("currency") || "EUR",
      trailingZeroDisplay: "stripIfInteger",
    }).format(cents / 100);

  // The first of a pattern's alternatives that has all it needs.
  const fill = (slot, pattern, values, isUrl) => {
    for (const part of pattern.split("|")) {
      let lacks;
      const text = part.replace(/\{([\w.]+)(:cents)?\}/g, (hole, path, isCents) => {
        const value = at(values, path);
        if (value === "" || !/string|number/.test(typeof value)) lacks = true;
        else if (isCents) return price(slot, value);
        return isUrl && hole !== part ? encodeURIComponent(value) : value;
      });
      if (text && !lacks && (!isUrl || isSafe(slot, text))) return text;
    }
  };

  const bind = (slot, element, values, place) => {
    const { dataset } = element;
    if (dataset.cmEach !== undefined) {
      const items = at(values, dataset.cmEach);
      const most = slot.getAttribute("max") || ITEMS_MAX;
      for (const [position, item] of (Array.isArray(items) ? items.slice(0, most) : []).entries()) {
        const one = element.cloneNode(true);
        delete one.dataset.cmEach;
        one.cmSku = item?.sku;
        bind(slot, one, item, { ...place, position });
        element.before(one);
      }
      return element.remove();
    }
    for (const child of [...element.children]) bind(slot, child, values, place);
    for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
      const pattern = element.getAttribute(`data-cm-${name}`);
      if (pattern === null) continue;
      const text = fill(slot, pattern, values, /href|src/.test(name));
      if (text) element.setAttribute(attribute, text);
      // A picture of nothing.
      else if (name === "src") return element.remove();
    }
    if (dataset.cmText !== undefined) {
      const text = fill(slot, dataset.cmText, values);
      if (text) element.textContent = text;
      else if (!element.textContent) return element.remove();
    }
    const { href } = element;
    if (!href || dataset.cmClick) return;
    const sku = at(values, "sku") || at(values, "product.sku");
    dataset.cmClick = sku ? "product_click" : "click";
    dataset.cmProps = JSON.stringify(
      sku ? { sku, ...place } : { element: "a", href: href.slice(0, 2048), hint: place.hint },
    );
  };

  // ---- Being seen ----

  const track = (type, props) => window.clickmill?.track(type, props);
  // Hints that were told of on this page.
  const told = new Set();
  // By slot, what makes it seen in a moment.
  const looks = new Map();
  const forget = (slot) => {
    clearTimeout(looks.get(slot));
    looks.delete(slot);
  };
  const seen = (slot) => {
    const hint = slot.dataset.cmHint;
    if (!hint || told.has(hint)) return;
    if (track("exposure", { hint, slot: slot.name })) told.add(hint);
  };
  const eye =
    window.IntersectionObserver &&
    new IntersectionObserver(
      (entries) => {
        for (const { target, intersectionRatio, intersectionRect, rootBounds } of entries) {
          // A slot that is higher than the window is seen when it fills half of it.
          const isThere = intersectionRatio >= 0.5 || intersectionRect.height >= rootBounds?.height / 2;
          if (!isThere) forget(target);
          else if (!looks.has(target)) looks.set(target, setTimeout(seen, DWELL, target));
        }
      },
      { threshold: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] },
    );
  // Looking anew makes the observer speak even if the slot was in view already.
  const watch = (slot) => {
    forget(slot);
    eye?.unobserve(slot);
    if (slot.dataset.cmHint) eye?.observe(slot);
  };

  // ---- Slots ----

  // What holds, by slot's name.
  const held = new Map();
  const slots = new Set();
  let status;

  const say = (text) => {
    if (!status) return;
    if (status.textContent !== text) status.textContent = text;
  };

  class Slot extends HTMLElement {
    // What it shows: the hint and its element.
    #hint;
    #shown;
    #waits;

    get name() {
      return this.getAttribute("name") || "page";
    }

    connectedCallback() {
      slots.add(this);
      if (!status) {
        // It has to be there before it says something, and takes no room.
        status = doc.createElement("div");
        status.setAttribute("role", "status");
        status.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
      }
      if (!status.isConnected) doc.body.append(status);
      const height = this.getAttribute("height");
      if (height > 0) Object.assign(this.style, { blockSize: `${height}px`, overflow: "auto" });
      this.change();
    }

    disconnectedCallback() {
      slots.delete(this);
      forget(this);
      eye?.unobserve(this);
    }

    /** Shows what holds now; not while somebody is in the slot, who would lose the place, unless what
     * they are at is no longer true. */
    change(isUntrue) {
      const hint = held.get(this.name);
      if (hint === this.#hint) return watch(this);
      const isIn = this.#hint && this.contains(doc.activeElement);
      if (!isIn || !hint || isUntrue) {
        this.#paint(hint);
        return isIn && this.#take();
      }
      if (this.#waits) return;
      this.#waits = true;
      const left = () =>
        // The focus arrives at its new place after this event.
        setTimeout(() => {
          if (this.contains(doc.activeElement)) return this.addEventListener("focusout", left, { once: true });
          this.#waits = false;
          this.change();
        });
      this.addEventListener("focusout", left, { once: true });
    }

    #paint(hint) {
      this.#shown?.remove();
      this.#hint = hint;
      const shown = (this.#shown = hint && this.#make(hint));
      for (const child of this.children) child.toggleAttribute("data-cm-away", !!shown);
      if (shown) {
        this.append(shown);
        this.dataset.cmHint = hint.id;
      } else delete this.dataset.cmHint;
      watch(this);
    }

    #make(hint) {
      const { id, title } = hint;
      const template = this.querySelector(":scope > template");
      const detail = { ...hint, content: structuredClone(hint.content) };
      const change = { bubbles: true, cancelable: true, detail };
      // The page may have its say, or do it all by itself.
      if (!template || !this.dispatchEvent(new CustomEvent("clickmill:slot", change))) return;
      const body = template.content.cloneNode(true);
      const place = { hint: id, slot: this.name };
      for (const element of [...body.children]) bind(this, element, detail.content, place);
      if (!this.hasAttribute("aria-labelledby")) {
        this.setAttribute("role", "region");
        this.setAttribute("aria-label", title || this.name);
      }
      say(title);
      // In the slot's one cell several elements would lie over each other.
      if (!body.children[1]) return body.firstElementChild;
      const box = doc.createElement("div");
      box.append(body);
      return box;
    }

    // Who was on what is gone is still here.
    #take() {
      this.tabIndex = -1;
      this.focus({ preventScroll: true });
    }

    /** Takes products out of what it shows or, where none are named, the hint. */
    drop(id, gone) {
      if (!gone.size) return (!id || this.#hint?.id === id) && this.change(true);
      for (const one of this.querySelectorAll("*")) {
        if (!gone.has(one.cmSku)) continue;
        const isIn = one.contains(doc.activeElement);
        one.remove();
        if (isIn) this.#take();
      }
    }
  }

  // ---- Hints ----

  const put = (name, hint) => {
    if (hint) held.set(name, hint);
    else held.delete(name);
    slots.forEach((slot) => slot.name === name && slot.change());
  };

  const expire = (name, hint) => {
    const left = hint.expires_at - now();
    if (held.get(name) !== hint) return;
    if (left <= 0) put(name);
    else if (left) setTimeout(expire, Math.min(left, WAIT_MAX), name, hint);
  };

  const show = (name, detail) => {
    const { id, expires_at } = detail;
    let { content } = detail;
    const before = held.get(name);
    // A hint that comes twice changes nothing.
    if (before?.id === id) return (before.isStale = false);
    if (expires_at <= now() || !content || content.items?.length === 0) return;
    const { state, available, product } = content;
    // What is said of one product is a list of one; how many there are has the name of their state.
    if (product) content = { items: [product], [state]: available, ...content };
    const title = fill(doc.documentElement, "{title}|{product.name}", content) || "";
    const hint = { ...detail, content, title };
    put(name, hint);
    expire(name, hint);
  };

  // A withdrawal names products, a hint or a whole slot.
  const withdraw = (name, { content }) => {
    const { hint, id = hint, sku, skus = [], items = [] } = content || {};
    const gone = new Set([sku, ...skus, ...items.map((item) => item?.sku)].filter(Boolean));
    for (const [place, hint] of [...held]) {
      if ((name && place !== name) || (id && hint.id !== id)) continue;
      const all = gone.size && Array.isArray(hint.content.items) ? hint.content.items : [];
      const left = all.filter((item) => !gone.has(item?.sku));
      if (left.length) hint.content = { ...hint.content, items: left };
      else if (all.length || !gone.size) put(place);
    }
    slots.forEach((slot) => (!name || slot.name === name) && slot.drop(id, gone));
  };

  // What comes again with the snapshot was never away.
  const reset = () => {
    held.forEach((hint) => (hint.isStale = true));
    setTimeout(() => held.forEach((hint, name) => hint.isStale && put(name)), PATIENCE);
  };

  const hear = ({ detail }) => {
    const { kind, slot } = detail;
    if (/suggest|promote|stock/.test(kind)) show(slot || "page", detail);
    else if (kind === "withdraw") withdraw(slot, detail);
    else if (kind === "reset") reset();
  };

  if (!window.customElements || customElements.get("clickmill-slot")) return;
  // The page's own choice and a hint lie in one place, and what is away keeps its room. A page's own
  // styles come before these.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(
    ":where(clickmill-slot){display:grid}:where(clickmill-slot>*){grid-area:1/1;min-width:0}" +
      "clickmill-slot>[data-cm-away]{visibility:hidden!important}",
  );
  doc.adoptedStyleSheets = [...doc.adoptedStyleSheets, sheet];
  doc.addEventListener("clickmill:hint", hear);
  doc.addEventListener("visibilitychange", () => slots.forEach(doc.hidden ? forget : watch));
  customElements.define("clickmill-slot", Slot);
})();
