// How a page feels: its web vitals. Time to first byte is told once it is known, the others when the
// page goes out of sight: the largest paint so far, the slowest interaction (of many, one in fifty
// is left out), and the worst run of layout shifts. What grew since is told anew; the last one of a
// page view counts.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_vitals.js has to stand behind clickmill.js");
    return;
  }
  // Good up to the first, poor above the second.
  const BOUNDS = { ttfb: [800, 1800], lcp: [2500, 4000], inp: [200, 500], cls: [0.1, 0.25] };
  // Shifts belong to one run while they follow each other within a second, five seconds long, ms.
  const GAP = 1000;
  const RUN = 5000;
  // Of so many interactions the slowest one is left out.
  const LEFT_OUT = 50;

  const told = {};
  const tell = (metric, value) => {
    if (!(value >= 0) || told[metric] === value) return;
    told[metric] = value;
    const [good, poor] = BOUNDS[metric];
    const rating = value <= good ? "good" : value <= poor ? "fair" : "poor";
    clickmill.track("web_vital", { metric, value, rating });
  };

  const watch = (type, run, options) => {
    try {
      const observer = new PerformanceObserver((list) => list.getEntries().forEach(run));
      observer.observe({ type, buffered: true, ...options });
      return () => observer.takeRecords().forEach(run);
    } catch {
      // This browser does not know it.
      return () => {};
    }
  };

  const [load] = performance.getEntriesByType("navigation");
  // A page that was made ready in advance began when it was shown.
  const since = load?.activationStart || 0;
  const span = (time) => Math.max(0, Math.round(time - since));

  let paint;
  // What is painted first when somebody comes to a tab that was opened out of sight tells of them.
  let isTouched = document.hidden && !document.prerendering;
  const largest = watch("largest-contentful-paint", ({ startTime }) => {
    if (!isTouched) paint = span(startTime);
  });
  // The page changes on purpose after that.
  const touch = () => {
    largest();
    isTouched = true;
  };
  for (const name of ["keydown", "pointerdown"]) addEventListener(name, touch, { capture: true, once: true });

  let worst;
  let run = { first: 0, last: 0, sum: 0 };
  const shifts = watch("layout-shift", ({ startTime, value, hadRecentInput }) => {
    if (hadRecentInput) return;
    if (startTime - run.last > GAP || startTime - run.first > RUN) run = { first: startTime, sum: 0 };
    run.last = startTime;
    run.sum += value;
    worst = Math.max(worst || 0, run.sum);
  });

  // The slowest interactions, slowest first, by id.
  let slow = [];
  let count = 0;
  const ids = new Set();
  const interactions = watch(
    "event",
    ({ interactionId, duration }) => {
      if (!interactionId) return;
      if (!ids.has(interactionId)) count++;
      ids.add(interactionId);
      if (ids.size > 100) ids.delete(ids.values().next().value);
      const same = slow.find(([id]) => id === interactionId);
      if (same) same[1] = Math.max(same[1], duration);
      else slow.push([interactionId, duration]);
      slow = slow.sort((a, b) => b[1] - a[1]).slice(0, 10);
    },
    { durationThreshold: 16 },
  );

  const first = () => {
    if (load?.responseStart) tell("ttfb", span(load.responseStart));
  };
  if (document.readyState === "complete") first();
  else addEventListener("load", first, { once: true });

  const end = () => {
    for (const rest of [largest, shifts, interactions]) rest();
    tell("lcp", paint);
    const at = Math.min(slow.length - 1, Math.floor(count / LEFT_OUT));
    if (slow.length) tell("inp", Math.round(slow[at][1]));
    // Where shifts are watched at all, none is the best there is.
    if (PerformanceObserver.supportedEntryTypes?.includes("layout-shift")) {
      tell("cls", Math.round((worst || 0) * 10000) / 10000);
    }
    // What is seen after the page was out of sight is no first impression.
    isTouched = true;
  };
  // Before the stub's own ear, so that it is still this page's.
  addEventListener("visibilitychange", () => document.hidden && end(), { capture: true });
  addEventListener("pagehide", end, { capture: true });
})();
