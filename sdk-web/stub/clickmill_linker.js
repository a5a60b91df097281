// Keeps a visitor the same on all sites of a shop, where the browser shows none of them the storage of
// another. `data-sites="shop.example pay.example"` on its tag names their hosts, on the pages of each; all
// have write keys of one tenant, and a collector below a host of their own.
//
// When somebody is about to follow a link to another of these sites, the collector signs for the visitor
// and this browser, and their visit goes along. Both stand in the address's fragment, which no server
// sees, and are taken out at once. The next page's core waits for what the collector says of them, where
// the visitor may be known and comes from one of these sites. Who is logged in there stays who they are.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_linker.js has to stand behind clickmill.js");
    return;
  }
  const MARK = /[#&]cm_link=/;
  // A link is asked for again after this long, and followed for this long, ms.
  const FRESH = 90000;
  const LASTS = 110000;
  // And after this long where none was given.
  const PAUSE = 10000;
  // A core that came before this script is told what it did not wait for, ms.
  const LATE = 5000;
  const doc = document;
  const list = (text) => text?.split(/[\s,]+/);
  const sites = list((doc.currentScript?.dataset.sites || "").toLowerCase());
  for (const site of sites) {
    if (/[:/]/.test(site)) console.warn(`clickmill: ${site} in data-sites is no host name`);
  }
  const { key, collector } = doc.querySelector("script[data-collector]")?.dataset || {};
  const item = (name) => `cm.${key}.${name}`;
  // Storage may be denied or full.
  const stored = (run) => {
    try {
      return run(localStorage);
    } catch {}
  };
  // What the core keeps under a name.
  const kept = (name) => stored((all) => all[item(name)])?.split("\x1d") || [];

  const ask = (question) => {
    const granted = list(clickmill.consent());
    return fetch(`${collector}/v1/link?k=${encodeURIComponent(key)}`, {
      signal: AbortSignal.timeout?.(2000),
      method: "POST",
      body: JSON.stringify({ ...question, consent: granted && { granted } }),
      credentials: "include",
    })
      .then((reply) => reply.json())
      .then(Object)
      .catch(() => ({}));
  };

  // Whether an address is a page of another of these sites, and no less guarded than this one.
  const leads = ({ protocol, hostname }) =>
    /^https?:$/.test(protocol) &&
    (protocol === "https:" || location.protocol === protocol) &&
    hostname !== location.hostname &&
    sites.includes(hostname);

  // ---- Going ----

  // Of whom a link was asked for last, when it is asked for again, the last that came, and its end.
  let link = {};
  const now = () => performance.now();

  const prepare = async () => {
    const visitor = clickmill.visitor();
    const asked = now();
    if (!visitor || (link.visitor === visitor && asked < link.next)) return;
    // The one before is good until there is another.
    const mine = (link = { ...(link.visitor === visitor && link), visitor, next: asked + FRESH });
    const { link: text } = await ask({ visitor, proof: kept("me")[1] });
    if (text) Object.assign(mine, { text, ends: asked + LASTS });
    else mine.next = now() + PAUSE;
  };

  const linked = ({ target }) => {
    const found = target.closest?.("a[href]");
    return found && leads(found) ? found : undefined;
  };

  for (const name of ["pointerover", "pointerdown", "focusin"]) {
    addEventListener(name, (event) => linked(event) && prepare(), { capture: true, passive: true });
  }
  // Where nothing hovers over a link before it is followed.
  if (matchMedia("(hover: none)").matches) {
    const ready = () => doc.hidden || now() < link.next || ([...doc.links].some(leads) && prepare());
    addEventListener("pageshow", ready);
    doc.addEventListener("clickmill:state", ready);
    setInterval(ready, FRESH);
  }

  // After the page's own ears: it may have other plans.
  const follow = (event) => {
    const found = linked(event);
    const isGood = link.visitor === clickmill.visitor() && now() < link.ends;
    if (!found || event.defaultPrevented || !isGood || /:~:/.test(found.href)) return;
    const { href } = found;
    const text = [link.text, ...kept("visit").slice(0, 3)].join("~");
    found.href = `${href}${/#/.test(href) ? "&" : "#"}cm_link=${text}`;
    const marked = found.href;
    // The next page looks where it was come from.
    found.referrerPolicy ||= "origin";
    // Only this time: it is not for long.
    setTimeout(() => {
      if (found.href === marked) found.href = href;
    });
  };
  for (const name of ["click", "auxclick"]) addEventListener(name, follow);

  // ---- Coming ----

  const parts = location.hash.split(MARK);
  if (!parts[1]) return;
  history.replaceState(history.state, "", location.href.split("#")[0] + parts[0]);
  if (!doc.referrer || !leads(new URL(doc.referrer))) return;

  let isAsked;
  const isAllowed = (site) =>
    (list(clickmill.consent()) || site?.consent?.granted || []).includes("analytics");
  // The core waits for this, and tells what the site says.
  clickmill.link = async (site) => {
    // Who is logged in here, if only on a page that had no core.
    const isSomebody = stored((all) => all[item("out")] ?? all[item("customer")])?.trim();
    if (!isAllowed(site) || isSomebody) return;
    isAsked = true;
    const [link, ...visit] = parts.at(-1).split("~");
    const { identity } = await ask({ link });
    // Who took consent back meanwhile.
    if (!identity || !isAllowed(site)) return;
    const { visitor, token, expires_at } = identity;
    const [before, secret] = kept("me");
    // As the core keeps a visitor. The secret behind this one is the other site's, unless they have
    // been here; whoever comes without the cookie is who the secret says.
    const digits = [...crypto.getRandomValues(new Uint8Array(64))];
    const other = secret || digits.map((byte) => (byte & 15).toString(16)).join("");
    stored((all) => {
      all[item("me")] = [visitor, other, token, expires_at].join("\x1d");
      if (/^[\w-]+,\d+,\d+$/.test(visit) && kept("visit")[0] !== visit[0]) {
        all[item("visit")] = visit.join("\x1d");
      }
      // Open pages begin anew when they hear of another visitor: first who that is, then that nobody
      // is logged in.
      if (before && before !== visitor) {
        all[item("customer")] = all[item("me")];
        all[item("customer")] = "";
      }
    });
    return before !== visitor;
  };
  // A core that was there before.
  setTimeout(async () => {
    if (isAsked || !clickmill.visitor()) return;
    // Where there is a visitor, they may be known.
    if (!(await clickmill.link({ consent: { granted: ["analytics"] } }))) return;
    const [oldValue, newValue] = [stored((all) => all[item("me")]), ""];
    dispatchEvent(new StorageEvent("storage", { key: item("customer"), oldValue, newValue }));
  }, LATE);
})();
