//! Who is in the shop: baskets and logins in memory, bounded in number and age.

use std::collections::HashMap;
use std::fmt;

use crate::basket::Basket;

/// The most sessions that are kept; beyond it the ones that were idle longest go.
pub const SESSIONS_MAX: usize = 10_000;

/// A session that was idle for so long is forgotten.
pub const IDLE_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// What the cookie holds: 128 random bits, so nobody guesses another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

/// One visitor's basket and login.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// What is in the basket.
    pub basket: Basket,
    /// Who is logged in.
    pub email: Option<String>,
    /// What the next page has to say.
    pub notice: Option<Notice>,
    seen_at_ms: u64,
}

/// What the next page has to say, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// So many pieces went into the basket.
    Added {
        /// The product.
        sku: String,
        /// How many.
        quantity: u32,
    },
    /// An order was placed.
    Ordered,
    /// Something did not go as asked.
    Problem(String),
    /// So many pieces were taken out of the basket.
    Removed {
        /// The product.
        sku: String,
        /// How many.
        quantity: u32,
    },
    /// The visitor signed in.
    SignedIn,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    all: HashMap<SessionId, Session>,
}

impl SessionId {
    /// From 128 random bits.
    pub fn new(random: u128) -> Self {
        Self(random)
    }

    /// Reads a cookie's value.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Whoever knows it is the visitor, so it stays out of logs.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(hidden)")
    }
}

impl Sessions {
    /// The session of that id, if it is still there. Counts as being seen.
    pub fn find(&mut self, id: Option<SessionId>, now_ms: u64) -> Option<&mut Session> {
        let session = self.all.get_mut(&id?)?;
        if now_ms.saturating_sub(session.seen_at_ms) > IDLE_MS_MAX {
            return None;
        }
        session.seen_at_ms = now_ms;
        Some(session)
    }

    /// Begins a session under a fresh id with what it starts from.
    pub fn begin(&mut self, id: SessionId, session: Session, now_ms: u64) -> &mut Session {
        if self.all.len() >= SESSIONS_MAX {
            self.make_room(now_ms);
        }
        let session = Session { seen_at_ms: now_ms, ..session };
        self.all.entry(id).insert_entry(session).into_mut()
    }

    /// The session of that id, begun anew if it is gone.
    pub fn resume(&mut self, id: SessionId, now_ms: u64) -> &mut Session {
        let session = self.all.entry(id).or_default();
        session.seen_at_ms = now_ms;
        session
    }

    /// Ends a session and hands over what was in it.
    pub fn end(&mut self, id: Option<SessionId>, now_ms: u64) -> Option<Session> {
        self.find(id, now_ms)?;
        self.all.remove(&id?)
    }

    /// Forgets what is too old, or else the quarter that was idle longest.
    fn make_room(&mut self, now_ms: u64) {
        self.all.retain(|_, session| now_ms.saturating_sub(session.seen_at_ms) <= IDLE_MS_MAX);
        if self.all.len() < SESSIONS_MAX {
            return;
        }
        let mut seen: Vec<u64> = self.all.values().map(|session| session.seen_at_ms).collect();
        seen.sort_unstable();
        let bound_ms = seen[seen.len() / 4];
        let mut spare = seen.len() / 4;
        self.all.retain(|_, session| {
            let goes = spare > 0 && session.seen_at_ms <= bound_ms;
            spare -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        let id = SessionId::new(0xAB);
        assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        for bad in ["", "ab", "+0000000000000000000000000000000", &"g".repeat(32)] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
        assert!(!format!("{id:?}").contains("ab"));
    }

    #[test]
    fn an_idle_session_is_forgotten() {
        let mut sessions = Sessions::default();
        let id = SessionId::new(1);
        sessions.begin(id, Session::default(), 0);
        assert!(sessions.find(Some(id), IDLE_MS_MAX).is_some());
        assert!(sessions.find(Some(id), 2 * IDLE_MS_MAX + 1).is_none());
        assert!(sessions.find(None, 0).is_none());
    }

    #[test]
    fn the_number_is_bounded_and_the_idle_go_first() {
        let mut sessions = Sessions::default();
        for n in 0..SESSIONS_MAX {
            let now_ms = n.try_into().unwrap();
            sessions.begin(SessionId::new(n.try_into().unwrap()), Session::default(), now_ms);
        }
        let now_ms = SESSIONS_MAX.try_into().unwrap();
        sessions.begin(SessionId::new(u128::MAX), Session::default(), now_ms);
        assert!(sessions.all.len() <= SESSIONS_MAX);
        assert!(sessions.find(Some(SessionId::new(0)), now_ms).is_none());
        assert!(sessions.find(Some(SessionId::new(u128::MAX)), now_ms).is_some());
    }

    #[test]
    fn sessions_of_the_same_moment_make_room_too() {
        let mut sessions = Sessions::default();
        for n in 0..=SESSIONS_MAX {
            sessions.begin(SessionId::new(n.try_into().unwrap()), Session::default(), 7);
        }
        assert_eq!(sessions.all.len(), SESSIONS_MAX - SESSIONS_MAX / 4 + 1);
    }
}
