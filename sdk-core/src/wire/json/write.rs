//! Writes JSON without allocation per field.

use crate::wire::Millis;

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

impl ToJson for Millis {
    fn write(&self, w: &mut Writer) {
        w.number(self.0);
    }
}
