// Errors of the page's scripts, each told once and so many on a page that they tell enough. What an
// error says may be somebody's: the schema marks it as personal, addresses go without their queries.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_errors.js has to stand behind clickmill.js");
    return;
  }
  const { max } = document.currentScript?.dataset || {};
  // Errors told on one page.
  const MOST = max || 10;
  const cut = (text, most) => String(text ?? "").slice(0, most) || undefined;
  // Addresses in a text without what stands in their queries.
  const bare = (text) => String(text ?? "").replace(/[?#][^\s:)]*/g, "");

  const seen = new Set();
  let isTelling;
  const tell = (kind, error, { filename, lineno, colno } = {}) => {
    // An error on the way of an error would go on for ever.
    if (isTelling || seen.size >= MOST) return;
    const isError = error instanceof Error;
    let message;
    try {
      message = isError ? error.message : String(error);
    } catch {
      message = "";
    }
    const known = [kind, message, filename, lineno, colno].join();
    if (seen.has(known)) return;
    seen.add(known);
    isTelling = true;
    try {
      clickmill.track("js_error", {
        kind,
        name: isError ? cut(error.name, 64) : undefined,
        message: cut(message, 256),
        source: cut(bare(filename), 2048),
        line: lineno || undefined,
        column: colno || undefined,
        stack: isError ? cut(bare(error.stack), 1024) : undefined,
        is_last: seen.size >= MOST || undefined,
      });
    } finally {
      isTelling = false;
    }
  };

  addEventListener("error", (event) => {
    // What failed to load is an element's; a script of another site says nothing.
    if (event instanceof ErrorEvent) tell("error", event.error ?? event.message, event);
  });
  addEventListener("unhandledrejection", ({ reason }) => tell("rejection", reason));
})();
