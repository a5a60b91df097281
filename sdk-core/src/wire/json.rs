//! A JSON writer without allocation per field, and a small reader for a program's client.
//!
//! Servers read with serde; both readers are held together by the golden files. A browser's core
//! loads neither: a page's script knows JSON already.

use std::fmt;

/// Deepest nesting that the reader follows; anything deeper is refused.
const DEPTH_MAX: u32 = 32;

/// A JSON text that is carried along unopened, such as an event's properties.
///
/// Whoever makes one vouches that it is one valid JSON value; servers get theirs from serde, which
/// has checked it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(String);

impl Json {
    /// An empty object.
    pub fn empty() -> Self {
        Self("{}".to_owned())
    }

    /// Takes a text that is known to be one JSON value (the browser's `JSON.stringify` made it).
    pub fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(raw))))
    }
}

/// A type that writes itself as JSON, fields in a fixed order, absent ones left out.
pub trait ToJson {
    /// Appends this value to the writer.
    fn write(&self, w: &mut Writer);

    /// This value as a JSON text.
    fn to_json(&self) -> String {
        let mut w = Writer::default();
        self.write(&mut w);
        w.finish()
    }
}

/// Appends JSON to a string; puts the commas where they belong.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// Whether the next key or element needs a comma before it.
    comma: bool,
}

impl Writer {
    /// A writer whose buffer holds `bytes` before it grows.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), comma: false }
    }

    /// A writer that appends to a text, whose room it uses.
    pub fn within(out: String) -> Self {
        Self { out, comma: false }
    }

    /// Goes on behind the last field of an object that is text already; end it with
    /// [`Writer::close_object`]. A text that is no object with a field is taken for an empty one.
    pub fn behind(object: String) -> Self {
        let mut out = object;
        match out.pop() {
            Some('}') if out.len() > 1 => Self { out, comma: true },
            _ => {
                out.clear();
                out.push('{');
                Self { out, comma: false }
            }
        }
    }

    /// The finished text of an object that was gone on with.
    pub fn close_object(mut self) -> String {
        self.close('}');
        self.out
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.out
    }

    /// Writes an object whose fields `body` writes.
    pub fn object(&mut self, body: impl FnOnce(&mut Self)) {
        self.open('{');
        body(self);
        self.close('}');
    }

    /// Writes an array whose elements `body` writes.
    pub fn array(&mut self, body: impl FnOnce(&mut Self)) {
        self.open('[');
        body(self);
        self.close(']');
    }

    /// Writes a key, which must need no escaping; the value must follow.
    pub fn key(&mut self, name: &'static str) -> &mut Self {
        self.separate();
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.comma = false;
        self
    }

    /// Writes a key that may be any text; the value must follow.
    pub fn any_key(&mut self, name: &str) -> &mut Self {
        self.separate();
        self.quoted(name);
        self.out.push(':');
        self.comma = false;
        self
    }

    /// A field holding text.
    pub fn text_field(&mut self, name: &'static str, value: &str) {
        self.key(name).text(value);
    }

    /// A field holding a whole number.
    pub fn number_field(&mut self, name: &'static str, value: u64) {
        self.key(name).number(value);
    }

    /// A field holding any value; left out when there is none.
    pub fn field<T: ToJson + ?Sized>(&mut self, name: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            value.write(self.key(name));
        }
    }

    /// A field holding a list; left out when it is empty.
    pub fn list_field<T: ToJson>(&mut self, name: &'static str, values: &[T]) {
        if !values.is_empty() {
            self.key(name).array(|w| values.iter().for_each(|v| v.write(w)));
        }
    }

    /// A text value.
    pub fn text(&mut self, value: &str) {
        self.separate();
        self.quoted(value);
        self.comma = true;
    }

    /// A whole number.
    pub fn number(&mut self, mut value: u64) {
        self.separate();
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        // Digits are text; one character after another takes several times as long.
        self.out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
        self.comma = true;
    }

    /// A signed whole number.
    pub fn signed(&mut self, value: i64) {
        if value < 0 {
            self.separate();
            self.out.push('-');
            self.comma = false;
        }
        self.number(value.unsigned_abs());
    }

    /// A share between 0 and 1, written with six decimals at the most, trailing zeros cut.
    pub fn share(&mut self, value: f64) {
        self.separate();
        let millionths = (value.clamp(0.0, 1.0) * 1e6 + 0.5) as u64;
        let (whole, mut rest) = (millionths / 1_000_000, millionths % 1_000_000);
        self.out.push(if whole == 0 { '0' } else { '1' });
        if rest > 0 {
            self.out.push('.');
            let mut unit = 100_000;
            while rest > 0 {
                self.out.push(char::from(b'0' + (rest / unit) as u8));
                rest %= unit;
                unit /= 10;
            }
        }
        self.comma = true;
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.separate();
        self.out.push_str(json);
        self.comma = true;
    }

    /// Writes a mark between texts of which each is JSON for itself.
    pub fn divide(&mut self, mark: char) {
        self.out.push(mark);
        self.comma = false;
    }

    fn open(&mut self, bracket: char) {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.comma = true;
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(',');
        }
    }

    fn quoted(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.out.push('"');
        // Nearly every text is plain, and to see that takes no time without an early end.
        let is_special = |byte| byte < 0x20 || byte == b'"' || byte == b'\\';
        if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
            self.out.push_str(text);
            self.out.push('"');
            return;
        }
        let mut plain_from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let short = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0..0x20 => "",
                _ => continue,
            };
            self.out.push_str(&text[plain_from..at]);
            plain_from = at + 1;
            if short.is_empty() {
                self.out.push_str("\\u00");
                self.out.push(char::from(HEX[usize::from(byte >> 4)]));
                self.out.push(char::from(HEX[usize::from(byte & 15)]));
            } else {
                self.out.push_str(short);
            }
        }
        self.out.push_str(&text[plain_from..]);
        self.out.push('"');
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write(&self, w: &mut Writer) {
        (**self).write(w);
    }
}

impl ToJson for Json {
    fn write(&self, w: &mut Writer) {
        w.raw(&self.0);
    }
}

impl ToJson for str {
    fn write(&self, w: &mut Writer) {
        w.text(self);
    }
}

impl ToJson for String {
    fn write(&self, w: &mut Writer) {
        w.text(self);
    }
}

impl ToJson for bool {
    fn write(&self, w: &mut Writer) {
        w.boolean(*self);
    }
}

impl ToJson for u32 {
    fn write(&self, w: &mut Writer) {
        w.number(u64::from(*self));
    }
}

impl ToJson for u64 {
    fn write(&self, w: &mut Writer) {
        w.number(*self);
    }
}

impl ToJson for super::Millis {
    fn write(&self, w: &mut Writer) {
        w.number(self.0);
    }
}

/// A JSON value as the small reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// Any number; whole ones are exact up to 2^53.
    Number(f64),
    /// A text, unescaped.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object, in the order of its keys in the text.
    Object(Vec<(String, Value)>),
}

/// The text is not JSON, or is nested deeper than the reader follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not JSON, or is nested too deep")
    }
}

impl std::error::Error for NotJson {}

impl Value {
    /// Reads one JSON value that makes up the whole text.
    pub fn read(text: &str) -> Result<Self, NotJson> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        if reader.at == text.len() { Ok(value) } else { Err(NotJson) }
    }

    /// The field `name` of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// This value if it is a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// This value if it is a number that is not negative, without its fraction.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) if *number >= 0.0 => Some(*number as u64),
            _ => None,
        }
    }

    /// This value if it is a number.
    pub fn float(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array; none for anything else.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: u32) -> Result<Value, NotJson> {
        if depth > DEPTH_MAX {
            return Err(NotJson);
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b't') => self.word("true", Value::Boolean(true)),
            Some(b'f') => self.word("false", Value::Boolean(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(NotJson),
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value, NotJson> {
        self.at += 1;
        let mut fields = Vec::new();
        if self.eat(b'}') {
            return Ok(Value::Object(fields));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.expect(b':')?;
            fields.push((key, self.value(depth + 1)?));
            if self.eat(b'}') {
                return Ok(Value::Object(fields));
            }
            self.expect(b',')?;
        }
    }

    fn list(&mut self, depth: u32) -> Result<Value, NotJson> {
        self.at += 1;
        let mut list = Vec::new();
        if self.eat(b']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Ok(Value::List(list));
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, NotJson> {
        if self.peek() != Some(b'"') {
            return Err(NotJson);
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let from = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            out.push_str(&self.text[from..self.at]);
            match self.next()? {
                b'"' => return Ok(out),
                b'\\' => out.push(self.escape()?),
                _ => return Err(NotJson),
            }
        }
    }

    fn escape(&mut self) -> Result<char, NotJson> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(NotJson),
        })
    }

    fn unicode(&mut self) -> Result<char, NotJson> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if self.next()? != b'\\' || self.next()? != b'u' {
                return Err(NotJson);
            }
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(NotJson);
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or(NotJson)
    }

    fn hex4(&mut self) -> Result<u32, NotJson> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(NotJson)?;
            code = code * 16 + digit;
        }
        Ok(code)
    }

    /// Reads a number by hand: the standard library's reader brings tables along that are larger
    /// than the rest of the browser core. Exact where digits and power of ten both have an exact
    /// double, as all numbers on our wire do; otherwise off by a few units in the last place.
    fn number(&mut self) -> Result<Value, NotJson> {
        let negative = self.next_if(b'-');
        let mut digits = Digits::default();
        digits.read(self, 0);
        if self.next_if(b'.') {
            digits.read(self, 1);
        }
        if digits.count == 0 {
            return Err(NotJson);
        }
        let mut power = digits.power;
        if self.next_if(b'e') || self.next_if(b'E') {
            let down = self.next_if(b'-') || {
                self.next_if(b'+');
                false
            };
            let mut exponent = Digits::default();
            exponent.read(self, 0);
            if exponent.count == 0 {
                return Err(NotJson);
            }
            let exponent = exponent.value.min(POWER_MAX as u64) as i32;
            power += if down { -exponent } else { exponent };
        }
        let size = scaled(digits.value as f64, power);
        Ok(Value::Number(if negative { -size } else { size }))
    }

    fn next_if(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, NotJson> {
        if !self.text[self.at..].starts_with(word) {
            return Err(NotJson);
        }
        self.at += word.len();
        Ok(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.eat(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn next(&mut self) -> Result<u8, NotJson> {
        let byte = self.peek().ok_or(NotJson)?;
        self.at += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Powers of ten beyond this one leave nothing of a double.
const POWER_MAX: i32 = 400;

/// The digits of a number, as far as they fit: `value * 10^power`.
#[derive(Default)]
struct Digits {
    value: u64,
    power: i32,
    count: u32,
}

impl Digits {
    /// Reads digits, `behind` telling by how much each of them lowers the power of ten.
    fn read(&mut self, reader: &mut Reader<'_>, behind: i32) {
        while let Some(digit @ b'0'..=b'9') = reader.peek() {
            reader.at += 1;
            self.count += 1;
            if self.value < u64::MAX / 10 - 1 {
                self.value = self.value * 10 + u64::from(digit - b'0');
                self.power -= behind;
            } else {
                self.power += 1 - behind;
            }
        }
    }
}

/// `size * 10^power`; the powers up to 22 are exact doubles.
fn scaled(size: f64, power: i32) -> f64 {
    let mut factor = 1.0;
    for _ in 0..power.unsigned_abs().min(POWER_MAX as u32) {
        factor *= 10.0;
    }
    if size == 0.0 {
        0.0
    } else if power < 0 {
        size / factor
    } else {
        size * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut w = Writer::default();
        w.object(|w| {
            w.number_field("a", 0);
            w.key("b").array(|w| {
                w.text("x\n\"\u{1}");
                w.object(|_| {});
                w.signed(-7);
                w.signed(7);
                w.boolean(true);
            });
            w.key("c").share(0.25);
            w.key("d").share(1.0);
        });
        let text = w.finish();
        assert_eq!(text, r#"{"a":0,"b":["x\n\"\u0001",{},-7,7,true],"c":0.25,"d":1}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "-",
            "1e",
            "e1",
            ".",
            "{",
            "[1,]",
            "{\"a\"}",
            "tru",
            "\"\\ud800\"",
            "1 2",
            "\"\u{1}\"",
            "nul",
        ] {
            assert_eq!(Value::read(text), Err(NotJson), "{text}");
        }
        assert_eq!(Value::read("1e999"), Ok(Value::Number(f64::INFINITY)));
        assert_eq!(Value::read("0e999"), Ok(Value::Number(0.0)));
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(Value::read(&deep), Err(NotJson));
    }

    proptest! {
        #[test]
        fn any_text_survives_writer_and_both_readers(text in ".*") {
            let written = text.to_json();
            let by_serde: String = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&by_serde, &text);
            prop_assert_eq!(Value::read(&written), Ok(Value::Text(text)));
        }

        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(
            whole in 0_u64..=1 << 53,
            digits in 0_u64..1_000_000_000_000_000,
            power in 0_usize..=15,
        ) {
            let mut texts = vec![whole.to_string(), format!("-{whole}"), format!("{digits}e-{power}")];
            let decimal = format!("{digits:016}");
            let (front, back) = decimal.split_at(16 - power.max(1));
            texts.push(format!("{}.{back}", front.trim_start_matches('0')).replace("..", "."));
            for text in texts.iter().filter(|text| !text.starts_with('.')) {
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(Value::read(text), Ok(Value::Number(expected)), "{}", text);
            }
        }

        #[test]
        fn the_reader_never_panics(text in "[\\[\\]{}:,\"\\\\u0-9a-ftrulse. -]*") {
            let _ = Value::read(&text);
        }
    }
}
