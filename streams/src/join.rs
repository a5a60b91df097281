//! Joins the rows of two topics by a key that the left rows name: each order with its customer.
//!
//! The two topics are keyed differently, so a row of the one lies in another partition than the row
//! that belongs to it. As in KIP-213 there are two stages, and a topic each way between them:
//!
//! - [`Lefts`] keeps the left rows. It tells the right side which row wants which
//!   (`subscriptions`, by the foreign key), and writes what the answers make of it.
//! - [`Rights`] keeps the right rows, and for each who wants it. It answers whoever asks, and tells
//!   them all when the row changes (`answers`, by the left key).
//!
//! An answer names the foreign key that it is for: one that comes after its left row has turned to
//! another is dropped. KIP-213 sends a hash of the left row; the key itself is as short, collides
//! with none, and lets a row that changes otherwise be joined at once to what it was joined to.
//!
//! What holds: the joined rows are what the newest rows of both sides say, once everything that was
//! written has been folded. Until then a joined row may be of an earlier moment, never of two rows
//! that did not name each other. A right row's state names all that want it and is written anew with
//! each that comes or goes: for thousands to one, not for millions.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::{App, Flow, Through, output};
use crate::{Around, Bounds, Poison, Produce, Raw, View, changelog};

/// A row of either side.
pub trait Row: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Row for T {}

/// What is joined, and how. Keys are texts, rows are JSON; a tombstone takes a row away.
pub trait Joining: Send + Sync + 'static {
    /// A row on the left: the side that names the other.
    type Left: Row;
    /// A row on the right.
    type Right: Row;

    /// The key of the right row that a left row wants; none where it wants none. What no row can
    /// have as its key (an empty text, one of more than 65,535 bytes, `!task`) counts as none.
    fn foreign_key(&self, left: &Self::Left) -> Option<String>;

    /// The joined row under the left one's key; none where there is to be none, as with an inner
    /// join and no right row.
    fn join(&self, left: &Self::Left, right: Option<&Self::Right>) -> Option<Vec<u8>>;
}

/// Names of a join's two stages, and of the topics around them.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The stage that keeps the left rows, and their topic.
    pub left: (&'static str, &'static str),
    /// The stage that keeps the right rows, and their topic.
    pub right: (&'static str, &'static str),
    /// Who wants which right row. As many partitions as the right topic.
    pub subscriptions: Through,
    /// What the right side tells them. As many partitions as the left topic.
    pub answers: Through,
    /// The joined rows.
    pub joined: &'static str,
}

impl Flow {
    /// The same with a join by a foreign key.
    #[must_use]
    pub fn join<J: Joining>(self, names: &Names, joining: J) -> Self {
        let Names { left, right, subscriptions, answers, joined } = *names;
        // A row is no visit: it stays until it is taken away.
        let bounds = Bounds { ttl_ms: u64::MAX, ..Bounds::default() };
        let lefts =
            Lefts { joining, subscriptions: subscriptions.topic.into(), joined: joined.into() };
        let rights = Rights::<J>::new(answers.topic);
        let lefts = App::new(left.0, left.1, lefts, ()).beside(answers.topic).writing(joined);
        let rights = App::new(right.0, right.1, rights, ()).beside(subscriptions.topic);
        self.through(subscriptions)
            .through(answers)
            .stage(lefts.bounded(bounds))
            .stage(rights.bounded(bounds))
    }
}

/// What a left row says to the right side, under the foreign key.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    /// The row of this key wants to be told.
    Subscribe(String),
    /// The row of this key wants it no longer.
    Unsubscribe(String),
}

/// What the right side says to a left row, under the left row's key.
#[derive(Debug, Serialize, Deserialize)]
struct Told<R> {
    /// The foreign key.
    of: String,
    /// The row; none where there is none.
    row: Option<R>,
}

/// The left rows, and what is known of the rows they want.
#[derive(Debug)]
pub struct Lefts<J> {
    joining: J,
    subscriptions: Arc<str>,
    joined: Arc<str>,
}

/// A left row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "L: Row, R: Row")]
pub struct LeftState<L, R> {
    row: Option<L>,
    /// The key that it is subscribed under.
    wants: Option<String>,
    /// What was answered; none while the answer is on its way.
    told: Option<Answer<R>>,
    /// Whether a joined row stands.
    stands: bool,
}

impl<L, R> Default for LeftState<L, R> {
    fn default() -> Self {
        Self { row: None, wants: None, told: None, stands: false }
    }
}

/// What the right side holds under a key. In JSON it must differ from no answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "R: Row", rename_all = "snake_case")]
enum Answer<R> {
    Nothing,
    Row(R),
}

/// What comes to the left side.
#[derive(Debug)]
pub enum LeftInput<L, R> {
    /// A row, or that it is gone.
    Row(Option<L>, u64),
    /// What the right side says of a key.
    Told(String, Option<R>, u64),
}

impl<J: Joining> View for Lefts<J> {
    type Input = LeftInput<J::Left, J::Right>;
    type State = LeftState<J::Left, J::Right>;
    type Tables = ();
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<Self::Input, Poison> {
        key(raw.key)?;
        match (raw.source, raw.value) {
            (0, value) => Ok(LeftInput::Row(row(value)?, raw.timestamp_ms)),
            (_, Some(value)) => {
                let Told { of, row } = serde_json::from_slice(value).map_err(Poison::malformed)?;
                Ok(LeftInput::Told(of, row, raw.timestamp_ms))
            }
            (_, None) => Err(Poison::malformed("an answer without a value")),
        }
    }

    fn time_ms(&self, input: &Self::Input) -> u64 {
        match input {
            LeftInput::Row(_, at_ms) | LeftInput::Told(_, _, at_ms) => *at_ms,
        }
    }

    fn fold(
        &self,
        state: &mut Self::State,
        input: Self::Input,
        around: &Around<'_, ()>,
    ) -> Vec<Produce> {
        // Checked when it was read.
        let Ok(own) = key(around.key) else { return Vec::new() };
        let mut said = Vec::new();
        match input {
            LeftInput::Row(row, _) => {
                state.row = row;
                let wants = state.row.as_ref().and_then(|row| self.joining.foreign_key(row));
                let wants = wants.filter(|of| changelog::refused(of.as_bytes()).is_none());
                if wants != state.wants {
                    let before = std::mem::replace(&mut state.wants, wants.clone());
                    said.extend(before.map(|of| self.wish(&of, &Wish::Unsubscribe(own.into()))));
                    said.extend(wants.map(|of| self.wish(&of, &Wish::Subscribe(own.into()))));
                    state.told = None;
                }
            }
            LeftInput::Told(of, row, _) if state.wants.as_ref() == Some(&of) => {
                state.told = Some(row.map_or(Answer::Nothing, Answer::Row));
            }
            // It has turned to another since.
            LeftInput::Told(..) => return said,
        }
        said.extend(self.joined(state, own));
        said
    }

    fn is_over(&self, state: &Self::State) -> bool {
        state.row.is_none()
    }
}

impl<J: Joining> Lefts<J> {
    /// The joined row as it is now, once it is known.
    fn joined(&self, state: &mut LeftState<J::Left, J::Right>, own: &str) -> Option<Produce> {
        let LeftState { row, wants, told, stands } = state;
        let value = match (row, wants, told) {
            (None, ..) => None,
            (Some(row), None, _) => self.joining.join(row, None),
            (Some(row), Some(_), Some(Answer::Nothing)) => self.joining.join(row, None),
            (Some(row), Some(_), Some(Answer::Row(right))) => self.joining.join(row, Some(right)),
            // The answer is on its way.
            (Some(_), Some(_), None) => return None,
        };
        let stood = std::mem::replace(stands, value.is_some());
        (stood || *stands).then(|| output(&self.joined, own.into(), value))
    }

    fn wish(&self, of: &str, wish: &Wish) -> Produce {
        // A text: this cannot fail.
        output(&self.subscriptions, of.into(), Some(serde_json::to_vec(wish).unwrap_or_default()))
    }
}

/// The right rows, and who wants them.
#[derive(Debug)]
pub struct Rights<J> {
    answers: Arc<str>,
    of: PhantomData<fn() -> J>,
}

impl<J: Joining> Rights<J> {
    fn new(answers: &str) -> Self {
        Self { answers: answers.into(), of: PhantomData }
    }
}

/// A right row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "R: Row")]
pub struct RightState<R> {
    row: Option<R>,
    wanted_by: BTreeSet<String>,
}

impl<R> Default for RightState<R> {
    fn default() -> Self {
        Self { row: None, wanted_by: BTreeSet::new() }
    }
}

/// What comes to the right side.
#[derive(Debug)]
pub enum RightInput<R> {
    /// A row, or that it is gone.
    Row(Option<R>, u64),
    /// The left row of this key wants to be told.
    Subscribed(String, u64),
    /// The left row of this key wants it no longer.
    Unsubscribed(String, u64),
}

impl<J: Joining> View for Rights<J> {
    type Input = RightInput<J::Right>;
    type State = RightState<J::Right>;
    type Tables = ();
    type Output = Produce;

    fn decode(&self, raw: &Raw<'_>) -> Result<Self::Input, Poison> {
        key(raw.key)?;
        let at_ms = raw.timestamp_ms;
        match (raw.source, raw.value) {
            (0, value) => Ok(RightInput::Row(row(value)?, at_ms)),
            (_, Some(value)) => {
                Ok(match serde_json::from_slice(value).map_err(Poison::malformed)? {
                    Wish::Subscribe(who) => RightInput::Subscribed(who, at_ms),
                    Wish::Unsubscribe(who) => RightInput::Unsubscribed(who, at_ms),
                })
            }
            (_, None) => Err(Poison::malformed("a subscription without a value")),
        }
    }

    fn time_ms(&self, input: &Self::Input) -> u64 {
        match input {
            RightInput::Row(_, at_ms)
            | RightInput::Subscribed(_, at_ms)
            | RightInput::Unsubscribed(_, at_ms) => *at_ms,
        }
    }

    fn fold(
        &self,
        state: &mut Self::State,
        input: Self::Input,
        around: &Around<'_, ()>,
    ) -> Vec<Produce> {
        let Ok(own) = key(around.key) else { return Vec::new() };
        match input {
            RightInput::Row(row, _) => {
                state.row = row;
                state.wanted_by.iter().filter_map(|who| self.tell(who, own, state)).collect()
            }
            RightInput::Subscribed(who, _) => {
                let told = self.tell(&who, own, state);
                state.wanted_by.insert(who);
                told.into_iter().collect()
            }
            RightInput::Unsubscribed(who, _) => {
                state.wanted_by.remove(&who);
                Vec::new()
            }
        }
    }

    fn is_over(&self, state: &Self::State) -> bool {
        state.row.is_none() && state.wanted_by.is_empty()
    }
}

impl<J: Joining> Rights<J> {
    fn tell(&self, who: &str, own: &str, state: &RightState<J::Right>) -> Option<Produce> {
        let told = Told { of: own.to_owned(), row: state.row.as_ref() };
        // What was read as JSON can be written as such.
        let value = serde_json::to_vec(&told).ok()?;
        Some(output(&self.answers, who.into(), Some(value)))
    }
}

fn key(key: Option<&[u8]>) -> Result<&str, Poison> {
    let key = key.ok_or_else(|| Poison::malformed("a row without a key"))?;
    std::str::from_utf8(key).map_err(Poison::malformed)
}

fn row<R: Row>(value: Option<&[u8]>) -> Result<Option<R>, Poison> {
    value.map(serde_json::from_slice).transpose().map_err(Poison::malformed)
}

#[cfg(test)]
mod tests;
