// Sends what happens on a page that has no core: the stub loads it where the core is refused or late.
// It makes no visitors and hears no hints, but hears what becomes of each event. A core that comes
// later takes what happens from then on; what was begun here is sent here. The core in turn has it
// send letters again that earlier pages left behind.
//
// A letter is a body as it travels; its name in storage goes on with a 0 behind the site's prefix.

// The length of a letter, as in the stub: with up to three bytes each it may still be on its way when
// the page ends.
const FULL = 20000;
// What of it is left to the books.
const HEAD = 1000;
// Letters of this page that wait, and those of all pages that lie in storage.
const LETTERS_MAX = 50;
// The longest wait after the first failure and at all, and the shortest that a receipt asks for, ms.
const WAIT = 1000;
const WAIT_MAX = 60000;
const WAIT_MIN = 100;
// The longest wait that a browser's timers know, ms.
const TIMER_MAX = 2 ** 31 - 1;
const BUCKETS = 10000;
// Types that are sent however small the sample: without them there is no judging at all.
const NEVER_SAMPLED = ["consent", "experiment_view", "exposure", "order"];
// What an answer means.
const JUDGED = 0;
const SPOILED = 1;
const STOPPED = 2;
const FAILED = 3;

const now = Date.now;
const { parse, stringify } = JSON;
// The object that a text may hold.
const read = (text) => {
  try {
    return { ...parse(text) };
  } catch {
    return {};
  }
};

// What an answer means, what it says, and the wait that it asks for.
const judge = (status, text, asked) => {
  const said = read(text);
  const { accepted, error } = said;
  // A count, and nothing that JavaScript would take for one.
  if (status >= 200 && status < 300 && accepted === accepted >>> 0) return [JUDGED, said];
  if (status === 401 || status === 403) return [STOPPED];
  // Any other 400 may be the word of something in between.
  const isLarge = status === 413 || (status === 400 && error === "body_too_large");
  if (isLarge || (status === 400 && error === "malformed")) {
    return [SPOILED, { outcome: "rejected", reason: isLarge ? "too_large" : error }];
  }
  // Seconds, or a date.
  const wait = asked >= 0 ? asked * 1000 : Date.parse(asked) - now();
  return [FAILED, said, Math.max(said.retry_after_ms ?? wait, 0) || 0];
};

// Anything up to what so many failures in a row call for.
const jitter = (failures) => Math.random() * Math.min(WAIT * 2 ** (failures - 1), WAIT_MAX);

// ---- Letters of earlier pages ----

let isResending;

/** Sends letters again whose fate nobody knows, one after the other, up to the first that is not
 * judged. Whoever sends one twice does no harm: ids and places are the same. */
export const resend = async ({ key, own, books, post, stored }, isOurs = () => false) => {
  if (isResending) return true;
  isResending = true;
  const prefix = `cm.${key}.0`;
  const letters = { ...stored((all) => ({ ...all })), ...own };
  for (const name in letters) {
    if (!name.startsWith(prefix) || isOurs(name)) continue;
    const text = letters[name];
    if (!(await isJudged(read(text), post))) {
      isResending = false;
      return false;
    }
    if (own[name]) books.settled += read(text).events.length;
    delete own[name];
    // Another tab may have written more into it meanwhile.
    stored((all) => all[name] === text && delete all[name]);
  }
  isResending = false;
  return true;
};

// Whether there is a verdict on each event of a letter. One that can never be taken is halved until
// the one event is found that is to blame.
const isJudged = async ({ events, ...letter }, post) => {
  // What is no letter is nobody's.
  if (!events?.length) return true;
  const [what, said] = judge(...(await post(stringify({ ...letter, sent_at: now(), events }))));
  const half = events.length >> 1;
  if (what === SPOILED && half) {
    const part = (from, to) => isJudged({ ...letter, events: events.slice(from, to) }, post);
    return (await part(0, half)) && part(half);
  }
  if (what === JUDGED) return !said.verdicts?.some(({ outcome }) => outcome === "retry");
  return what === SPOILED;
};

// ---- What happens on this page ----

const random = (bytes) => {
  const all = [...crypto.getRandomValues(new Uint8Array(bytes))];
  return all.map((byte) => (byte + 256).toString(16).slice(1)).join("");
};

// As `sdk-core/src/wire/bucket.rs` has it.
const fnv = (text) => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
};
const bucket = (text) => fnv(String(fnv(text))) % BUCKETS;

/** Begins: what the stub calls. */
export default async (host) => {
  const { key, post, copy, emit, tell, own, books, begin, stored, purposes } = host;
  // The core has come first.
  if (tell("run", () => {})) throw Error("there is a core");
  const prefix = `cm.${key}.`;
  // Letters that this page has begun to send, oldest first: a name, events, and their length.
  const letters = [];
  // The first one while it is on its way, whether it goes on when the page ends, and what ends a wait.
  let flying;
  let isOutliving;
  let timer;
  let failures = 0;
  let isStopped;
  let isRefused;
  // The queue that takes the place of the stub's once who was in it is to be forgotten.
  let queue;
  // What the collector asks for: a share of visitors, and the most events and bytes of a letter.
  let sample = 1;
  let limits = {};
  let size = Infinity;

  const name = () => `${prefix}0${now().toString(16)}${random(10)}`;
  const who = () => stored((all) => all[`${prefix}me`].split("\x1d")[0]);
  // The customer whom the stub or an earlier core knows.
  const whose = () =>
    stored((all) => (all[`${prefix}out`] ?? all[`${prefix}customer`])?.match(/^[ -~]{1,128}$/)?.[0]);

  const body = ({ events }) => {
    const sdk = { name: "web-stub", version: "0.1.0", books };
    return stringify({ sent_at: now(), context: { sdk }, events });
  };

  const keptBy = (all) => Object.keys(all).filter((name) => name.startsWith(`${prefix}0`));

  // Until its fate is known a letter lies in storage, too: the page may be gone when it is.
  const keep = (letter) =>
    stored((all) => {
      if (!letter.events.length) delete all[letter.name];
      else if (letter.name in all || keptBy(all).length < LETTERS_MAX) {
        all[letter.name] = body(letter);
      }
    });

  // Takes events out of a letter, all but those that are left, and counts them.
  const drop = (letter, why, left = []) => {
    books[why] = (books[why] || 0) + letter.events.length - left.length;
    letter.events = left;
    if (!left.length) letters.splice(letters.indexOf(letter), 1);
    keep(letter);
  };

  // What the stub has begun to send is sent on here.
  const takeOver = () => {
    for (const name in own) {
      letters.push({ name, events: read(own[name]).events, length: FULL });
      delete own[name];
    }
  };

  // Whether the collector wants to hear of a share of visitors in an event of that kind.
  const isSampled = (type, visitor) => sample < 1 && visitor && !NEVER_SAMPLED.includes(type);

  const take = (event) => {
    const visitor = who();
    const isPart = isSampled(event.type, visitor);
    if (isPart && bucket(`sample${visitor}`) >= Math.ceil(sample * BUCKETS)) return;
    const was = whose();
    const begun = begin(event);
    const { context } = begun;
    const customer = event.type === "logout" ? was : whose();
    if (context.visitor && customer) context.customer = customer;
    if (queue) begun.queue = queue;
    if (isPart) begun.sample = sample;
    const { length } = stringify(begun);
    const { batch_bytes_max = 3 * FULL, batch_events_max = size } = limits;
    const bytes = Math.min(FULL, batch_bytes_max / 3) - HEAD;
    let last = letters[letters.length - 1];
    const isFull = () =>
      last.length + length > bytes || last.events.length >= Math.min(size, batch_events_max);
    if (!last || last === flying || isFull()) {
      // The oldest that is not on its way.
      if (letters.length >= LETTERS_MAX) drop(letters[flying ? 1 : 0], "dropped_full");
      last = { name: name(), events: [], length: 0 };
      letters.push(last);
    }
    last.events.push(begun);
    last.length += length;
    keep(last);
    send();
  };

  const send = async () => {
    takeOut();
    if (flying || timer || isStopped || !letters[0]) return;
    flying = letters[0];
    const text = body(flying);
    // A request that outlives its page may have failed for being one, so every second try does without.
    isOutliving = text.length < FULL && failures % 2 === 0;
    const wait = settle(flying, ...judge(...(await post(text, isOutliving))));
    flying = undefined;
    timer = setTimeout(() => {
      timer = undefined;
      send();
    }, Math.min(wait, TIMER_MAX));
  };

  const tellOf = ({ id, type, at }, verdict) =>
    emit("verdict", { outcome: "accepted", ...verdict, id, type, latency_ms: now() - at });

  // What an answer means for the letter on its way, and how long the next one has to wait.
  const settle = (letter, what, said, asked) => {
    const { events } = letter;
    if (what === FAILED) return backOff(asked);
    if (what === STOPPED) {
      isStopped = true;
      return 0;
    }
    const half = events.length >> 1;
    if (what === SPOILED && half) {
      // Halved until the one event is found that is to blame.
      const other = { name: name(), events: events.slice(half), length: FULL };
      letters.splice(1, 0, other);
      keep(other);
      size = half;
      letter.events = events.slice(0, half);
      keep(letter);
      return 0;
    }
    if (what === SPOILED) {
      tellOf(events[0], said);
      drop(letter, said.reason === "too_large" ? "dropped_large" : "settled");
      return 0;
    }
    sample = said.sample ?? 1;
    limits = { ...limits, ...said.limits };
    let wait;
    const again = events.filter((event, at) => {
      const verdict = said.verdicts?.find(({ index }) => index === at);
      tellOf(event, verdict);
      if (verdict?.outcome === "retry") wait = Math.max(wait || WAIT_MIN, verdict.after_ms || 0);
      return verdict?.outcome === "retry";
    });
    drop(letter, "settled", again);
    if (again.length === events.length) return backOff(wait);
    failures = 0;
    if (wait) return wait;
    // Letters grow again after one was taken.
    size *= 2;
    return 0;
  };

  // As long as was asked for, and on top anything up to what the failures so far call for, so that a
  // crowd of browsers comes back spread out.
  const backOff = (asked) => {
    failures += 1;
    return asked + jitter(failures);
  };

  // What earlier pages left behind, beside this page's own.
  const help = async (failures = 1) => {
    const isOurs = (name) => letters.some((letter) => letter.name === name);
    if (isStopped || (await resend(host, isOurs))) return;
    setTimeout(help, jitter(failures), failures + 1);
  };

  const leave = () => {
    takeOut();
    if (isStopped) return;
    for (const letter of letters) {
      const { length } = letter.events;
      const isGoing = letter.copied === length || (letter === flying && isOutliving);
      if (!isGoing && copy(body(letter))) letter.copied = length;
    }
  };

  // Whoever has refused is taken out of what is still to be sent, all but the word of that, which is of
  // no page. Where a core came later, nobody else says that they have.
  const takeOut = () => {
    if (purposes()?.includes("analytics") ?? true) return;
    for (const letter of [...letters]) {
      const left = letter.events.filter(({ context }) => !context?.visitor || !context.page);
      if (letter !== flying) drop(letter, "dropped_consent", left);
    }
  };

  // And forgotten. What lies in `localStorage` the stub forgets, and does so when it is asked for it.
  const obey = () => {
    const was = isRefused;
    isRefused = !(purposes()?.includes("analytics") ?? true);
    if (!isRefused || was) return;
    takeOut();
    stored(() => {});
    queue = random(16);
    try {
      indexedDB.deleteDatabase(`cm.${key}`);
    } catch {}
  };

  // By its own ears: where a core comes later, the stub tells that one.
  addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("pagehide", leave);
  // Consent was withdrawn in another tab: that takes the visit away, and nothing else does.
  addEventListener("storage", ({ key, newValue }) => {
    if (key === `${prefix}visit` && newValue === null) window.clickmill.consent("");
  });
  obey();
  takeOver();
  help();
  send();
  return {
    run: (run) => run(),
    track: take,
    flush: () => {
      send();
    },
    consent: obey,
    hidden: () => {},
    gone: () => {},
    back: () => {
      takeOver();
      send();
    },
  };
};
