// What only the core needs of the browser: its wasm, storage, one timer, the hint stream. Carries
// out what the core wants and tells it what happens.
//
// What belongs to the visitor lies in `localStorage`, where the stub can read it at once. The queue
// lies in IndexedDB, divided among the tabs of a site: every tab has a lane of its own, held by a
// lease. Who holds a lease writes without asking, and renews it by writing; who slept for longer
// asks again, and finds its own lane or another free one. A lane whose tab is gone goes to the next
// page, queue and all. No lock and no lease outlives a page that goes away: a page with one is no
// page for the back/forward cache.
//
// Nothing may be kept before there is consent, so until then a lane is only looked at. While
// storage answers, what happens waits; a page that goes away meanwhile is served from memory.

// Tabs of one site that can keep a queue at the same time.
const LANES = 16;
// A lease ends this long after it was last renewed, ms; it is renewed when less than RENEW is left.
const LEASE = 120000;
const RENEW = 90000;
// An idle page looks after what other tabs left behind after this long, ms.
const PAUSE = 3000;
// A body larger than this is compressed, bytes; a smaller one must not wait for that: the page may
// be about to go.
const SMALL = 4096;
// The longest wait that a browser's timers know, ms.
const WAIT_MAX = 2 ** 31 - 1;
const KINDS = "promote reset stock suggest variant withdraw".split(" ");
// What the core is told, by the numbers of `told.rs`.
const BEGIN = 0;
const REMIND = 1;
const CONSENT = 2;
const FLUSH = 3;
const HIDDEN = 4;
const PAGE = 5;
const GONE = 6;
const BACK = 7;
const FAILED = 8;
const SITE = 9;
const STREAM_FAILED = 10;
const STREAM_OPENED = 11;
const TICK = 12;
const EVENT = 13;
const TRACK = 14;
const RECEIPT = 15;
const SPOILED = 16;
const STOPPED = 17;
const RENEWED = 18;
const ONLINE = 19;
const PURPOSES = ["advertising", "analytics", "experiments", "personalization"];
const ID = /^[ -~]{0,128}$/;
const KEPT = 32;
const SAID = 64;
// Analytics and personalization: without both there are no hints.
const HINTS = 10;
// The sum of the core that belongs to this script: the bundler puts it in.
const SUM = "sum of the core";

const now = Date.now;
const { parse, stringify } = JSON;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
// One text of several; only the last may hold the mark that stands between them.
const join = (...parts) => parts.join("\x1f");
// The fields of an object as the core keeps them.
const fields = (object) =>
  Object.entries(object)
    .map(([name, value]) => `"${name}":${stringify(value)}`)
    .join("\x1d");
// The object that a text may hold.
const read = (text) => {
  try {
    return { ...parse(text) };
  } catch {
    return {};
  }
};
// Storage may be denied or full.
const stored = (run) => {
  try {
    return run(localStorage);
  } catch {}
};
const limits = ({ batch_bytes_max, batch_events_max, event_bytes_max } = {}) =>
  join(batch_bytes_max, batch_events_max, event_bytes_max);

// What the core is told of an answer, and the text of it.
const judge = (status, text, wait) => {
  const { accepted, verdicts, sample, identity, error, retry_after_ms, ...rest } = read(text);
  // A count, and nothing that JavaScript would take for one.
  if (status >= 200 && status < 300 && accepted === accepted >>> 0) {
    const buckets = sample?.toFixed ? Math.ceil(sample * 10000) : "";
    const each = (verdicts || []).map((verdict) => {
      const { index, outcome, after_ms = 0 } = verdict;
      return join(index, outcome === "retry" ? after_ms : "", stringify(verdict));
    });
    const { visitor, token, expires_at } = identity || {};
    return [RECEIPT, join(limits(rest.limits || {}), sample, buckets, visitor, token, expires_at, ...each)];
  }
  if (status === 401 || status === 403) return [STOPPED];
  // Any other 400 may be the word of something in between.
  if (status === 413 || (status === 400 && /^(malformed|body_too_large)$/.test(error))) {
    const reason = error === "malformed" ? error : "too_large";
    return [SPOILED, stringify({ outcome: "rejected", reason })];
  }
  // Seconds, or a date.
  const asked = wait >= 0 ? wait * 1000 : Date.parse(wait) - now();
  return [FAILED, Math.max(retry_after_ms ?? asked, 0) || ""];
};

// An end of a lease that is none, or lies where no clock of ours put it, holds nothing.
const holds = (until) => until > now() && until <= now() + LEASE;

const answer = (request) =>
  new Promise((give, fail) => {
    request.onsuccess = () => give(request.result);
    request.onerror = request.onblocked = fail;
  });

/** A tab's part of the database. */
const open = async (name) => {
  const opening = indexedDB.open(name);
  opening.onupgradeneeded = () => opening.result.createObjectStore(name);
  const base = await answer(opening);
  // Whoever deletes it must not have to wait for us.
  base.onversionchange = () => base.close();
  const owner = Math.random();
  // By item: its text, or none to forget it.
  const waiting = new Map();
  let lane;
  // When this tab's lease ends; 0 as long as there is none.
  let until = 0;
  let others;
  let timer;

  const isMine = ({ lease }) => lease[1] === owner;
  const isFull = ({ events }) => events[0] >= 0;

  // The tabs that left last. Told beside the database, since a page that goes away may be gone
  // before the database has heard of it.
  const left = (change) =>
    stored((all) => {
      const item = `${name}.left`;
      const owners = (all[item] || "").split(",");
      if (change) all[item] = [...owners, owner].slice(-LANES);
      return owners;
    });

  // Relaxed about the disk, as browsers have it by default.
  const begin = () => base.transaction(name, "readwrite").objectStore(name);

  // A full or closed database refuses; the queue then lives in memory alone.
  const flush = (isLeft) => {
    timer = clearTimeout(timer);
    // In a tab that slept meanwhile, the lane may be somebody else's.
    if (waiting.size && holds(until)) {
      try {
        const store = begin();
        waiting.set("lease", isLeft ? undefined : [(until = now() + LEASE), owner]);
        waiting.forEach((text, item) => {
          if (text === undefined) store.delete([lane, item]);
          else store.put(text, [lane, item]);
        });
        store.transaction.commit?.();
      } catch {}
    }
    waiting.clear();
  };

  const put = (item, text) => {
    waiting.set(item, text);
    // One transaction for all that happens in one go.
    timer ??= setTimeout(() => flush());
  };

  const survey = async () => {
    const store = begin();
    const [keys, texts] = await Promise.all([answer(store.getAllKeys()), answer(store.getAll())]);
    const lanes = Array.from({ length: LANES }, () => ({ lease: [], queue: "", events: [] }));
    keys.forEach(([lane, item], i) => {
      if (item >= 0) lanes[lane].events.push(item, texts[i]);
      else lanes[lane][item] = texts[i];
    });
    const gone = left();
    const isFree = ({ lease }) => !holds(lease[0]) || gone?.includes(`${lease[1]}`);
    others = lanes.some((lane) => isFull(lane) && !isMine(lane));
    return { store, lanes, free: lanes.filter((lane) => isMine(lane) || isFree(lane)) };
  };

  return {
    put,
    flush: () => flush(),
    isHeld: () => holds(until),
    isLost: () => until && !holds(until),
    renew: () => until && until < now() + RENEW && put("lease"),

    // Leaves the lane to others.
    close: () => {
      if (holds(until)) left(true);
      put("lease");
      flush(true);
      base.close();
    },

    // Forgets what there is in all lanes, and that there were any.
    clear: () => {
      until = 0;
      waiting.clear();
      try {
        begin().clear();
      } catch {}
    },

    // Whether there are other lanes with events in them, by the last look at them.
    hasOthers: () => others,
    // Whether one of them is nobody's.
    isAsked: async () => (await survey()).free.some((lane) => isFull(lane) && !isMine(lane)),

    // Goes to a lane that nobody else holds, to one with events in it first. Gives back what is kept
    // there: the queue, then each event with its place before it.
    claim: async (mayKeep) => {
      flush();
      const { store, lanes, free } = await survey();
      const mine = free.find(isFull) || free.find(isMine) || free[0];
      if (!mine) return;
      lanes.forEach((lane, at) => isMine(lane) && store.delete([at, "lease"]));
      lane = lanes.indexOf(mine);
      until = 0;
      if (mayKeep()) store.put([(until = now() + LEASE), owner], [lane, "lease"]);
      return [mine.queue, ...mine.events];
    },
  };
};

// A body as it travels. The collector knows what is compressed by its first bytes. No blob in
// between: to make one, and to read it, a page asks the browser's other processes.
const pack = (body) => {
  if (body.length < SMALL || document.hidden || !globalThis.CompressionStream) return body;
  const packed = new Response(body).body.pipeThrough(new CompressionStream("gzip"));
  return new Response(packed).arrayBuffer();
};

// As long as the page is away: what ends when it is back.
let away;
addEventListener("pagehide", () => {
  away = new Promise((back) => addEventListener("pageshow", () => back((away = 0))));
});

/** Fetches the core and what the site says, and begins: what the stub calls. */
export default async (host) => {
  const { key, hints, gpc, post, copy, emit, tell: call, address, own, stored: allowed, purposes } = host;
  const settings = fetch(address("config"), { signal: AbortSignal.timeout?.(2000) })
    .then((reply) => reply.json())
    .catch(() => {});
  const at = new URL("clickmill_core_bg.wasm", import.meta.url);
  // Whether it is missing or another one, no browser tells.
  const file = await fetch(at, { integrity: SUM }).catch(() => {
    throw Error(`not its core: ${at}`);
  });
  const { instance } = await WebAssembly.instantiate(await file.arrayBuffer());
  const { memory, new: create, room, step: hear, said } = instance.exports;

  const site = await settings;
  // Who came from another site of the same shop may be known there.
  await window.clickmill.link?.(site);
  // A core that starts on a page that is gone would hold a place in storage for nobody.
  await away;
  const core = create();
  const prefix = `cm.${key}.`;
  const whose = `${prefix}customer`;
  const who = `${prefix}me`;
  const visit = `${prefix}visit`;
  const out = `${prefix}out`;
  let lane;
  let timer;
  let pause;
  let source;
  // The token and the last hint of the stream that the core has asked for.
  let stream;
  // Circumstances of what happens on this page, as the stub says them.
  let page = "{}";
  // Whether the last delivery had no answer.
  let lost;
  // What happens while storage is asked.
  let waiting;
  // The question that waits for storage's answer, and the life that a request belongs to.
  let turn;
  let life;
  // The visit as this page told it to storage last.
  let mine;
  // Takes back the copy that goes off by itself once this page has ended, in whatever way.
  let parting;

  const hand = (bytes) => {
    const at = room(core, bytes.length);
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
  };

  const tell = (what, text = "", number) => {
    hand(encoder.encode(text));
    told(what, number);
  };

  const told = (what, number = 0) => {
    const length = hear(core, what, number, now());
    const heard = new Uint8Array(memory.buffer, said(core), length);
    for (const effect of decoder.decode(heard).split("\x1e").slice(1)) {
      const [number, ...parts] = effect.split("\x1f");
      effects[number](...parts);
    }
    lane?.renew();
  };

  // A report, or what is to be done in its turn among them.
  const step = (...report) => {
    if (waiting) waiting.push(report);
    else if (lane?.isLost()) ask(BEGIN, report);
    else if (report[0].call) report[0]();
    else tell(...report);
  };

  const guard = (run) => call("run", run);

  // What happens by itself: nothing, once the page is gone or the core has failed.
  const later = (...report) => guard(() => step(...report));

  const close = () => {
    stream = undefined;
    listen();
  };

  // Opens the stream that the core has asked for, behind the last hint that came, or closes it: of a
  // browser's tabs the one that is seen has it, and each goes on where it was once it is seen again.
  const listen = () => {
    source = source?.close();
    if (!stream || !hints || document.hidden) return;
    // Both are made of what a query may hold as it is.
    const [token, last] = stream;
    const mine = new EventSource(`${hints}/v1/hints?token=${token}${last && `&last_event_id=${last}`}`);
    source = mine;
    const hear = ({ lastEventId, type, data }) => {
      const hint = read(data);
      const at = now();
      // A clock that is not between a hint's decision and its end is wrong. By such a one it holds
      // from here on for as long as it was to.
      if (at < hint.decided_at || at >= hint.expires_at) hint.expires_at += at - hint.decided_at;
      later(() => {
        // What a stream brought that is closed was somebody else's, or comes again.
        if (mine !== source) return;
        stream[1] = lastEventId || last;
        tell(EVENT, join(lastEventId, type, hint.epoch, hint.cause?.event, stringify(hint)));
      });
    };
    for (const kind of KINDS) mine.addEventListener(kind, hear);
    // Short breaks the browser mends by itself.
    mine.onopen = mine.onerror = () => {
      if (mine.readyState) later(mine.readyState > 1 ? STREAM_FAILED : STREAM_OPENED);
    };
  };

  const recall = (item) => stored((all) => all[prefix + item]);

  // What the page was told so far holds no more, unless it comes again with the next stream.
  const forget = () => emit("hint", { kind: "reset" });

  // In the order of their numbers.
  const effects = [
    async (request, body, keepalive) => {
      const mine = life;
      const reply = await post(await pack(body), !!keepalive);
      const [what, text] = judge(...reply);
      lost = !reply[0];
      if (mine === life) later(what, text, +request);
    },
    (body, isGone) => {
      parting?.abort();
      parting = new AbortController();
      const { signal } = parting;
      // Not every browser has that, and those that do may have no room for it.
      try {
        fetchLater(address("events"), { method: "POST", body, credentials: "include", signal });
      } catch {
        if (isGone) copy(body);
      }
    },
    (item, text) => {
      if (item >= 0) lane?.put(+item, text);
      else if (item === "queue") lane?.put(item, text);
      else if (text) {
        stored((all) => {
          all[prefix + item] = text;
          if (item === "visit") mine = text;
        });
      }
      else {
        // The visitor is to be forgotten, and that there was one. Where they have said so, the stub
        // does it as soon as it is asked.
        mine = allowed((all) => {
          for (const name in all) if (name.startsWith(prefix)) delete all[name];
        });
        lane?.clear();
        parting?.abort();
      }
    },
    (wait) => {
      clearTimeout(timer);
      timer = setTimeout(later, Math.min(wait, WAIT_MAX), TICK);
    },
    (...asked) => {
      stream = asked;
      listen();
    },
    close,
    (id, kind, latency, replayed, data) => {
      const latency_ms = latency ? +latency : undefined;
      emit("hint", { id, kind, latency_ms, replayed: !!replayed, ...read(data) });
    },
    (id, type, latency, verdict) => {
      const latency_ms = +latency;
      emit("verdict", { outcome: "accepted", ...read(verdict), id, type: parse(type), latency_ms });
    },
    (delivery, stream, queued, books) => {
      emit("state", { delivery, stream, queued: +queued, books: parse(books) });
      clearTimeout(pause);
      if (delivery === "idle" && !+queued) {
        parting?.abort();
        resend();
        if (lane?.hasOthers()) pause = setTimeout(help, PAUSE);
      }
    },
  ];

  // Has letters sent again that stubs have sent and not heard of.
  const resend = () => {
    const letters = { ...own, ...allowed((all) => all) };
    if (Object.keys(letters).some((name) => name.startsWith(prefix + 0))) {
      import("./clickmill_alone.js").then((module) => module.resend(host)).catch(() => {});
    }
  };

  // What the visitor said or, where they said nothing, the site.
  const allows = (purpose) => (purposes() || site?.consent?.granted)?.includes(purpose);
  // That in bits, and as a field of circumstances.
  const granting = () => {
    if (!purposes() && !site?.as_of) return [CONSENT];
    let bits = SAID;
    const granted = PURPOSES.filter((purpose, at) => allows(purpose) && (bits += 1 << at));
    return [CONSENT, fields({ consent: { granted, gpc } }), bits];
  };

  // Goes to a lane that another tab left behind, where this page's own is empty.
  const help = async () => {
    try {
      if (lane.isHeld() && (await lane.isAsked()) && !waiting) ask(BEGIN);
      else if (lane.hasOthers()) pause = setTimeout(help, PAUSE);
    } catch {}
  };

  // The page, and which customer sees it.
  const view = (shown = page) => {
    const customer = recall("customer");
    return fields({ ...parse(shown), ...(customer?.match(ID)?.[0] && { customer }) });
  };
  const show = (shown = page) => step(() => tell(PAGE, view(shown)));

  // The browser is this customer's from here on, or nobody's where that is empty. Whose it was is
  // another visitor. What is no id would cost the events that carry it. Not before the core has heard
  // what happened until then: other tabs are told who the new visitor is.
  const become = (customer, isOther, shown = page) =>
    step(() => {
      const was = recall("customer");
      if (!customer?.match?.(ID) || !allows("analytics")) return;
      if (customer && customer === was && !isOther) return;
      isOther ||= was || !customer;
      if (isOther) {
        step(RENEWED);
        forget();
      }
      // Last: other tabs begin anew when they hear of it. Where the visitor is another one, they hear
      // first who that is, in place of a customer.
      stored((all) => {
        if (isOther) all[whose] = all[who];
        all[whose] = customer;
      });
      show(shown);
    });

  // Carries out what the stub sent and no core has heard of, as soon as that may be stored: who is
  // next, a customer or nobody. Several tabs may see it; one that was open until then may know a
  // visitor whom the stub has given up.
  const leave = () =>
    step(() => {
      const next = recall("out");
      if (next === undefined || !allows("analytics")) return;
      stored((all) => delete all[out]);
      become(next, !recall("me"));
    });

  // Asks storage for a lane and what is kept in it; then the core begins, or is reminded.
  const ask = async (what, report) => {
    waiting ??= [];
    if (report) waiting.push(report);
    const mine = (turn = { what });
    let kept;
    try {
      lane ??= await open(`cm.${key}`);
      kept = await lane.claim(() => allows("analytics"));
    } catch {}
    if (mine !== turn) return;
    if (life) guard(() => go(what, kept));
    else go(what, kept);
  };

  // Who finds that the visit is gone which this page has stored knows that consent was withdrawn in
  // another tab.
  const obey = () => mine && recall("visit") === undefined && window.clickmill.consent("");

  const go = (what, kept) => {
    const text = join(recall("me"), recall("visit"), ...(kept || [""]));
    if (!kept) lane = undefined;
    const waited = waiting;
    turn = waiting = undefined;
    if (what === BEGIN) {
      // Another tab may have made the visitor another one.
      const before = life;
      life = text.split("\x1d");
      close();
      clearTimeout(timer);
      hand([...crypto.getRandomValues(new Uint8Array(32)), ...encoder.encode(text)]);
      told(BEGIN, kept && KEPT);
      tell(PAGE, view());
      if (site) {
        const { as_of, urgent, flush = {} } = site;
        const list = urgent && stringify(urgent);
        tell(SITE, join(as_of, list, flush.events, flush.bytes, flush.age_ms, limits(site.limits)));
      }
      tell(...granting());
      if (before && before[0] !== life[0]) forget();
      leave();
      resend();
    } else tell(what, text);
    waited.forEach((report) => step(...report));
  };

  const hide = () => {
    step(HIDDEN);
    lane?.flush();
  };

  await ask(BEGIN);
  const heard = {
    // A page that freezes may never thaw.
    freeze: hide,
    online: () => lost && step(ONLINE),
    visibilitychange: listen,
    storage: ({ key, oldValue, newValue }) => {
      // Not all tabs at once: each would make another visitor.
      if (key === out) setTimeout(guard, Math.random() * 500, leave);
      // A page that clears all of its storage withdraws nothing.
      if (key === visit) obey();
      const isVisitor = (text) => text?.includes("\x1d");
      if (key !== whose || isVisitor(newValue)) return;
      // Before it heard of another visitor, this page may have put back who was here before.
      if (isVisitor(oldValue)) {
        stored((all) => {
          if (!all[who].startsWith(oldValue.split("\x1d")[0])) all[who] = oldValue;
          // Not taken away: that would be a withdrawal.
          if (all[visit] === mine) all[visit] = "";
        });
      }
      ask(BEGIN);
    },
  };
  for (const name in heard) {
    addEventListener(name, (event) => guard(() => heard[name](event)), true);
  }
  const api = {
    // What comes by itself: nothing, once this core is given up.
    run: (run) => run(),
    track: ({ id, type, at, props, facts }) => {
      // Another customer in the same browser is another visitor.
      if (type === "identify") become(read(props).customer);
      if (page !== facts) show((page = facts));
      step(TRACK, join(id, stringify(type), props), at);
      if (type === "logout") become("");
    },
    flush: () => step(FLUSH),
    consent: () => {
      const report = granting();
      if (lane && !lane.isHeld() && allows("analytics") && !waiting) ask(REMIND, report);
      else step(...report);
      // Last: who hears it may ask for the visitor, and is to find nobody.
      if (~report[2] & HINTS) forget();
      show();
      leave();
    },
    hidden: hide,
    gone: () => {
      // There is no time left for storage's answer.
      if (waiting) go(turn.what);
      tell(GONE);
      clearTimeout(timer);
      clearTimeout(pause);
      lane?.close();
    },
    back: () => {
      // What lies in memory alone stays there.
      if (lane) ask(lane.isHeld() || lane.isLost() ? BEGIN : BACK, (lane = undefined));
      else step(BACK);
      obey();
      leave();
    },
  };
  if (away) api.gone();
  return api;
};
