//! Whom an experiment is for, by what a page knows at its first moment: no arm could have changed it,
//! so whoever is let in by it is let in without bias.

use super::json::{ToJson, Value, Writer};

/// Conditions on who sees a page and where. Each that is said must hold; none lets everybody in.
/// They are asked until a visitor belongs to the experiment, and no more from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Audience {
    /// The browser's language is one of these: `de` with any region, or `en-GB`.
    pub languages: Vec<String>,
    /// The page is of one of these kinds, by its `data-page-kind`.
    pub page_kinds: Vec<String>,
    /// Its path is one of these, or begins with one that ends in `*`.
    pub paths: Vec<String>,
    /// The window is that wide.
    pub width: Option<Width>,
    /// Whether a customer is logged in, by the page's own word (`identify`).
    pub customer: Option<bool>,
}

/// Widths of a window, CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(deny_unknown_fields))]
pub struct Width {
    /// The first that belongs to it.
    pub from: u32,
    /// The first that no longer belongs to it.
    pub to: u32,
}

impl Audience {
    /// Reads one from a program's small reader. None for anything that is not as it should be: who
    /// does not know whom it is for lets nobody in.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let Value::Object(fields) = value else { return None };
        let mut audience = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "languages" => audience.languages = texts(value)?,
                "page_kinds" => audience.page_kinds = texts(value)?,
                "paths" => audience.paths = texts(value)?,
                "width" => audience.width = Some(Width::from_value(value)?),
                "customer" => match value {
                    Value::Boolean(is_there) => audience.customer = Some(*is_there),
                    _ => return None,
                },
                _ => return None,
            }
        }
        Some(audience)
    }
}

impl Width {
    fn from_value(value: &Value) -> Option<Self> {
        let pixels = |name| u32::try_from(value.get(name)?.number()?).ok();
        Some(Self { from: pixels("from")?, to: pixels("to")? })
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.list().iter().map(|text| text.text().map(str::to_owned)).collect()
}

impl ToJson for Audience {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.list_field("languages", &self.languages);
            w.list_field("page_kinds", &self.page_kinds);
            w.list_field("paths", &self.paths);
            w.field("width", self.width.as_ref());
            w.field("customer", self.customer.as_ref());
        });
    }
}

impl ToJson for Width {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("from", Some(&self.from));
            w.field("to", Some(&self.to));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_an_audience_lets_nobody_in() {
        let read = |text: &str| Audience::from_value(&Value::read(text).unwrap());
        let kettles = Audience { paths: vec!["/c/*".into()], ..Audience::default() };
        assert_eq!(read(r#"{"paths":["/c/*"]}"#), Some(kettles));
        assert_eq!(read("{}"), Some(Audience::default()));
        for bad in [
            "3",
            r#"{"weather":["fair"]}"#,
            r#"{"paths":[3]}"#,
            r#"{"width":{"from":3}}"#,
            r#"{"customer":"ada"}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
