// What becomes of a page's films and sounds: begun, a quarter, half and three quarters seen, ended, or
// left before that, and how long was really played. An element's name is its `data-cm-media` or its
// id; its address is not told.
(() => {
  const { clickmill } = window;
  if (!clickmill) {
    console.warn("clickmill: clickmill_media.js has to stand behind clickmill.js");
    return;
  }
  const MARKS = [25, 50, 75];
  const doc = document;
  const now = () => performance.now();
  // By element: how far it got and how long it played.
  const plays = new Map();

  const settle = (play) => {
    if (play.since !== undefined) play.played += now() - play.since;
    play.since = undefined;
  };
  const tell = (element, action, percent) => {
    const play = plays.get(element);
    const isOn = play.since !== undefined;
    settle(play);
    if (isOn && !element.paused) play.since = now();
    const { localName, id, dataset, currentTime, duration } = element;
    clickmill.track("media", {
      media: String(dataset.cmMedia || id || localName).slice(0, 128),
      kind: localName,
      action,
      percent,
      position_ms: Math.round(currentTime * 1000),
      // A stream has no end.
      duration_ms: Number.isFinite(duration) ? Math.round(duration * 1000) : undefined,
      played_ms: Math.round(play.played),
    });
  };

  const RUN = {
    playing: (element) => {
      const isNew = !plays.has(element);
      if (isNew) plays.set(element, { played: 0, mark: 0 });
      plays.get(element).since ??= now();
      if (isNew) tell(element, "start");
    },
    timeupdate: (element) => {
      const play = plays.get(element);
      const percent = (element.currentTime / element.duration) * 100;
      if (!play || !(percent > 0)) return;
      // A jump ahead passes what lies between.
      const mark = MARKS.filter((mark) => mark <= percent).pop() || 0;
      if (mark > play.mark) tell(element, "progress", (play.mark = mark));
    },
    pause: (element) => {
      const play = plays.get(element);
      if (play && !element.ended) settle(play);
    },
    waiting: (element) => RUN.pause(element),
    ended: (element) => {
      if (!plays.has(element)) return;
      tell(element, "end", 100);
      plays.delete(element);
    },
  };
  // These events do not bubble, but they are caught on their way down.
  for (const [name, run] of Object.entries(RUN)) {
    doc.addEventListener(name, ({ target }) => /^(audio|video)$/.test(target.localName) && run(target), {
      capture: true,
      passive: true,
    });
  }
  addEventListener(
    "pagehide",
    () => {
      plays.forEach((_, element) => tell(element, "leave"));
      plays.clear();
    },
    { capture: true },
  );
})();
