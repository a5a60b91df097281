// The page's eyes and hands: sees page views and clicks from the first tick, posts batches,
// dispatches DOM events. The core, loaded when the page is idle, is its memory and judgement;
// where the core is refused, this script goes on alone.
//
// Who sends an event: the stub mints its id the moment it happens, and holds it. When the core
// comes, it takes over all that is still held. When the page goes away before that, when the core
// cannot come or is not there after PATIENCE, the stub begins to send what it holds. Whoever has
// begun to send an event keeps it, so no event is sent by both.
(() => {
  const PATIENCE = 4000;
  const HELD_MAX = 500;
  const BATCH_MAX = 50;
  const doc = document;
  const script = doc.currentScript || doc.querySelector("script[data-collector]");
  if (!script || window.clickmill) return;
  const { key, collector, hints, core: source, consent } = script.dataset;
  const query = `?k=${encodeURIComponent(key)}`;
  const url = `${collector}/v1/events${query}`;
  const gpc = !!navigator.globalPrivacyControl;
  const json = JSON.stringify;
  const now = Date.now;

  let core;
  // The core of a page that went away and may come back.
  let asleep;
  let alone;
  // Whether the page went away.
  let away;
  let granted = consent;
  // Circumstances of what happens now, as JSON, and those that the core was told last.
  let facts;
  let told;
  // Events that nobody has begun to send, and those that this script sends; of the latter the
  // first `flying` are on their way.
  let held = [];
  let own = [];
  let flying = 0;

  const within = (wait) => AbortSignal.timeout?.(wait);
  const random = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));

  // A version 7 UUID: the time, then 72 random bits around the marks of version and variant.
  const mint = (at) => {
    let hex = at.toString(16).padStart(12, 0);
    for (const byte of random(10)) hex += (byte + 256).toString(16).slice(1);
    return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})/, "$1-$2-7$3-a$4-");
  };

  const emit = (name, detail) =>
    doc.dispatchEvent(new CustomEvent(`clickmill:${name}`, { detail, cancelable: true }));

  // A body that is text makes a request which browsers send without asking first.
  const post = (body, keepalive) =>
    fetch(url, {
      method: "POST",
      body,
      keepalive,
      credentials: "include",
      signal: within(30000),
    })
      .then(async (reply) => [reply.status, reply.headers.get("retry-after"), await reply.text()])
      .catch(() => [0]);

  const copy = (body) => navigator.sendBeacon(url, body);

  // ---- Taking ----

  // A core that fails is given up; what it had stored is the next page's.
  const tell = (run) => {
    try {
      run(core);
    } catch (error) {
      core = undefined;
      goOn(error);
      return true;
    }
  };

  const goOn = (error) => {
    if (error) console.warn("clickmill:", error);
    alone = true;
    send();
  };

  const give = (event) => {
    const { id, type, at, props, facts } = event;
    const failed = tell(() => {
      if (told !== facts) core.page((told = facts));
      core.track(id, type, at, props);
    });
    if (failed) hold(event);
  };

  const hold = (event) => {
    if (held.push(event) > HELD_MAX) {
      held.shift();
      books.dropped_full++;
      books.created++;
    }
    if (alone) send();
  };

  const take = (type, props, at = now(), id = mint(at)) => {
    const event = { id, type, at, props, facts };
    // Whoever listens may change it, or prevent it.
    if (!emit("event", event)) return;
    event.props = json(event.props || {});
    (core ? give : hold)(event);
    return id;
  };

  const campaign = () => {
    const marks = new URLSearchParams(location.search);
    let found;
    for (const mark of ["source", "medium", "campaign", "term", "content"]) {
      const value = marks.get(`utm_${mark}`);
      if (value) found = { ...found, [mark === "campaign" ? "name" : mark]: value };
    }
    return found;
  };

  const look = (page_view) => {
    const { width, height } = screen;
    facts = json({
      page_view,
      page: { url: location.href.split("#")[0], title: doc.title },
      referrer: doc.referrer || undefined,
      campaign: campaign(),
      screen: { width, height, view_width: innerWidth, view_height: innerHeight },
      locale: navigator.language,
      time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    });
  };

  const page = (props, navigation) => {
    const at = now();
    const id = mint(at);
    look(id);
    const kind = doc.querySelector("[data-page-kind]")?.dataset.pageKind;
    return take("page_view", { kind, navigation, ...props }, at, id);
  };

  // Texts are never read: they may be somebody's.
  const clicked = ({ target }) => {
    const marked = target.closest?.("[data-cm-click]");
    if (marked) {
      let props;
      try {
        props = JSON.parse(marked.dataset.cmProps);
      } catch {}
      take(marked.dataset.cmClick, props);
      return;
    }
    const found = target.closest?.("a[href],button,[role=button],input[type=submit]");
    if (found) {
      const { localName, id, href } = found;
      take("click", {
        element: localName,
        id: id.slice(0, 128) || undefined,
        href: href?.slice?.(0, 2048),
      });
    }
  };

  // ---- Sending alone ----

  const books = { created: 0, settled: 0, dropped_full: 0, since: now() };
  const queue = mint(now());
  let size = BATCH_MAX;
  let seq = 0;

  // The core stores the visitor only where that is allowed. Some browsers throw on the mere look at
  // a storage that they deny.
  const visitor = () => {
    try {
      if (/analytics/.test(granted ?? "analytics")) {
        return localStorage[`cm.${key}.me`].split("\x1d")[0];
      }
    } catch {}
  };

  const batch = (events) => {
    const purposes = granted?.split(",").filter(Boolean);
    return json({
      sent_at: now(),
      context: {
        visitor: visitor(),
        consent: purposes && { granted: purposes, gpc: gpc || undefined },
        sdk: { name: "web-stub", version: "0.1.0", books },
      },
      events: events.map(({ props, facts, ...event }) => ({
        ...event,
        queue,
        props: JSON.parse(props),
        context: JSON.parse(facts),
      })),
    });
  };

  const send = async () => {
    for (const event of held) own.push({ ...event, seq: seq++ });
    books.created += held.length;
    held = [];
    if (flying || !own[0]) return;
    const sent = own.slice(0, size);
    flying = sent.length;
    const [status, , text] = await post(batch(sent), true);
    flying = 0;
    const wait = settle(sent, status, text);
    if (own[0]) setTimeout(send, wait);
  };

  // How long the next try has to wait.
  const settle = (sent, status, text) => {
    let answer = {};
    try {
      answer = { ...JSON.parse(text) };
    } catch {}
    if (status === 200 && "accepted" in answer) {
      const verdicts = [];
      for (const verdict of answer.verdicts || []) verdicts[verdict.index] = verdict;
      let wait = 0;
      own = own.filter((event, i) => {
        if (i >= sent.length) return true;
        const { outcome = "accepted", reason, after_ms } = verdicts[i] || {};
        const { id, type, at } = event;
        emit("verdict", { id, type, outcome, reason, latency_ms: now() - at });
        if (outcome === "retry") wait = Math.max(wait, after_ms, 1000);
        else books.settled++;
        return outcome === "retry";
      });
      return wait;
    }
    // Any other 400 may be the word of something in between.
    if (status === 413 || (status === 400 && /malformed|too_large/.test(answer.error))) {
      // Halved until the one event is found that is to blame.
      size = sent.length >> 1 || BATCH_MAX;
      if (!sent[1]) {
        own.shift();
        books.settled++;
      }
      return 0;
    }
    return (answer.retry_after_ms || 5000) + Math.random() * 5000;
  };

  const leave = () => {
    send();
    if (own[flying]) copy(batch(own.slice(flying)));
  };

  // ---- Loading the core ----

  const sleep = () => {
    if (core) tell(() => core.gone());
    asleep = core;
    core = undefined;
  };

  const load = async () => {
    try {
      const site = fetch(`${collector}/v1/config${query}`, { signal: within(2000) })
        .then((reply) => reply.ok && reply.text())
        .catch(() => {});
      const begin = await (await import(source)).default();
      const settings = await site;
      // A core that starts on a page that is gone would hold a place in storage for nobody.
      if (away) await new Promise((back) => addEventListener("pageshow", back));
      const guard = (run) => core && tell(run);
      const host = { key, hints, consent: granted, gpc, random, post, copy, emit, guard };
      core = await begin(host, settings);
      if (away) return sleep();
      alone = false;
      const taken = held;
      held = [];
      taken.forEach(give);
    } catch (error) {
      goOn(error);
    }
  };

  addEventListener("click", clicked, true);
  addEventListener("visibilitychange", () => {
    if (!doc.hidden) return;
    if (core) tell(() => core.hidden());
    else leave();
  });
  // What happens while the page goes away is sent by this script: the core's queue is the next
  // page's already.
  addEventListener("pagehide", () => {
    away = true;
    sleep();
    alone = true;
    leave();
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    away = false;
    core = asleep;
    alone = !core;
    if (core) tell(() => core.back());
    page({}, "restore");
  });

  window.clickmill = {
    track: (type, props) => take(type, props),
    page: (props) => page(props, "route"),
    on: (name, run) => doc.addEventListener(`clickmill:${name}`, ({ detail }) => run(detail)),
    flush: () => (core ? tell(() => core.flush()) : send()),
    visitor,
    consent: (purposes) => {
      if (purposes != null) {
        granted = `${purposes}`;
        if (core) tell(() => core.consent(granted));
      }
      return granted;
    },
  };

  const start = () => {
    if (doc.readyState === "loading") addEventListener("DOMContentLoaded", () => page({}, "load"));
    else page({}, "load");
    if (source) (window.requestIdleCallback || setTimeout)(load, { timeout: 2000 });
    setTimeout(() => core || asleep || goOn(), source ? PATIENCE : 0);
  };

  look();
  // A page that is made ready in advance may never be seen.
  if (doc.prerendering) doc.addEventListener("prerenderingchange", start);
  else start();
})();
