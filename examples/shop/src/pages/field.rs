//! A labelled field of a form, with its fault beside it.

use maud::{Markup, html};

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// Its name and id.
    pub(super) name: &'a str,
    /// Its label.
    pub(super) label: &'a str,
    /// `text` or `email`.
    pub(super) kind: &'a str,
    /// What browsers may fill in by themselves.
    pub(super) autocomplete: &'a str,
    /// What was filled in.
    pub(super) value: &'a str,
    /// What is wrong with it.
    pub(super) fault: Option<&'a str>,
}

pub(super) fn text(field: &Text<'_>) -> Markup {
    let fault_id = format!("{}-fault", field.name);
    let described = field.fault.is_some().then_some(fault_id.as_str());
    html! {
        div class=(if field.fault.is_some() { "field faulty" } else { "field" }) {
            label for=(field.name) { (field.label) }
            @if let Some(fault) = field.fault { p.fault id=(fault_id) { (fault) } }
            input id=(field.name) name=(field.name) type=(field.kind) value=(field.value)
                autocomplete=(field.autocomplete) maxlength=(crate::orders::FIELD_CHARS_MAX) required
                aria-invalid=[field.fault.map(|_| "true")] aria-describedby=[described];
        }
    }
}
