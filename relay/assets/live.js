// The live page: reads this relay's own metrics once a second and draws them. Nothing leaves the page.
(() => {
  "use strict";

  const EVERY_MS = 1000;
  const KEPT = 120;
  // What a chart shows: two minutes.
  const SPAN_MS = 120000;
  const KINDS = ["suggest", "stock", "withdraw", "promote", "variant", "reset"];
  const SVG = "http://www.w3.org/2000/svg";

  const find = (id) => document.getElementById(id);
  const series = { at: [], p50: [], p99: [], kinds: KINDS.map(() => []) };
  let before = null;

  // Prometheus' text form: name{label="value",…} number.
  const parse = (text) => {
    const rows = [];
    for (const line of text.split("\n")) {
      const match = /^([a-z_]+)(?:\{(.*)\})? ([^ ]+)$/.exec(line);
      if (!match) continue;
      const labels = {};
      for (const [, name, value] of (match[2] || "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
      rows.push({ name: match[1], labels, value: Number(match[3]) });
    }
    return rows;
  };

  const look = (text) => {
    const rows = parse(text);
    const of = (name) => rows.filter((row) => row.name === `clickmill_relay_${name}`);
    const sum = (name) => of(name).reduce((all, row) => all + row.value, 0);
    return { at: performance.now(), of, sum };
  };

  const shown = (number, digits = 0) =>
    Number.isFinite(number) ? number.toLocaleString("en", { maximumFractionDigits: digits }) : "–";

  const say = (id, text) => {
    find(id).textContent = text;
  };

  // A relay that began anew counts from nothing.
  const rate = (now, then, seconds) => (!(now >= then) || seconds <= 0 ? NaN : (now - then) / seconds);

  // The gauge of one kind, ms.
  const quantile = (now, kind, which) => {
    const row = now.of("click_to_hint_quantile_seconds").find((r) => r.labels.kind === kind && r.labels.quantile === which);
    return row ? row.value * 1000 : NaN;
  };

  const keep = (list, value) => {
    list.push(value);
    if (list.length > KEPT) list.shift();
  };

  const make = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };

  const draw = (id, lines) => {
    const chart = find(id);
    // As wide as it is on this page, so that its words are as large as the others.
    const [width, height, left, right, head, foot] = [chart.clientWidth, 180, 34, 4, 8, 20];
    const values = lines.flatMap((line) => line.values).filter(Number.isFinite);
    const top = Math.max(1, ...values) * 1.15;
    const y = (value) => height - foot - (value / top) * (height - head - foot);
    // By the clock: a tab out of sight looks less often.
    const last = series.at[series.at.length - 1];
    const x = (at) => width - right - ((last - series.at[at]) / SPAN_MS) * (width - left - right);
    const nodes = [0, 0.5, 1].flatMap((share) => {
      const value = (top / 1.15) * share;
      return [
        make("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        make("text", { x: 0, y: y(value) + 4 }, shown(value, value < 10 ? 1 : 0)),
      ];
    });
    nodes.push(make("text", { x: left, y: height - 4 }, "2 min ago"), make("text", { class: "end", x: width - right, y: height - 4 }, "now"));
    for (const { values: points, key } of lines) {
      const path = points.map((value, at) => (Number.isFinite(value) && x(at) >= left ? `${x(at).toFixed(1)},${y(value).toFixed(1)}` : ""));
      nodes.push(make("polyline", { class: `drawn stroke-${key}`, points: path.filter(Boolean).join(" ") }));
    }
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.replaceChildren(...nodes);
  };

  const table = (id, rows, empty) => {
    const lines = rows.map((cells) => {
      const line = document.createElement("tr");
      for (const cell of cells) {
        const td = document.createElement("td");
        td.textContent = cell;
        if (/^[\d.,–]+$/.test(cell)) td.className = "n";
        line.append(td);
      }
      return line;
    });
    if (lines.length) find(id).replaceChildren(...lines);
    else if (empty) find(id).textContent = "";
  };

  const show = (now) => {
    const seconds = before ? (now.at - before.at) / 1000 : 0;
    const counted = (name) => rate(now.sum(name), before?.sum(name), seconds);
    const kindOf = (view, kind) => view.of("hints_total").filter((r) => r.labels.kind === kind).reduce((all, r) => all + r.value, 0);

    // Kinds are not alike, so the busiest one is shown of those that answer clicks.
    const timed = KINDS.filter((kind) => Number.isFinite(quantile(now, kind, "0.5")));
    const busiest = timed.sort((a, b) => kindOf(now, b) - kindOf(now, a))[0];
    const [p50, p99] = ["0.5", "0.99"].map((which) => quantile(now, busiest, which));
    keep(series.at, now.at);
    keep(series.p50, p50);
    keep(series.p99, p99);
    say("p50", shown(p50, 1));
    say("p99", shown(p99, 1));
    say("hints", shown(counted("hints_total"), 1));
    say("hints-total", shown(now.sum("hints_total")));
    say("streams", shown(now.sum("streams_open")));
    say("forwarded", shown(now.sum("streams_forwarded")));
    say("feeds", shown(now.sum("feeds_open")));
    say("missed", shown(now.sum("feed_missed_total")));
    find("missed").className = now.sum("feed_missed_total") > 0 ? "bad" : "";
    say("withdrawn", shown(kindOf(now, "withdraw")));
    say("violations", shown(now.sum("violations_total")));
    find("violations").className = now.sum("violations_total") > 0 ? "bad" : "";
    say("clicks", shown(counted("records_total"), 1));
    say("lag", shown(now.sum("lag_records")));
    say("stock-age", shown(now.sum("stock_age_seconds"), 1));
    say("stale", shown(now.sum("stock_stale_tenants")));
    find("stale").className = now.sum("stock_stale_tenants") > 0 ? "bad" : "";

    KINDS.forEach((kind, at) => keep(series.kinds[at], rate(kindOf(now, kind), before ? kindOf(before, kind) : undefined, seconds)));
    draw("latency", [{ values: series.p50, key: 1 }, { values: series.p99, key: 2 }]);
    const live = KINDS.map((kind, at) => ({ kind, values: series.kinds[at], key: at + 1 })).filter((line) => kindOf(now, line.kind) > 0);
    draw("rates", live);
    const keys = live.map(({ kind, key }) => {
      const span = document.createElement("span");
      span.className = `key key-${key}`;
      span.textContent = kind;
      return span;
    });
    const title = document.createElement("span");
    title.textContent = "Hints a second";
    find("kinds").replaceChildren(title, ...keys);

    const then = new Map(before?.of("hints_total").map((r) => [`${r.labels.kind} ${r.labels.slot}`, r.value]));
    table("by-slot", now.of("hints_total").filter((r) => r.value > 0).sort((a, b) => b.value - a.value).map((r) => {
      const { kind, slot } = r.labels;
      return [kind, slot || "whole page", shown(rate(r.value, then.get(`${kind} ${slot}`), seconds), 1), shown(r.value)];
    }));
    table("by-kind", KINDS.filter((kind) => Number.isFinite(quantile(now, kind, "0.5")) && kindOf(now, kind) > 0).map((kind) => {
      const seen = now.of("click_to_exposure_seconds_count").find((r) => r.labels.kind === kind);
      return [kind, shown(quantile(now, kind, "0.5"), 1), shown(quantile(now, kind, "0.99"), 1), shown(seen ? seen.value : 0)];
    }));
    table("silent", now.of("silent_total").map((r) => [r.labels.why, shown(r.value)]));
    before = now;
  };

  const tick = async () => {
    const trouble = find("trouble");
    try {
      const [metrics, ready] = await Promise.all([fetch("/metrics"), fetch("/ready")]);
      show(look(await metrics.text()));
      find("ready").className = `pill ${ready.ok ? "good" : "bad"}`;
      say("ready", ready.ok ? "ready" : "not ready");
      trouble.hidden = true;
    } catch {
      find("ready").className = "pill bad";
      say("ready", "does not answer");
      trouble.hidden = false;
      trouble.textContent = "This relay does not answer. What is shown is what it said last.";
    }
    setTimeout(tick, EVERY_MS);
  };
  tick();
})();
