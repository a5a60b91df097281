//! The words after a command: options picked out, the rest left in order.

use std::str::FromStr;

use crate::command::Failure;

/// What is left of the words.
#[derive(Debug)]
pub(crate) struct Words {
    left: Vec<String>,
}

impl Words {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self { left: words.collect() }
    }

    /// Takes the first word.
    pub(crate) fn next(&mut self) -> Option<String> {
        if self.left.is_empty() { None } else { Some(self.left.remove(0)) }
    }

    /// Takes a flag; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|word| word != name);
        self.left.len() < before
    }

    /// Takes an option and its value (`--name value` or `--name=value`).
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let with = format!("{name}=");
        let Some(at) = self.left.iter().position(|word| word == name || word.starts_with(&with))
        else {
            return Ok(None);
        };
        let word = self.left.remove(at);
        let value = match word.strip_prefix(&with) {
            Some(value) => value.to_owned(),
            None if at < self.left.len() => self.left.remove(at),
            None => return Err(Failure::Usage(format!("{name} needs a value"))),
        };
        let wrong = |_| Failure::Usage(format!("{value:?} is no value for {name}"));
        value.parse().map(Some).map_err(wrong)
    }

    /// Takes all that is left.
    pub(crate) fn rest(self) -> Vec<String> {
        self.left
    }

    /// Makes sure that nothing is left.
    pub(crate) fn end(self) -> Result<(), Failure> {
        match self.left.first() {
            Some(word) => Err(Failure::Usage(format!("{word:?} means nothing here"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        Words::new(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_picked_out_and_the_rest_keeps_its_order() {
        let mut words = words("a --port 1 b --json --rate=2 c");
        assert_eq!(words.option::<u16>("--port").ok().flatten(), Some(1));
        assert_eq!(words.option::<u64>("--rate").ok().flatten(), Some(2));
        assert!(words.flag("--json") && !words.flag("--json"));
        assert_eq!(words.next().as_deref(), Some("a"));
        assert_eq!(words.rest(), ["b", "c"]);
    }

    #[test]
    fn what_means_nothing_is_said() {
        for (text, complaint) in [
            ("--port", "--port needs a value"),
            ("--port many", "\"many\" is no value for --port"),
            ("--prot 1", "\"--prot\" means nothing here"),
        ] {
            let mut words = words(text);
            let failed = words.option::<u16>("--port").and_then(|_| words.end()).unwrap_err();
            assert!(matches!(&failed, Failure::Usage(said) if said == complaint), "{failed:?}");
        }
    }
}
