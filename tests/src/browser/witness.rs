//! What a page says about its SDK, written down in the page by a script that runs before its own.

use clickmill_sdk_core::wire::Books;
use serde::Deserialize;

/// Runs in every page before its own scripts: writes down what the SDK tells the page, across
/// navigations, in a place that no script of ours looks at. Where storage is denied, the page's own
/// memory has to do.
pub const WITNESS: &str = r"
let kept = {};
try {
  kept = sessionStorage;
  kept.getItem('');
} catch {}
Object.defineProperty(window, 'witness', { value: kept, configurable: true });
const read = (name) => JSON.parse(kept['witness.' + name] || '[]');
const write = (name, what) => (kept['witness.' + name] = JSON.stringify(what));
for (const name of ['hint', 'verdict']) {
  document.addEventListener('clickmill:' + name, (event) => {
    write(name, [...read(name), { ...event.detail, page: location.pathname, content: undefined }]);
  });
}
document.addEventListener('clickmill:state', (event) => {
  write('state', { ...event.detail, page_since: performance.timeOrigin });
});
const note = (body) => {
  let batch;
  try {
    batch = JSON.parse(body);
  } catch {
    return;
  }
  if (!batch.events) return;
  const { name, books } = batch.context.sdk;
  const sent = batch.events.map(({ id, queue }) => ({ id, queue, by: name, created: books.created }));
  write('sent', [...read('sent'), ...sent]);
};
const { fetch } = window;
window.fetch = (url, options) => {
  note(options?.body);
  return fetch(url, options);
};
const { fetchLater } = window;
if (fetchLater) {
  window.fetchLater = (url, options) => {
    note(options.body);
    return fetchLater(url, options);
  };
}
const { sendBeacon } = navigator;
navigator.sendBeacon = (url, body) => {
  note(body);
  return sendBeacon.call(navigator, url, body);
};
";

/// Reads the SDK's database. It is not made by the look at it: there is none before it is needed.
pub(super) const KEPT: &str = r"
const done = arguments[arguments.length - 1];
const all = (request) => new Promise((give, fail) => {
  request.onsuccess = () => give(request.result);
  request.onerror = () => fail(request.error);
});
(async () => {
  const found = [];
  for (const { name } of await indexedDB.databases()) {
    const database = await all(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const kept = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([all(kept.getAllKeys()), all(kept.getAll())]);
      keys.forEach((key, at) => found.push([key, values[at]]));
    }
    database.close();
  }
  done(found);
})().catch((error) => done(String(error)));
";

/// A hint as the page got it.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenHint {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// From click to hint, where the SDK knows the click.
    pub latency_ms: Option<f64>,
    /// The event that it answers.
    pub cause: Option<SeenCause>,
}

/// The event that a hint answers.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenCause {
    /// Its id.
    pub event: String,
}

/// An event that the SDK handed to the network, once for each time it did.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenSent {
    /// Its id.
    pub id: String,
    /// The queue it stood in.
    pub queue: String,
    /// Who sent it: `web`, which is the core, or `web-stub`.
    pub by: String,
    /// Events ever put into that queue, by the books in the same batch.
    pub created: u64,
}

/// How the SDK's core fared when it last said so.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenState {
    /// When the page began whose core said it: `performance.timeOrigin`.
    pub page_since: f64,
    /// Events that wait.
    pub queued: u64,
    /// Its books.
    pub books: Books,
}

/// A verdict as the page got it.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenVerdict {
    /// The event.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What became of it.
    pub outcome: String,
}
