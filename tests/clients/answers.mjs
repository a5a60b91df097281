// Reads a table of answers with the browser SDK's own readers: the glue's `judge`, and what sends where
// there is no core. Prints how many there were, or fails at the first that is read otherwise.
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const [glue, alone, table] = process.argv.slice(2).map((path) => readFileSync(path, 'utf8'));
const FAILED = 8;
const STOPPED = 17;
// Beyond a wait that was asked for, the first try again is spread over this long, ms.
const SPREAD = 1000;

// What the clock says, where a case says so.
let clock;
const now = Date.now;
Date.now = () => clock ?? now();
// What waits.
let timers = [];
const wait = setTimeout;
globalThis.setTimeout = (run, wait = 0) => timers.push({ run, wait });
globalThis.addEventListener = () => {};

const load = (source, more = '') => import(`data:text/javascript,${encodeURIComponent(source + more)}`);
const { judge } = await load(glue, '\nexport { judge };');
const { default: begin } = await load(alone);

/** A page without a core whose first delivery, of three events, is answered, and whose later ones wait
 * for ever. */
const enter = async ({ status, body, retry_after = null }) => {
  const events = [0, 1, 2].map((seq) => ({ id: `e${seq}`, type: 'search', at: now(), queue: 'q', seq }));
  const page = { ids: events.map(({ id }) => id), bodies: [], verdicts: [], books: {} };
  timers = [];
  await begin({
    key: 'k',
    own: { 'cm.k.0a': JSON.stringify({ sent_at: now(), events }) },
    books: page.books,
    tell: () => {},
    stored: () => {},
    purposes: () => ['analytics'],
    emit: (name, detail) => name === 'verdict' && page.verdicts.push(detail),
    post: async (sent) => {
      if (page.bodies.push(JSON.parse(sent)) > 1) return new Promise(() => {});
      return status ? [status, body, retry_after] : [0];
    },
  });
  return page;
};

/** Lets everything happen that waits for nothing. */
const settle = () => new Promise((done) => wait(done));

const check = async (answer) => {
  const { status, retry_after = null, told, again_ms = 0, times = 1 } = answer;
  const body = answer.body?.repeat(times);
  clock = answer.now;
  const [what, text = ''] = status ? judge(status, body, retry_after) : judge(status);
  deepEqual([what, `${text}`], told);

  const page = await enter({ ...answer, body });
  await settle();
  const { ids } = page;
  deepEqual(page.bodies[0].events.map(({ id }) => id), ids);
  const fates = ids.map((id) => {
    const { outcome = 'again', reason } = page.verdicts.findLast((verdict) => verdict.id === id) ?? {};
    return reason ? [outcome, reason] : [outcome === 'retry' ? 'again' : outcome];
  });
  const expected = answer.fates ?? ids.map(() => ['again']);
  deepEqual(fates, expected);
  const again = ids.filter((_, i) => expected[i][0] === 'again');
  equal(page.books.settled ?? 0, ids.length - again.length);
  const least = what === FAILED ? +text : again_ms;
  equal(timers.length, 1);
  const [next] = timers;
  // Who is told to stop looks once more, and sends nothing.
  ok(what === STOPPED || (next.wait >= least && next.wait <= least + SPREAD), `a wait of ${next.wait} ms`);
  next.run();
  const sent = page.bodies[1]?.events.map(({ id }) => id) ?? [];
  deepEqual(sent, again.slice(0, sent.length));
  equal(sent.length > 0, again.length > 0 && what !== STOPPED);
  clock = undefined;
};

const answers = JSON.parse(table);
for (const answer of answers) {
  try {
    await check(answer);
  } catch (error) {
    console.error(`${answer.name}: ${error.message}`);
    process.exit(1);
  }
}
console.log(answers.length);
