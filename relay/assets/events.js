// Events as they come, on the live page: reads the collector's inspector through this relay. The token
// comes from the form or from the address's fragment, which no server sees, and is kept nowhere.
(() => {
  "use strict";

  const KEPT = 60;
  const find = (id) => document.getElementById(id);
  const say = (text) => {
    find("seen").textContent = text;
  };
  let looking = null;
  let lines = 0;

  const cell = (text, title) => {
    const td = document.createElement("td");
    td.textContent = text;
    if (title) td.title = title;
    return td;
  };

  // The whole of it opens on demand.
  const whole = (told) => {
    const td = document.createElement("td");
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const text = document.createElement("pre");
    const said = [told.reason, told.pointer, told.detail, told.note].filter(Boolean).join(" ");
    summary.textContent = said || JSON.stringify(told.value?.props ?? told.value ?? {}).slice(0, 160);
    text.textContent = JSON.stringify(told, null, 2);
    details.append(summary, text);
    td.append(details);
    return td;
  };

  const row = (told) => {
    const tr = document.createElement("tr");
    if (told.lost) {
      const td = cell(`${told.lost} events passed unread`);
      td.colSpan = 5;
      tr.append(td);
      return tr;
    }
    const outcome = cell(told.outcome);
    outcome.className = told.outcome === "accepted" ? "good" : told.outcome === "rejected" ? "bad" : "";
    const at = new Date(told.received_at).toISOString().slice(11, 23);
    tr.append(cell(at), outcome, cell(told.type ?? "–"), cell((told.visitor ?? "–").slice(0, 8), told.visitor), whole(told));
    return tr;
  };

  const show = (text) => {
    const rows = find("lines");
    if (!lines) rows.textContent = "";
    lines += 1;
    rows.prepend(row(JSON.parse(text)));
    while (rows.children.length > KEPT) rows.lastChild.remove();
    say(`${lines.toLocaleString("en")} seen`);
  };

  const stop = (text) => {
    looking?.abort();
    looking = null;
    find("go").textContent = "Look";
    say(text);
  };

  const read = async (body, mine) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || mine !== looking) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      // An empty line says that the collector is there.
      for (const part of parts) if (part) show(part);
    }
  };

  const look = async () => {
    const mine = new AbortController();
    looking = mine;
    lines = 0;
    find("go").textContent = "Stop";
    say("asking…");
    const query = new URLSearchParams({ as: "json" });
    for (const id of ["type", "visitor", "outcome"]) if (find(id).value) query.set(id, find(id).value.trim());
    try {
      const headers = { authorization: `Bearer ${find("token").value.trim()}` };
      const answer = await fetch(`/inspect/tail?${query}`, { headers, signal: mine.signal });
      if (!answer.ok) return stop((await answer.text()).trim());
      say("waiting for the first…");
      await read(answer.body, mine);
      if (mine === looking) stop("The collector said no more.");
    } catch {
      if (mine === looking) stop("The collector can no longer be heard.");
    }
  };

  find("look").addEventListener("submit", (event) => {
    event.preventDefault();
    if (looking) stop("stopped");
    else look();
  });

  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    find("token").value = given;
    history.replaceState(null, "", location.pathname);
    look();
  }
})();
