// Which arm of an experiment a visitor is in: `clickmill.variant("checkout")`, answered at once from a
// hash of the visitor's id and of what the site's settings say runs here. A hint of the kind `variant`,
// `{"experiment": key, "arm": n}`, goes over it; one without an arm says that this visitor takes no
// part. What is not known is the control, and nobody was exposed to it. `await clickmill.variants()`
// waits for the settings.
//
// The hash is GrowthBook's, version 2, as `sdk-core/src/wire/bucket.rs` has it.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_experiments.js has to stand behind clickmill.js");
    return;
  }
  const BUCKETS = 10000;

  // FNV-1a, 32 bits, of ASCII.
  const fnv = (text) => {
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    return hash >>> 0;
  };
  const bucket = (seed, value) => fnv(String(fnv(seed + value))) % BUCKETS;

  /** The arm of a visitor, counted from 0, the control; none who takes no part. */
  const arm = ({ seed, weights, coverage, namespace }, visitor) => {
    if (namespace) {
      const thousandth = fnv(`${visitor}__${namespace.name}`) % 1000;
      if (thousandth < namespace.from || thousandth >= namespace.to) return;
    }
    const mine = bucket(seed, visitor);
    let start = 0;
    for (const [arm, weight] of weights.entries()) {
      if (mine >= start && mine < start + Math.floor((weight * coverage) / BUCKETS)) return arm;
      start += weight;
    }
  };

  // By key: what the site says of an experiment, and the arm that the stream said.
  const sites = new Map();
  const said = new Map();
  let unasked = [];
  // Experiments that were told of this page view.
  let told = new Set();

  const mine = (key) => {
    const granted = clickmill.consent()?.split(",") || unasked;
    const visitor = clickmill.visitor();
    if (!visitor || !granted.some((purpose) => purpose.trim() === "experiments")) return;
    if (said.has(key)) return said.get(key);
    if (sites.has(key)) return arm(sites.get(key), visitor);
  };

  /** The arm that the page shows, counted from 0, the control. */
  const variant = (experiment) => {
    const arm = mine(experiment);
    // Nobody takes part unknowingly.
    if (!(arm >= 0)) return 0;
    if (!told.has(experiment)) {
      told.add(experiment);
      clickmill.track("experiment_view", { experiment, arm });
    }
    return arm;
  };

  document.addEventListener("clickmill:hint", ({ detail: { kind, content } }) => {
    if (kind === "variant") said.set(content?.experiment, content?.arm);
    if (kind === "reset") said.clear();
  });
  document.addEventListener("clickmill:event", ({ detail: { type } }) => {
    if (type === "page_view") told = new Set();
  });

  const { key, collector } = document.querySelector("script[data-collector]")?.dataset || {};
  const known = fetch(`${collector}/v1/config?k=${encodeURIComponent(key)}`)
    .then((reply) => reply.json())
    .then(({ experiments, consent }) => {
      for (const one of experiments || []) sites.set(one.key, one);
      unasked = consent?.granted || [];
    })
    .catch(() => {});

  Object.assign(clickmill, { bucket, variant, variants: () => known });
})();
