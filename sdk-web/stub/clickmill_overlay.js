// What the SDK does, on the page itself: events, verdicts, hints, the queue and its books. Opens where
// the address has `?clickmill=debug`, and does nothing elsewhere.
(() => {
  if (!/[?&]clickmill=debug\b/.test(location.search)) return;
  const ROWS_MAX = 50;
  const doc = document;
  // In a shadow, so that neither the page nor this changes the other's looks.
  const host = doc.createElement("div");
  host.style.cssText = "position:fixed;inset:auto 0 0 0;z-index:2147483647";
  const shadow = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { color-scheme: light dark; font: 12px/1.5 ui-monospace, monospace }
    details { background: Canvas; color: CanvasText; border-top: 2px solid #4a7; box-shadow: 0 -2px 8px #0004 }
    summary { cursor: pointer; padding: 4px 8px }
    div { max-height: 40vh; overflow: auto; padding: 0 8px 8px }
    table { border-collapse: collapse; width: 100% }
    td { padding: 1px 8px 1px 0; vertical-align: top; overflow-wrap: anywhere }
    td:nth-child(-n+3) { white-space: nowrap }
    .bad { color: light-dark(#b00020, #ff8a80) }
  `);
  shadow.adoptedStyleSheets = [sheet];
  const make = (parent, name, text = "") => {
    const element = doc.createElement(name);
    element.textContent = text;
    return parent.appendChild(element);
  };
  const panel = make(shadow, "details");
  panel.open = true;
  const summary = make(panel, "summary", "clickmill: the core is not here yet");
  const scroll = make(panel, "div");
  scroll.tabIndex = 0;
  const rows = make(make(scroll, "table"), "tbody");

  // The row of each event, for its verdict.
  const events = new Map();
  const line = (what, name, text, isBad) => {
    const row = doc.createElement("tr");
    for (const cell of [new Date().toTimeString().slice(0, 8), what, name, text]) make(row, "td", cell);
    row.className = isBad ? "bad" : "";
    rows.prepend(row);
    if (rows.childElementCount > ROWS_MAX) rows.lastElementChild.remove();
    return row;
  };
  const short = (value) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return text?.length > 300 ? `${text.slice(0, 300)}…` : text || "";
  };

  const HEAR = {
    event: ({ id, type, props }) => {
      events.set(id, line("event", type, short(props)));
      if (events.size > ROWS_MAX) events.delete(events.keys().next().value);
    },
    verdict: ({ id, type, outcome, reason, schema, pointer, latency_ms }) => {
      const isBad = !/accepted|duplicate/.test(outcome);
      const text = [outcome, reason, schema, pointer, `${latency_ms} ms`].filter(Boolean).join(" · ");
      const row = events.get(id);
      if (!row) return line("verdict", type, text, isBad);
      row.children[1].textContent = outcome;
      row.title = text;
      if (isBad) {
        row.className = "bad";
        row.children[3].textContent = `${text} ${row.children[3].textContent}`;
      }
    },
    hint: ({ id, kind, slot, content, latency_ms }) =>
      line("hint", `${kind} ${slot || ""}`, `${id} ${latency_ms ?? "–"} ms ${short(content)}`),
    state: ({ delivery, stream, queued, books }) => {
      const { created, settled, since, ...dropped } = books || {};
      const lost = Object.entries(dropped).filter(([, count]) => count > 0);
      summary.textContent =
        `clickmill: ${queued} queued, ${delivery} · hints ${stream} · ${created} created = ${settled} settled` +
        lost.map(([name, count]) => ` + ${count} ${name}`).join("");
    },
  };
  for (const [name, run] of Object.entries(HEAR)) {
    doc.addEventListener(`clickmill:${name}`, ({ detail }) => run(detail));
  }
  const open = () => doc.body.append(host);
  if (doc.body) open();
  else doc.addEventListener("DOMContentLoaded", open);
})();
