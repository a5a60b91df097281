//! Signing in, which in this example takes no more than an e-mail address.

use maud::{Markup, html};

use super::field::{self, Text};
use super::{View, frame};

/// The form as it was filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    /// The address.
    pub(crate) email: &'a str,
    /// What is wrong with it.
    pub(crate) fault: Option<&'static str>,
}

pub(crate) fn page(view: &View<'_>, form: &Form<'_>) -> Markup {
    let email = Text {
        name: "email",
        label: "E-mail",
        kind: "email",
        autocomplete: "email",
        value: form.email,
        fault: form.fault,
    };
    let main = html! {
        div.narrow {
            div.page-head {
                h1 { "Sign in" }
                p.lead { "Any e-mail address will do, and there is no password: this shop is an example." }
            }
            @if let Some(signed_in) = &view.session.email {
                p.notice { "You are signed in as " strong { (signed_in) } "." }
            }
            form.sheet method="post" action="/login" novalidate {
                (field::text(&email))
                input type="hidden" name="next" value="/";
                button.button.wide type="submit" { "Sign in" }
            }
        }
    };
    frame::page(
        view,
        &frame::Frame {
            kind: "other",
            title: "Sign in",
            about: "Sign in to the shop.",
            department: None,
            last_slot: "suggested",
            main,
        },
    )
}
