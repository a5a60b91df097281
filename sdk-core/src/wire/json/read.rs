//! Reads JSON: a small reader for a program's client.

use std::fmt;

use super::write::{ToJson, Writer};

/// Deepest nesting that the reader follows; anything deeper is refused.
const DEPTH_MAX: u32 = 32;

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

/// As it was read, but for spaces.
impl ToJson for Value {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Null => w.raw("null"),
            Self::Boolean(value) => w.boolean(*value),
            Self::Number(number) => w.raw(&number.to_string()),
            Self::Text(text) => w.text(text),
            Self::List(list) => w.array(|w| list.iter().for_each(|value| value.write(w))),
            Self::Object(fields) => w.object(|w| {
                fields.iter().for_each(|(name, value)| value.write(w.any_key(name)));
            }),
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
