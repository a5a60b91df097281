// Clicks that tell of trouble: the same thing clicked again and again in a rage, and a click on what
// looks as if it did something, after which nothing happens.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_friction.js has to stand behind clickmill.js");
    return;
  }
  // A rage: so many clicks, each within this time of the last one and this far from it, ms and px.
  const RAGE = 3;
  const SOON = 700;
  const NEAR = 40;
  // Nothing has happened for this long after a click, ms.
  const WAIT = 1000;
  // Rages and dead clicks told on one page, each.
  const MOST = 10;
  const LIVE = "a[href],button,summary,[role=button],[role=link],[role=tab],[onclick],input[type=submit],input[type=button]";
  const doc = document;

  const told = {};
  const tell = (type, element, more) => {
    told[type] = (told[type] || 0) + 1;
    if (told[type] > MOST) return;
    const { localName, id } = element;
    clickmill.track(type, { element: localName.slice(0, 32), id: String(id || "").slice(0, 128) || undefined, ...more });
  };

  // ---- Rage ----

  let run = [];
  let rage;
  const enrage = (event, element) => {
    const last = run.at(-1);
    const { clientX: x, clientY: y, timeStamp: at } = event;
    const goesOn = last && at - last.at < SOON && Math.hypot(x - last.x, y - last.y) < NEAR;
    run = goesOn ? [...run, { x, y, at }] : [{ x, y, at }];
    if (run.length < RAGE) return;
    // Told when it is over, with all its clicks.
    clearTimeout(rage);
    const clicks = run.length;
    rage = setTimeout(() => tell("rage_click", element, { clicks }), SOON);
  };

  // ---- Dead ----

  let wait;
  const lives = () => {
    wait = clearTimeout(wait);
    watch.disconnect();
  };
  // Whatever may be an answer to a click.
  const watch = new MutationObserver(lives);
  const SIGNS = ["scroll", "focusin", "change", "input", "submit", "toggle", "play", "pause", "popstate", "hashchange", "pagehide", "visibilitychange", "blur", "selectionchange"];
  for (const sign of SIGNS) addEventListener(sign, lives, { capture: true, passive: true });
  window.navigation?.addEventListener("navigate", lives);
  const suspect = (event) => {
    lives();
    const element = event.target.closest(LIVE);
    // A link elsewhere, a download and a key held down show nothing here.
    if (!element || event.metaKey || event.ctrlKey || element.target === "_blank") return;
    if (element.hasAttribute("download") || /^(mailto|tel|sms):/.test(element.href)) return;
    // A browser without that does not tell that it is on its way to another page.
    if (!window.navigation && element.href) return;
    watch.observe(doc, { subtree: true, childList: true, attributes: true, characterData: true });
    wait = setTimeout(() => {
      lives();
      tell("dead_click", element);
    }, WAIT);
  };

  addEventListener(
    "click",
    (event) => {
      const element = event.target;
      // Made by a script or by the keyboard.
      if (!(element instanceof Element) || !event.isTrusted || !event.detail) return;
      if (element.closest("[data-cm-private]")) return;
      suspect(event);
      enrage(event, element.closest(LIVE) || element);
    },
    { capture: true, passive: true },
  );
})();
