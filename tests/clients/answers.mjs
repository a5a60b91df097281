// Reads a table of answers with the browser SDK's own readers: the glue's `judge`, and the stub in a page
// of plain values. Prints how many there were, or fails at the first that is read otherwise.
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';

const [stub, glue, table] = process.argv.slice(2).map((path) => readFileSync(path, 'utf8'));
// What the clock says, where a case says so.
let clock;
const now = Date.now;
Date.now = () => clock ?? now();
const { judge } = await import(`data:text/javascript,${encodeURIComponent(`${glue}\nexport { judge };`)}`);
// Beyond a wait that was asked for, the stub spreads its tries over this long, ms.
const SPREAD = 5000;

/** The stub in a page whose first delivery is answered, and whose later ones wait for ever. */
const begin = ({ status, body, retry_after: wait = null }) => {
  const page = { bodies: [], timers: [], verdicts: [] };
  const ask = async (_, { body: sent }) => {
    if (page.bodies.push(JSON.parse(sent)) > 1) return new Promise(() => {});
    if (!status) throw new TypeError('no network');
    return { status, text: async () => body, headers: { get: () => wait } };
  };
  const document = {
    currentScript: { dataset: { key: 'k', collector: 'http://in.example', consent: '' } },
    readyState: 'complete', title: '', referrer: '',
    querySelector: () => null,
    addEventListener: () => {},
    dispatchEvent: ({ type, detail }) => {
      if (type === 'clickmill:verdict') page.verdicts.push(detail);
      return true;
    },
  };
  const all = {
    document, fetch: ask, crypto, console, URLSearchParams, AbortSignal,
    CustomEvent: class { constructor(type, { detail }) { Object.assign(this, { type, detail }); } },
    setTimeout: (run, wait = 0) => page.timers.push({ run, wait }),
    addEventListener: () => {}, navigator: {}, screen: {}, innerWidth: 1280, innerHeight: 900,
    location: { href: 'http://shop.example/', search: '' },
  };
  all.window = all;
  runInContext(stub, createContext(all));
  page.track = all.clickmill.track;
  return page;
};

/** Lets everything happen that waits for nothing. */
const settle = () => new Promise((done) => setTimeout(done));

const check = async (answer) => {
  const { status, retry_after = null, told, again_ms, times = 1 } = answer;
  const body = answer.body?.repeat(times);
  clock = answer.now;
  const [what, text = ''] = status ? judge(status, body, retry_after) : judge(status);
  deepEqual([what, `${text}`], told);

  clock = undefined;

  const page = begin({ ...answer, body });
  page.track('search', {});
  page.track('search', {});
  // It waits no longer for a core.
  page.timers.shift().run();
  await settle();
  const ids = page.bodies[0].events.map(({ id }) => id);
  equal(ids.length, 3);
  const fates = ids.map((id) => {
    const { outcome = 'again', reason } = page.verdicts.findLast((verdict) => verdict.id === id) ?? {};
    return reason ? [outcome, reason] : [outcome === 'retry' ? 'again' : outcome];
  });
  const expected = answer.fates ?? ids.map(() => ['again']);
  deepEqual(fates, expected);
  const again = ids.filter((_, i) => expected[i][0] === 'again');
  equal(page.timers.length, Math.min(again.length, 1));
  for (const { run, wait } of page.timers) {
    ok(wait >= again_ms && wait <= again_ms + SPREAD, `a wait of ${wait} ms`);
    run();
    const next = page.bodies[1].events.map(({ id }) => id);
    deepEqual(next, again.slice(0, next.length));
  }
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
