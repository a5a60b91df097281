// The page's eyes and hands: sees page views and clicks from the first tick, dispatches DOM events,
// posts bodies. The core, loaded when the page is idle, is its memory and judgement; where the core
// is refused or late, `clickmill_alone.js` beside it takes its place.
//
// Who sends an event: the stub mints its id the moment it happens, and holds it. The core or its
// stand-in takes over all that is still held when it comes. When the page goes away before that, or
// nobody can come, the stub writes what it holds into letters and sends those. Whoever has begun to
// send an event keeps it. A letter lies in storage, where that is allowed, until its fate is known;
// whoever comes first, on this page or the next, sends it again.
//
// What it tells by itself can be switched off: `data-off="page,click"`. With `data-consent="pending"`
// all of it is held in memory, and nothing is loaded, sent or stored, until `consent` says more.
(() => {
  const PATIENCE = 4000;
  const doc = document;
  const script = doc.querySelector("script[data-collector]");
  if (!script || window.clickmill) return;
  const { dataset } = script;
  const { key, collector, core: source, off } = dataset;
  const address = (path) => `${collector}/v1/${path}?k=${key}`;
  // What names in storage begin with; those of letters go on with a 0.
  const prefix = `cm.${key}.`;
  const json = JSON.stringify;
  const now = Date.now;
  // The object that a text may hold.
  const read = (text) => {
    try {
      return { ...JSON.parse(text) };
    } catch {
      return {};
    }
  };

  // What takes events: the core, or what sends alone in its place.
  let core;
  // Whether that was asked for, whether the page went away, and whether letters are under way.
  let asked = 0;
  let away;
  let busy;
  let granted = dataset.consent;
  let pending = granted === "pending";
  // Circumstances of what happens now, as JSON.
  let facts;
  // Events that nobody has begun to send, and letters by their names in storage.
  const held = [];
  const own = {};

  // A version 7 UUID: the time, then 72 random bits around the marks of version and variant.
  const mint = () => {
    let hex = 0 + now().toString(16);
    for (const byte of crypto.getRandomValues(new Uint8Array(18))) hex += (byte & 15).toString(16);
    return hex.replace(/(.{8})(....)(...)(...)/, "$1-$2-7$3-a$4-");
  };

  const emit = (name, detail) =>
    doc.dispatchEvent(new CustomEvent(`clickmill:${name}`, { detail, cancelable: true }));

  // The status of an answer, its text and the wait that it asks for. A body that is text makes a
  // request which browsers send without asking first.
  const post = (body, keepalive) =>
    fetch(address("events"), {
      signal: AbortSignal.timeout?.(30000),
      method: "POST",
      body,
      keepalive,
      credentials: "include",
    })
      .then(async (reply) => [reply.status, await reply.text(), reply.headers.get("retry-after")])
      .catch(() => [0]);

  const copy = (body) => navigator.sendBeacon(address("events"), body);

  // ---- Taking ----

  // Calls the core, which gives nothing back; whether it is there and did it. A core that fails is
  // given up; what it had stored is the next page's.
  const tell = (what, value) => {
    try {
      return core && !away && !core[what](value);
    } catch (error) {
      core = undefined;
      goOn(error);
    }
  };

  // The core, or what stands in for it.
  const enter = (source) =>
    import(source)
      .then((module) => module.default(host))
      .then((next) => {
        core = next;
        held.splice(0).forEach(give);
      });

  const goOn = (error) => {
    if (error) console.warn("clickmill:", error);
    if (asked++) sendAlone();
    else enter((source || script.src).replace(/[^/]*$/, "clickmill_alone.js")).catch(sendAlone);
  };

  const give = (event) => {
    if (tell("track", event)) return;
    // Where more is held, the stub begins to send or, where that may not be, to refuse.
    if (held.push(event) > 500 || away) send();
  };

  const take = (type, props, shown) => {
    if (pending && held[500]) return;
    const at = now();
    const id = mint();
    // The id of a page view is that of the event which reports it.
    if (type === "page_view") look(id);
    const event = { id, type, at, props, facts: shown || facts };
    // Whoever listens may change it, or prevent it.
    if (!emit("event", event)) return;
    event.props = json({ ...event.props });
    give(event);
    return id;
  };

  const campaign = () => {
    const marks = new URLSearchParams(location.search);
    let found;
    for (const mark of ["source", "medium", "name", "term", "content"]) {
      const value = marks.get("utm_" + mark.replace("name", "campaign"));
      if (value) found = { ...found, [mark]: value };
    }
    return found;
  };

  const look = (page_view) => {
    facts = json({
      page_view,
      page: { url: location.href.split("#")[0], title: doc.title },
      referrer: doc.referrer || undefined,
      campaign: campaign(),
      screen: {
        width: screen.width,
        height: screen.height,
        view_width: innerWidth,
        view_height: innerHeight,
      },
      locale: navigator.language,
      time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    });
  };

  const page = (props, navigation) => {
    return take("page_view", {
      kind: doc.querySelector("[data-page-kind]")?.dataset.pageKind,
      navigation,
      ...props,
    });
  };

  // Texts are never read: they may be somebody's.
  const clicked = ({ target }) => {
    const marked = target.closest?.("[data-cm-click]");
    if (marked) {
      take(marked.dataset.cmClick, read(marked.dataset.cmProps));
      return;
    }
    const found = target.closest?.("a[href],button,[role=button],input[type=submit]");
    if (found && !/\bclick\b/.test(off) && !found.closest("[data-cm-private]")) {
      take("click", {
        element: found.localName,
        id: found.id.slice(0, 128) || undefined,
        // What stands in a query is often somebody's.
        href: /^http/.test(found.href)
          ? (found.origin + found.pathname).slice(0, 2048)
          : undefined,
      });
    }
  };

  // ---- Letters ----

  const books = { created: 0, settled: 0, dropped_full: 0, dropped_consent: 0, since: now() };
  const queue = mint();

  // What the visitor has granted, and words that grant nothing; none where nobody has said.
  const purposes = () => granted?.split(/[\s,]+/);

  // Some browsers throw on the mere look at a storage that they deny. Where nobody has said what is
  // granted, there is a visit only where the core was allowed to store one. Who has refused is
  // forgotten, and taken out of what is still to be sent; only that they did is told as theirs.
  // Once for each time that they say so: what another tab stores later, they have allowed there.
  let told = granted != null && !pending;
  const stored = (run) => {
    try {
      const all = localStorage;
      if (purposes()?.includes("analytics") ?? prefix + "visit" in all) return run(all);
      if (told) {
        told = 0;
        const visitor = all[`${prefix}me`]?.split("\x1d")[0];
        for (const name in all) if (name.startsWith(prefix)) delete all[name];
        for (const name in own) {
          if (/"visitor":"[^"]+","p/.test(own[name])) settle(name, "dropped_consent");
        }
        if (visitor) take("consent", { granted: [] }, json({ visitor }));
      }
    } catch {}
  };

  const visitor = () => stored((all) => all[`${prefix}me`]?.split("\x1d")[0]);

  // Says to the next core which customer is next, or nobody. Whose the browser was is another visitor:
  // until that core makes one there is none.
  const change = (next) =>
    stored((all) => {
      const was = all[`${prefix}out`] ?? all[`${prefix}customer`];
      if (next && next === was) return;
      if (was || !next) delete all[`${prefix}me`];
      all[`${prefix}out`] = next;
    });

  // An event as it travels, with its place in the queue. Whose it is: by the time it is sent again,
  // the browser may be somebody else's.
  const begin = ({ facts, props, ...event }) => {
    const { customer } = (props = read(props));
    if (event.type === "identify" && customer?.match?.(/^[ -~]{1,128}$/)) change(customer);
    const granted = purposes();
    const consent = granted && { granted, gpc: navigator.globalPrivacyControl };
    const context = { visitor: visitor(), ...read(facts), consent };
    if (event.type === "logout") change("");
    return { ...event, queue, seq: books.created++, props, context };
  };

  // A letter's fate is known.
  const settle = (name, how) => {
    books[how] += read(own[name]).events?.length || 0;
    delete own[name];
    stored((all) => delete all[name]);
  };

  // Writes what is held into letters and sends them, unless that is done with a better ear.
  const send = (isQuiet) => {
    while (held[0] && !pending) {
      // Half of a letter, of up to three bytes each: what is on its way when a page ends may have 64 KiB.
      const events = [];
      while (held[0] && json(events).length < 1e4) events.push(begin(held.shift()));
      const name = prefix + mint();
      const text = json({
        sent_at: now(),
        context: { sdk: { name: "web-stub", version: "0.1.0", books } },
        events,
      });
      own[name] = text;
      // A page's letters have this length at the most, and so many names of ours lie in storage.
      if (json(own).length > 1000000) settle(name, "dropped_full");
      else {
        stored((all) => json(all).split(prefix)[50] || (all[name] = text));
        isQuiet || copy(text) || post(text);
      }
    }
  };

  // Where nobody can come who does it better: a letter is sent until there is a count of what was
  // accepted, and nothing that is to be sent again.
  const sendAlone = async () => {
    if (core || busy) return;
    busy = 1;
    send(true);
    for (const name in own) {
      const text = own[name];
      const [status, answer] = await post(text.replace(/\d+/, now()), text.length < 2e4);
      if (status < 300 && /^{"accepted":\d(?!.*"retry")/.test(answer)) settle(name, "settled");
    }
    busy = 0;
    setTimeout(sendAlone, 1e4 * Math.random());
  };

  // ---- Beginning ----

  const host = {
    ...dataset,
    gpc: navigator.globalPrivacyControl,
    post,
    copy,
    emit,
    tell,
    address,
    own,
    books,
    begin,
    stored,
    purposes,
  };

  addEventListener("click", clicked, true);
  addEventListener("visibilitychange", () => {
    if (doc.hidden) tell("hidden") || send();
  });
  // What happens while the page goes away is sent by this script: the core's queue is the next
  // page's already.
  addEventListener("pagehide", () => {
    tell("gone");
    away = 1;
    send();
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    away = 0;
    tell("back");
    view("restore");
  });

  window.clickmill = {
    track: (type, props) => take(type, props),
    page: (props) => page(props, "route"),
    identify: (customer, proof) => take("identify", { customer, proof }),
    reset: () => take("logout"),
    on: (name, run) => doc.addEventListener(`clickmill:${name}`, ({ detail }) => run(detail)),
    flush: () => tell("flush") || send(),
    visitor,
    consent: (purposes) => {
      if (purposes != null) {
        granted = `${purposes}`;
        told = 1;
        pending = pending && !doc.prerendering && load();
        tell("consent");
      }
      visitor();
      return granted;
    },
  };

  const view = (navigation) => /\bpage\b/.test(off) || page(0, navigation);

  const load = () => {
    if (source) {
      const join = () => enter(source).catch(goOn);
      (window.requestIdleCallback || setTimeout)(join, { timeout: 2000 });
    }
    setTimeout(() => core || goOn(), source && PATIENCE);
  };

  const start = () => {
    if (doc.readyState === "loading") addEventListener("DOMContentLoaded", () => view("load"));
    else view("load");
    pending || load();
  };

  look();
  // A page that is made ready in advance may never be seen.
  if (doc.prerendering) doc.addEventListener("prerenderingchange", start);
  else start();
})();
