//! Carries out what the client wants, and tells it what happens.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use clickmill_sdk_core::client::{
    Client, ClientOptions, Effect, Input, Remembered, Storage, Transport,
};
use clickmill_sdk_core::wire::{Consent, Millis, Purpose, SiteConfig};

use crate::host::Host;
use crate::report;
use crate::store::{Hold, Store};
use crate::stream::Stream;
use crate::timer::Timer;

/// The core's parts in one page.
#[derive(Debug)]
pub(crate) struct Shell {
    host: Host,
    myself: Weak<Self>,
    /// The site's settings, kept for a client that begins anew.
    site: Option<SiteConfig>,
    /// What the page said last about consent.
    consent: RefCell<Option<Consent>>,
    parts: RefCell<Parts>,
}

/// What changes when the client begins anew.
#[derive(Debug)]
struct Parts {
    client: Client,
    store: Option<Store>,
    stream: Option<Stream>,
    timer: Option<Timer>,
}

impl Shell {
    /// Starts a client on what storage kept.
    pub(crate) fn start(host: Host, site: Option<SiteConfig>) -> Rc<Self> {
        let shell = Rc::new_cyclic(|myself: &Weak<Self>| {
            let consent = host.consent().map(|granted| consent(&granted, &host));
            let parts = RefCell::new(begin(&host, consent.clone()));
            Self { host, myself: myself.clone(), site, consent: RefCell::new(consent), parts }
        });
        shell.configure();
        shell
    }

    /// Tells the client what happened, and does what it wants.
    pub(crate) fn step(&self, input: Input) {
        let now = now();
        if let Input::ConsentSet(consent) = &input {
            self.consent.replace(Some(consent.clone()));
        }
        if self.look(now) == Hold::Lost {
            self.begin_anew();
        }
        let effects = self.parts.borrow_mut().client.step(now, input);
        effects.into_iter().for_each(|effect| self.carry_out(now, effect));
    }

    /// The page goes away: the lane goes to the next page.
    pub(crate) fn leave(&self) {
        self.step(Input::PageGone);
        let mut parts = self.parts.borrow_mut();
        parts.timer = None;
        if let Some(store) = &parts.store {
            store.release();
        }
    }

    /// The page is back. Another one may have taken up and sent what this one had, so the client
    /// begins anew from what storage holds; without storage it goes on.
    pub(crate) fn come_back(&self) {
        if self.parts.borrow().store.is_some() {
            self.begin_anew();
        } else {
            self.step(Input::PageBack);
        }
    }

    /// What granting these purposes means in this browser.
    pub(crate) fn consent(&self, granted: &str) -> Consent {
        consent(granted, &self.host)
    }

    /// Looks after the lane, and tells the client if another tab has changed what it may take up.
    fn look(&self, now: Millis) -> Hold {
        let Parts { client, store, .. } = &mut *self.parts.borrow_mut();
        let Some(store) = store else {
            return Hold::Kept;
        };
        let hold = store.look(now.0);
        if hold == Hold::Moved {
            client.remind(store.remembered());
        }
        hold
    }

    fn begin_anew(&self) {
        let consent = self.consent.borrow().clone();
        // The old parts go only after the new ones are in place.
        let _old = self.parts.replace(begin(&self.host, consent));
        self.configure();
    }

    fn configure(&self) {
        if let Some(site) = self.site.clone() {
            self.step(Input::SiteConfigRead(site));
        }
    }

    fn carry_out(&self, now: Millis, effect: Effect) {
        match effect {
            Effect::Send(send) => {
                let keepalive = send.transport == Transport::Keepalive;
                self.host.post(send.request.0, &send.body, keepalive);
            }
            Effect::Copy { body } => self.host.copy(&body),
            Effect::Store { item, text } => {
                if let Some(store) = &mut self.parts.borrow_mut().store {
                    store.put(item, text.as_deref(), now.0);
                }
            }
            Effect::Wake { after_ms } => {
                let myself = self.myself.clone();
                let timer = Timer::after(after_ms, move || tell(&myself, Input::Tick));
                let _old = self.parts.borrow_mut().timer.replace(timer);
            }
            Effect::OpenStream { token, last_event_id } => self.open_stream(&token, last_event_id),
            Effect::CloseStream => self.parts.borrow_mut().stream = None,
            Effect::Deliver(hint) => self.host.emit("hint", &report::hint(&hint)),
            Effect::Verdict(settled) => self.host.emit("verdict", &report::verdict(&settled)),
            Effect::State(state) => self.host.emit("state", &report::state(&state)),
        }
    }

    fn open_stream(&self, token: &str, last_event_id: Option<String>) {
        // Tokens are made of what a query may hold as it is; ids of hints too.
        let Some(mut url) = self.host.hints() else {
            return;
        };
        url.push_str("/v1/hints?token=");
        url.push_str(token);
        if let Some(id) = last_event_id {
            url.push_str("&last_event_id=");
            url.push_str(&id);
        }
        let myself = self.myself.clone();
        let stream = Stream::open(&url, move |input| tell(&myself, input));
        self.parts.borrow_mut().stream = stream;
    }
}

/// A client on what storage kept.
fn begin(host: &Host, consent: Option<Consent>) -> Parts {
    let mut seed = [0; 32];
    let random = host.seed();
    seed.iter_mut().zip(random).for_each(|(to, from)| *to = from);
    let owner = u64::from(u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]));
    let store = host.store().and_then(|storage| Store::take(storage, &host.key(), owner, now().0));
    let (kept, remembered) = match &store {
        Some(store) => (Storage::Kept, store.remembered()),
        None => (Storage::Denied, Remembered::default()),
    };
    let options = ClientOptions { consent, storage: kept, ..ClientOptions::default() };
    let client = Client::new(options, remembered, seed);
    Parts { client, store, stream: None, timer: None }
}

fn consent(granted: &str, host: &Host) -> Consent {
    let granted = granted.split(',').filter_map(|name| Purpose::parse(name.trim())).collect();
    Consent { granted, gpc: host.gpc() }
}

fn tell(shell: &Weak<Shell>, input: Input) {
    if let Some(shell) = shell.upgrade() {
        shell.step(input);
    }
}

fn now() -> Millis {
    Millis(js_sys::Date::now() as u64)
}
