// What happens on a page by itself: routes inside it, links that lead out, downloads, forms, what
// comes into view and for how long, how far down and how long a page was read. Stands behind the
// stub and goes through it, so consent, identity and delivery are the stub's and the core's.
//
// Each part can be switched off: `data-off="route,link,form,view,engagement"`. Of a form its name and
// its fields' names are told, of a link its address; no text and nothing that anybody typed is read.
(() => {
  // A pause of this length ends an engagement, ms.
  const PAUSE = 10000;
  // An element was seen when half of it was there for this long, ms.
  const DWELL = 1000;
  const NAME_MAX = 128;
  const FILES =
    /\.(7z|avi|csv|dmg|docx?|epub|exe|gz|iso|jar|mov|mp[34]|msi|ods|odt|pdf|pkg|pptx?|rar|tar|tgz|txt|wav|xlsx?|zip)$/i;
  const doc = document;
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_auto.js has to stand behind clickmill.js");
    return;
  }
  const off = (doc.currentScript?.dataset.off || "").split(/[\s,]+/);
  const on = (part) => !off.includes(part);
  const { track } = clickmill;
  // For spans: this clock never jumps.
  const now = () => Math.round(performance.now());
  const cut = (text) => text?.slice(0, NAME_MAX) || undefined;
  const hear = (target, names, run) => {
    // Before the stub's own ear, so that what ends with the page is still this page's.
    for (const name of names.split(" ")) {
      target.addEventListener(name, run, { capture: true, passive: true });
    }
  };
  // What is to be told before the page is left or goes out of sight.
  const endings = [];
  const end = (isLeft) => endings.forEach((run) => run(isLeft));

  // ---- Routes ----

  const place = () => location.pathname + location.search;
  let shown = place();
  const moved = (isReplaced) => {
    const path = shown.split("?")[0];
    // A script that only tidies up its address leads nowhere.
    if (shown === place() || (isReplaced && path === location.pathname)) {
      shown = place();
      return;
    }
    end(true);
    shown = place();
    // Those who set the address mostly set the title next.
    setTimeout(clickmill.page);
  };

  if (on("route")) {
    if (window.navigation) {
      navigation.addEventListener("currententrychange", ({ navigationType }) =>
        moved(navigationType === "replace"),
      );
    } else {
      for (const name of ["pushState", "replaceState"]) {
        const change = history[name];
        history[name] = function (...all) {
          change.apply(this, all);
          moved(name === "replaceState");
        };
      }
      hear(window, "popstate", () => moved());
    }
  }

  // ---- Links ----

  const follow = ({ target, button }) => {
    const link = target.closest?.("a[href],area[href]");
    if (!link || link.closest("[data-cm-private]") || button > 1 || !/^https?:$/.test(link.protocol)) return;
    const { host, origin, pathname } = link;
    const isFile = link.hasAttribute("download") || FILES.test(pathname);
    // What stands in a query is often somebody's.
    const href = (origin + pathname).slice(0, 2048);
    if (isFile) track("file_download", { href, name: cut(pathname.split("/").pop()) });
    else if (host !== location.host) track("outbound_click", { href, host: cut(host) });
  };
  if (on("link")) hear(doc, "click auxclick", follow);

  // ---- Forms ----

  const forms = new Map();
  // A form's own fields may be called `id` or `name`, so its attributes are asked.
  const named = (element) => cut(element.getAttribute("id") || element.getAttribute("name"));

  const fill = ({ target }) => {
    const { form } = target;
    if (!form || target.type === "hidden" || form.closest("[data-cm-private]")) return;
    if (!forms.has(form)) {
      forms.set(form, { since: now() });
      track("form_start", { form: named(form), field: named(target) });
    }
    forms.get(form).field = named(target);
  };
  const submit = ({ target }) => {
    if (target.closest("[data-cm-private]")) return;
    forms.delete(target);
    track("form_submit", { form: named(target) });
  };
  const abandon = (isLeft) => {
    if (!isLeft) return;
    forms.forEach(({ field, since }, form) =>
      track("form_abandon", { form: named(form), field, after_ms: now() - since }),
    );
    forms.clear();
  };
  if (on("form")) {
    hear(doc, "change input", fill);
    hear(doc, "submit", submit);
    endings.push(abandon);
  }

  // ---- What comes into view ----

  // By element: since when it is seen, or that it was told.
  const seen = new Map();
  const look = (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) lost(target);
      else if (!seen.has(target)) seen.set(target, now());
    }
  };
  const lost = (element) => {
    const dwell_ms = now() - seen.get(element);
    // What was told, or not seen, is no number here.
    if (dwell_ms >= DWELL) {
      let props;
      try {
        props = JSON.parse(element.dataset.cmProps);
      } catch {}
      track("element_view", { ...props, element: cut(element.dataset.cmView), dwell_ms });
      seen.set(element);
    } else if (seen.get(element)) seen.delete(element);
  };
  if (on("view") && window.IntersectionObserver) {
    const eye = new IntersectionObserver(look, { threshold: 0.5 });
    const find = () => doc.querySelectorAll("[data-cm-view]").forEach((one) => eye.observe(one));
    let due;
    new MutationObserver(() => {
      due ||= setTimeout(() => {
        due = 0;
        find();
      }, 250);
    }).observe(doc, { childList: true, subtree: true });
    find();
    endings.push((isLeft) => {
      [...seen.keys()].forEach(lost);
      if (isLeft) seen.clear();
    });
    // What is in view when the page is back in sight is seen anew.
    hear(doc, "visibilitychange", () => {
      if (doc.hidden) return;
      eye.disconnect();
      find();
    });
  }

  // ---- Engagement ----

  let engaged = 0;
  let told = 0;
  let last = 0;
  let depth = 0;
  const stir = () => {
    const at = now();
    engaged += Math.max(0, Math.min(at - last, last && PAUSE));
    last = at;
  };
  const scrolled = () => {
    const { scrollHeight } = doc.documentElement;
    depth = Math.max(depth, Math.min(100, Math.round(((scrollY + innerHeight) / scrollHeight) * 100)));
  };
  const read = (isLeft) => {
    if (last) stir();
    last = 0;
    if (engaged > told) {
      track("engagement", { engaged_ms: engaged - told, scroll_percent: depth || undefined });
      told = engaged;
    }
    if (isLeft) engaged = told = depth = 0;
  };
  if (on("engagement")) {
    hear(doc, "keydown pointerdown pointermove scroll", stir);
    // The layout is done when a frame begins, so asking for it forces none.
    hear(doc, "scroll", () => requestAnimationFrame(scrolled));
    requestAnimationFrame(scrolled);
    endings.push(read);
  }

  hear(window, "visibilitychange", () => doc.hidden && end());
  hear(window, "pagehide", () => end(true));
})();
