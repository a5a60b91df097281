// Which arm of an experiment a visitor is in: `clickmill.variant("checkout")`, answered at once from a
// hash of the visitor's id, from what the site's settings say runs here and for whom, and from what the
// stream said: a hint of the kind `variant`, `{"experiment": key, "arm": n}`, goes over the hash; one
// without an arm says that this visitor takes no part. All of that is kept with the visitor, where that
// is allowed, so the next page knows it from its first moment on. What is not known is the control, and
// nobody was exposed to it. `await clickmill.variants()` waits for the settings and the visitor.
//
// Whom an experiment is for (`audience`) is asked until the visitor belongs to it; from then on they
// do, whatever page they are on. It asks for nothing that an arm could have changed.
//
// The hash is GrowthBook's, version 2, as `sdk-core/src/wire/bucket.rs` has it.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_experiments.js has to stand behind clickmill.js");
    return;
  }
  const BUCKETS = 10000;
  // A core that is not there by then is not waited for, ms.
  const PATIENCE = 4000;

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

  // Whether who sees this page is one of those that an experiment is for.
  const fits = ({ languages, page_kinds, paths, width, customer }) => {
    const language = `${navigator.language}-`.toLowerCase();
    const speaks = (one) => language.startsWith(`${one.toLowerCase()}-`);
    const kind = document.querySelector("[data-page-kind]")?.dataset.pageKind;
    const { pathname } = location;
    const isAt = (path) =>
      path.endsWith("*") ? pathname.startsWith(path.slice(0, -1)) : pathname === path;
    return (
      (!languages || languages.some(speaks)) &&
      (!page_kinds || page_kinds.includes(kind)) &&
      (!paths || paths.some(isAt)) &&
      (!width || (innerWidth >= width.from && innerWidth < width.to)) &&
      (customer === undefined || customer === !!stored((all) => all[`${prefix}customer`]?.trim()))
    );
  };

  const { key, collector } = document.querySelector("script[data-collector]")?.dataset || {};
  const prefix = `cm.${key}.`;
  const item = `${prefix}experiments`;
  // Storage may be denied or full.
  const stored = (run) => {
    try {
      return run(localStorage);
    } catch {}
  };

  // The site's experiments and what counts as granted there, once it has said so.
  let site;
  // What is known of a visitor: the experiments that they heard of last, arms that the stream said,
  // and what they belong to, each by the seed of it.
  let known = {};
  // Experiments that were told of this page view.
  let told = new Set();

  // What the visitor has granted or, where they said nothing, the site.
  const allows = (purpose, site) =>
    (clickmill.consent()?.split(/[\s,]+/) || site?.granted || []).includes(purpose);

  // What is known of who sees this page; nothing where it may not be.
  const recall = () => {
    // Nobody has been asked yet: what is known stays known.
    if (clickmill.consent() === "pending") return;
    // Another tab may have heard more.
    const kept = stored((all) => JSON.parse(all[item]));
    const visitor = clickmill.visitor();
    if (!visitor || !allows("experiments", site || kept)) {
      known = {};
      stored((all) => delete all[item]);
      return;
    }
    const mine = [kept, known].find((one) => one?.visitor === visitor);
    // What the site said is true of anybody.
    known = { ...kept, ...(mine || { visitor, said: {}, inside: {} }), ...site };
    return known;
  };
  const keep = () => stored((all) => (all[item] = JSON.stringify(known)));

  const mine = (experiment) => {
    if (!recall()) return;
    const { said, inside, experiments } = known;
    if (experiment in said) return said[experiment];
    const one = experiments?.find(({ key }) => key === experiment);
    if (!one) return;
    if (inside[experiment] !== one.seed) {
      if (!fits(one.audience || {})) return;
      inside[experiment] = one.seed;
      keep();
    }
    return arm(one, known.visitor);
  };

  /** The arm that the page shows, counted from 0, the control. */
  const variant = (experiment) => {
    const arm = mine(experiment);
    // Nobody takes part unknowingly.
    if (typeof arm !== "number") return 0;
    if (!told.has(experiment)) {
      told.add(experiment);
      clickmill.track("experiment_view", { experiment, arm });
    }
    return arm;
  };

  document.addEventListener("clickmill:hint", ({ detail: { kind, content } }) => {
    if (!/variant|reset/.test(kind) || !recall()) return;
    if (kind === "reset") known.said = {};
    else if (content) known.said[content.experiment] = content.arm ?? null;
    keep();
  });
  document.addEventListener("clickmill:event", ({ detail: { type } }) => {
    if (type === "page_view") told = new Set();
  });

  // Asks for the settings, once that may be.
  let ask;
  const asked = new Promise((done) => {
    ask = () => {
      if (clickmill.consent() === "pending") return;
      ask = () => {};
      fetch(`${collector}/v1/config?k=${encodeURIComponent(key)}`)
        .then((reply) => reply.json())
        .then(({ experiments = [], consent }) => {
          site = { experiments, granted: consent?.granted };
          if (recall()) keep();
        })
        // Who is new here is somebody as soon as there is a core.
        .then(() => {
          const isWaited = ["analytics", "experiments"].every((purpose) => allows(purpose, site));
          if (clickmill.visitor() || !isWaited || !site.experiments.length) return;
          return new Promise((come) => {
            document.addEventListener("clickmill:state", come, { once: true });
            setTimeout(come, PATIENCE);
          });
        })
        .catch(() => {})
        .then(done);
    };
  });
  const { consent } = clickmill;
  clickmill.consent = (purposes) => {
    const granted = consent(purposes);
    if (purposes != null) ask();
    return granted;
  };
  ask();

  Object.assign(clickmill, { bucket, variant, variants: () => asked });
})();
