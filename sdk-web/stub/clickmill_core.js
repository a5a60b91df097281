// What only the core needs of the browser: its wasm, storage, one timer, the hint stream. Carries
// out what the core wants and tells it what happens.
//
// Storage is `localStorage`, divided among the tabs of a site. Every tab has a lane of its own for
// its queue, held by a lease: a lane whose tab is gone, or was silent for too long, goes to the next
// page, queue and all. What belongs to the visitor is shared by all lanes. The lease is written with
// the first text, since nothing may be kept before there is consent. Until then the lane is only
// looked at, at every step: if another tab has taken it or changed what it holds, the lanes are
// looked through again.
//
// If a lane was taken from a tab that only slept, or two tabs took it within the moment that storage
// needs to get from one to the other, the one without the lease notices at its next look and begins
// anew. What both have sent of the same events the collector counts once, by the events' ids, and
// the relay by their place in the queue.

// Tabs of one site that can keep a queue at the same time.
const LANES = 16;
// A lease ends this long after it was last renewed, ms; it is renewed when less than RENEW is left,
// and looked at every LOOK, which a tab's sleep is longer than.
const LEASE = 120000;
const RENEW = 90000;
const LOOK = 1000;
// The longest wait that a browser's timers know, ms.
const WAIT_MAX = 2 ** 31 - 1;
const KINDS = ["promote", "reset", "stock", "suggest", "variant", "withdraw"];
// What the core is told, by the numbers of `hear.rs`.
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
// Beyond them, an answer: its status.
const PURPOSES = ["advertising", "analytics", "experiments", "personalization"];
const GPC = 16;
const KEPT = 32;
const SAID = 64;

const now = Date.now;
const { parse } = JSON;
const encode = (text) => new TextEncoder().encode(text);
// One text of several; only the last may hold the mark that stands between them.
const join = (...parts) => parts.join("\x1f");

/** A tab's part of the storage; `taken` is false where nothing can be kept. */
const open = (storage, prefix) => {
  const owner = String(Math.random()).slice(2);
  let lane;
  // When this tab's lease ends; 0 as long as there is none.
  let until = 0;
  let looked = now();
  // What there was when the lane was chosen.
  let seen;

  const inLane = (name) => `${prefix}${lane}.${name}`;
  const named = (item) => (item === "me" || item === "visit" ? prefix + item : inLane(item));
  const read = (name) => storage.getItem(name) || "";
  const lease = () => read(inLane("lease")).split(".");
  const isFree = () => !(lease()[0] > now());
  const isMine = () => lease()[1] === owner;
  const heads = () => ["me", "visit", "queue"].map((item) => read(named(item)));

  // A full storage refuses; the event then lives in memory alone, the lane goes to who can write.
  const write = (name, text) => {
    try {
      if (text === undefined) storage.removeItem(name);
      else storage.setItem(name, text);
      return true;
    } catch {}
  };

  // The places at which events of the lane's queue may lie.
  const places = () => {
    const found = [];
    try {
      let { first, next } = parse(read(inLane("queue")));
      while (first < next) found.push(first++);
    } catch {}
    return found;
  };

  // Goes to a lane that nobody holds, if there is one, to one with events in it first.
  const choose = () => {
    let free;
    for (lane = 0; lane < LANES; lane++) {
      if (!isFree()) continue;
      free ??= lane;
      if (places()[0] >= 0) {
        free = lane;
        break;
      }
    }
    lane = free ?? 0;
    seen = heads().join();
    return free >= 0;
  };

  const renew = () => {
    looked = now();
    until = looked + LEASE;
    write(inLane("lease"), `${until}.${owner}`);
  };

  const release = () => {
    // There may be none, where nothing was kept, or another tab's.
    if (isMine()) write(inLane("lease"));
  };

  return {
    release,
    // Nothing may be kept until consent has the first text come, but a look tells if it could be.
    taken: choose() && write(inLane("lease"), "") && write(inLane("lease")),

    // Everything kept in the lane, and of the visitor.
    kept: () => [
      ...heads(),
      ...places().flatMap((place) => {
        const event = read(inLane(place));
        return event ? [place, event] : [];
      }),
    ],

    // Renews the lease in time. Tells what became of the lane: whether what is remembered is new
    // since another tab was there first, or another tab has it.
    look: () => {
      const at = now();
      if (!until) {
        if (isFree() && seen === heads().join()) return;
        return choose() ? "moved" : "lost";
      }
      if (Math.abs(at - looked) < LOOK) return;
      looked = at;
      if (!isMine()) return "lost";
      if (until < at + RENEW) renew();
    },

    put: (item, text) => {
      if (!until && text !== undefined) renew();
      write(named(item), text);
      if (item === "me" && text === undefined) {
        // The visitor is to be forgotten: not even the lane tells that there was one.
        release();
        until = 0;
        seen = heads().join();
      }
    },
  };
};

/** Fetches the core; gives back what begins it in a page. */
export default async () => {
  const file = await fetch(new URL("clickmill_core_bg.wasm", import.meta.url));
  const { instance } = await WebAssembly.instantiate(await file.arrayBuffer());
  const { memory, core_new, core_room, core_step, core_said } = instance.exports;

  return ({ key, hints, consent: granted, gpc, storage, random, post, copy, emit, guard }, site) => {
    const core = core_new();
    let lane;
    let timer;
    let source;

    const hand = (bytes) => {
      const at = core_room(core, bytes.length);
      new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    };

    const tell = (what, text, number) => {
      hand(encode(text));
      return told(what, number);
    };

    const told = (what, number = 0) => {
      const length = core_step(core, what, number, now());
      const said = new Uint8Array(memory.buffer, core_said(core), length);
      for (const effect of new TextDecoder().decode(said).split("\x1e").slice(1)) {
        const [number, ...parts] = effect.split("\x1f");
        effects[number](...parts);
      }
    };

    const step = (what, text = "", number) => {
      const hold = lane?.look();
      if (hold === "lost") begin();
      if (hold === "moved") tell(REMIND, join(...lane.kept()));
      tell(what, text, number);
    };

    // What happens by itself: nothing, once the page is gone or the core has failed.
    const later = (...report) => guard(() => step(...report));

    const close = () => {
      source?.close();
      source = undefined;
    };

    // In the order of `say.rs`.
    const effects = [
      async (request, body, keepalive) => {
        const [status, wait, text] = await post(body, parse(keepalive));
        // Seconds, or a date.
        const seconds = wait >= 0 ? wait : (Date.parse(wait) - now()) / 1000;
        later(status || FAILED, join(seconds, text), +request);
      },
      copy,
      (item, text) => lane?.put(item, text),
      (wait) => {
        clearTimeout(timer);
        timer = setTimeout(later, Math.min(wait, WAIT_MAX), TICK);
      },
      (token, last) => {
        close();
        if (!hints) return;
        // Tokens are made of what a query may hold as it is; ids of hints too.
        const from = last ? `&last_event_id=${parse(last)}` : "";
        source = new EventSource(`${hints}/v1/hints?token=${parse(token)}${from}`);
        const mine = source;
        const hear = ({ lastEventId, type, data }) =>
          later(EVENT, join(lastEventId, type, data));
        for (const kind of KINDS) source.addEventListener(kind, hear);
        // Short breaks the browser mends by itself.
        source.onopen = source.onerror = () => {
          if (mine.readyState) later(mine.readyState > 1 ? STREAM_FAILED : STREAM_OPENED);
        };
      },
      close,
      (head, data) => emit("hint", { ...parse(head), ...parse(data) }),
      (verdict) => emit("verdict", parse(verdict)),
      (state) => emit("state", parse(state)),
    ];

    // What the visitor said, in bits.
    const said = () => {
      const names = (granted ?? "").split(",").map((name) => name.trim());
      const bits = PURPOSES.map((purpose, at) => names.includes(purpose) << at);
      return bits.reduce((all, bit) => all + bit, (gpc && GPC) + (granted === undefined ? 0 : SAID));
    };

    // A client on what storage kept; also when another page may have taken up what this one had.
    const begin = () => {
      close();
      clearTimeout(timer);
      lane = storage && open(storage, `cm.${key}.`);
      if (!lane?.taken) lane = undefined;
      const kept = lane ? lane.kept() : [];
      hand([...random(32), ...encode(join(...kept))]);
      told(BEGIN, said() + (lane ? KEPT : 0));
      if (site) tell(SITE, site);
    };

    begin();
    return {
      page: (facts) => step(PAGE, facts),
      track: (id, type, at, props) => step(TRACK, join(id, type, props), at),
      flush: () => step(FLUSH),
      consent: (purposes) => {
        granted = purposes;
        step(CONSENT, "", said());
      },
      hidden: () => step(HIDDEN),
      gone: () => {
        step(GONE);
        clearTimeout(timer);
        lane?.release();
      },
      back: () => (lane ? begin() : step(BACK)),
    };
  };
};
