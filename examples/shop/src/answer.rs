//! What a request is answered with, before it becomes HTTP.

use clickmill_sdk_core::wire::Customer;
use maud::Markup;

use crate::sessions::SessionId;
use crate::stock::Level;

/// An answer and what follows from it.
#[derive(Debug)]
pub struct Answer {
    /// What the browser gets.
    pub content: Content,
    /// The session that the cookie shall name from now on.
    pub session: Option<SessionId>,
    /// Stock levels that changed and must be told to the world.
    pub levels: Vec<Level>,
    /// What is known of a customer from now on, and must be told to the world.
    pub customer: Option<Customer>,
}

/// What the browser gets.
#[derive(Debug)]
pub enum Content {
    /// A form that was not sent from one of our own pages.
    Forbidden,
    /// A page that says that there is nothing here.
    Missing(Markup),
    /// A page.
    Page(Markup),
    /// A picture.
    Picture(String),
    /// "Look there instead": an address of our own.
    See(String),
    /// A line for machines.
    Text(String),
    /// A form that has to be filled in again.
    Unfit(Markup),
    /// The path is there, but not for this method.
    WrongVerb,
}

impl From<Content> for Answer {
    fn from(content: Content) -> Self {
        Self { content, session: None, levels: Vec::new(), customer: None }
    }
}

impl Answer {
    /// Sends the browser elsewhere.
    pub fn see(path: impl Into<String>) -> Self {
        Content::See(path.into()).into()
    }

    /// The same answer, and the cookie names this session, if there is one to name.
    pub fn with_session(self, session: impl Into<Option<SessionId>>) -> Self {
        Self { session: session.into(), ..self }
    }

    /// The same answer, and these levels are told to the world.
    pub fn with_levels(self, levels: Vec<Level>) -> Self {
        Self { levels, ..self }
    }

    /// The same answer, and what is known of this customer, if there is one, is told to the world.
    pub fn with_customer(self, customer: Option<Customer>) -> Self {
        Self { customer, ..self }
    }
}
