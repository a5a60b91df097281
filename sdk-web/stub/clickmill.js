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
  const { dataset } = script;
  const { key, collector, core: source } = dataset;
  const address = (path) => `${collector}/v1/${path}?k=${encodeURIComponent(key)}`;
  // What names in storage begin with. What this script keeps lies under its queue's id, which begins
  // with a 0.
  const prefix = `cm.${key}.`;
  const gpc = navigator.globalPrivacyControl || undefined;
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

  let core;
  let alone;
  // Whether the page went away.
  let away;
  let granted = dataset.consent;
  // Circumstances of what happens now, as JSON.
  let facts;
  // Events that nobody has begun to send, and those that this script sends; of the latter the
  // first `flying` are on their way.
  const held = [];
  const own = [];
  let flying = 0;

  const random = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));

  // A version 7 UUID: the time, then 72 random bits around the marks of version and variant.
  const mint = (at = now()) => {
    let hex = 0 + at.toString(16);
    for (const byte of random(18)) hex += (byte & 15).toString(16);
    return hex.replace(/(.{8})(....)(...)(...)/, "$1-$2-7$3-a$4-");
  };

  const emit = (name, detail) =>
    doc.dispatchEvent(new CustomEvent(`clickmill:${name}`, { detail, cancelable: true }));

  // The status of an answer, its text and the wait that it asks for.
  const ask = (path, wait, options) =>
    fetch(address(path), { signal: AbortSignal.timeout?.(wait), ...options })
      .then(async (reply) => [reply.status, await reply.text(), reply.headers.get("retry-after")])
      .catch(() => [0]);

  // A body that is text makes a request which browsers send without asking first.
  const post = (body, keepalive) =>
    ask("events", 30000, { method: "POST", body, keepalive, credentials: "include" });

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

  const goOn = (error) => {
    if (error) console.warn("clickmill:", error);
    alone = true;
    send();
  };

  const give = (event) => {
    if (tell("track", event)) return;
    if (held.push(event) > HELD_MAX) {
      held.shift();
      books.created++;
      books.dropped_full++;
    }
    if (alone) send();
  };

  const take = (type, props) => {
    const at = now();
    const id = mint(at);
    // The id of a page view is that of the event which reports it.
    if (type === "page_view") look(id);
    const event = { id, type, at, props, facts };
    // Whoever listens may change it, or prevent it.
    if (!emit("event", event)) return;
    event.props = json({ ...event.props });
    give(event);
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
    if (found) {
      take("click", {
        element: found.localName,
        id: found.id.slice(0, 128) || undefined,
        href: found.href?.slice?.(0, 2048),
      });
    }
  };

  // ---- Sending alone ----

  const books = { created: 0, settled: 0, dropped_full: 0, since: now() };
  const queue = mint();
  let size = BATCH_MAX;

  // Some browsers throw on the mere look at a storage that they deny. Where nobody has said what is
  // granted, the test reads the word "undefined".
  const stored = (run) => {
    try {
      if (/analytics|undef/.test(granted)) return run(localStorage);
    } catch {}
  };

  // The core stores the visitor only where that is allowed.
  const visitor = () => stored((all) => all[`${prefix}me`].split("\x1d")[0]);

  // Until their fate is known, the events that this script sends lie in storage, too: the page may
  // be gone when the answer comes.
  const keep = () =>
    stored((all) => {
      if (own[0]?.visitor) all[prefix + queue] = batch(own);
      else delete all[prefix + queue];
    });

  // Sends what earlier pages kept. Whoever sends it twice does no harm: ids and places are the same.
  const resend = () =>
    stored((all) => {
      for (const name in all) {
        if (name.startsWith(prefix + 0)) {
          post(all[name].replace(/\d+/, now())).then(([, text]) => {
            const isKnown = /accepted"|malformed|too_large/.test(text);
            if (isKnown && !/"retry"/.test(text)) delete all[name];
          });
        }
      }
    });

  const batch = (events) => {
    const purposes = granted?.split(",").filter((purpose) => purpose);
    return json({
      sent_at: now(),
      context: {
        consent: purposes && { granted: purposes, gpc },
        sdk: { name: "web-stub", version: "0.1.0", books },
      },
      events: events.map(({ props, facts, visitor, ...event }) => ({
        ...event,
        queue,
        props: read(props),
        context: { visitor, ...read(facts) },
      })),
    });
  };

  const send = async () => {
    for (const event of held.splice(0)) {
      // Whose it is: by the time it is sent again, the browser may be somebody else's.
      own.push({ ...event, seq: books.created++ - books.dropped_full, visitor: visitor() });
      // Nobody, until the next core makes the browser another visitor's.
      if (event.type === "logout" && visitor()) {
        stored((all) => (all[`${prefix}out`] = delete all[`${prefix}me`]));
      }
    }
    keep();
    if (flying || !own[0]) return;
    const sent = own.slice(0, size);
    flying = sent.length;
    const wait = settle(sent, ...(await post(batch(sent), true)));
    flying = 0;
    keep();
    if (own[0]) setTimeout(send, wait);
  };

  // How long the next try has to wait.
  const settle = (sent, status, text, asked) => {
    const answer = read(text);
    // A count, and nothing that JavaScript would take for one.
    if (status < 300 && answer.accepted === answer.accepted >>> 0) {
      let wait;
      const again = sent.filter((event, i) => {
        const verdict = { ...answer.verdicts?.find((verdict) => verdict.index === i) };
        const { outcome = "accepted", reason, after_ms } = verdict;
        const { id, type, at } = event;
        emit("verdict", { id, type, outcome, reason, latency_ms: now() - at });
        if (outcome === "retry") return (wait = after_ms || 1000);
        books.settled++;
      });
      own.splice(0, flying, ...again);
      return wait;
    }
    // Any other refusal may be the word of something in between.
    if (status === 413 || (status === 400 && /malformed|too_large/.test(answer.error))) {
      // Halved until the one event is found that is to blame.
      size = sent.length >> 1;
      if (!size) {
        size = BATCH_MAX;
        own.shift();
        books.settled++;
      }
      return;
    }
    // A longer wait than timers know would be none.
    return Math.min(answer.retry_after_ms || asked * 1000 || 5000, 1e9) + Math.random() * 5000;
  };

  const leave = () => {
    send();
    if (own[flying]) copy(batch(own.slice(flying)));
  };

  // ---- Loading the core ----

  const load = async () => {
    try {
      const site = ask("config", 2000);
      const begin = await (await import(source)).default();
      const [, settings] = await site;
      // A core that starts on a page that is gone would hold a place in storage for nobody.
      if (away) await new Promise((back) => addEventListener("pageshow", back));
      const guard = (run) => tell("run", run);
      const host = { ...dataset, consent: granted, gpc, random, post, copy, emit, guard, address };
      core = await begin(host, settings);
      if (away) return core.gone();
      alone = false;
      held.splice(0).forEach(give);
    } catch (error) {
      goOn(error);
    }
  };

  addEventListener("click", clicked, true);
  addEventListener("visibilitychange", () => {
    if (doc.hidden) tell("hidden") || leave();
  });
  // What happens while the page goes away is sent by this script: the core's queue is the next
  // page's already.
  addEventListener("pagehide", () => {
    tell("gone");
    away = alone = true;
    leave();
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    away = false;
    alone = !core;
    tell("back");
    page({}, "restore");
  });

  window.clickmill = {
    track: take,
    page: (props) => page(props, "route"),
    identify: (customer, proof) => take("identify", { customer, proof }),
    reset: () => take("logout"),
    on: (name, run) => doc.addEventListener(`clickmill:${name}`, ({ detail }) => run(detail)),
    flush: () => tell("flush") || send(),
    visitor,
    consent: (purposes) => {
      if (purposes != null) tell("consent", (granted = `${purposes}`));
      return granted;
    },
  };

  const start = () => {
    resend();
    if (doc.readyState === "loading") addEventListener("DOMContentLoaded", () => page({}, "load"));
    else page({}, "load");
    if (source) (window.requestIdleCallback || setTimeout)(load, { timeout: 2000 });
    setTimeout(() => core || goOn(), source && PATIENCE);
  };

  look();
  // A page that is made ready in advance may never be seen.
  if (doc.prerendering) doc.addEventListener("prerenderingchange", start);
  else start();
})();
