//! Strict JSON as `msgspec.json` reads it (RFC 8259). Texts are borrowed where they have no escapes.
//!
//! It refuses what msgspec refuses, and a little more, because Python's reader decides then: numbers beyond
//! floats, halves of surrogate pairs, and bytes that are not UTF-8 anywhere.

use std::borrow::Cow;

use super::json_text::{escape, next_special};
use super::{Map, Value};

/// Levels of arrays and objects (`MAX_DEPTH` of `agents/formats/json.py`).
pub const MAX_DEPTH: usize = 32;

/// It is no JSON that is surely read as Python reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unread;

type Read<T> = Result<T, Unread>;

/// Reads one JSON text from its beginning.
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

/// The value of a whole text.
pub fn read_json(bytes: &[u8]) -> Read<Value<'_>> {
    let mut reader = JsonReader::new(bytes)?;
    let value = reader.value(MAX_DEPTH)?;
    reader.end()?;
    Ok(value)
}

impl<'a> JsonReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Read<JsonReader<'a>> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(JsonReader { text, at: 0 }),
            Err(_) => Err(Unread),
        }
    }

    /// Nothing but white space comes after what was read.
    pub fn end(&mut self) -> Read<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(Unread) }
    }

    /// The first byte of the next value, or of whatever comes.
    #[inline]
    pub fn peek(&mut self) -> Read<u8> {
        self.skip_space();
        self.byte_at(self.at).ok_or(Unread)
    }

    /// A value; arrays and objects in it have at most `levels` levels.
    pub fn value(&mut self, levels: usize) -> Read<Value<'a>> {
        Ok(match self.peek()? {
            b'"' => Value::Str(self.string()?),
            b'{' => Value::Map(Box::new(self.map(levels)?)),
            b'[' => Value::List(self.list(levels)?),
            b't' | b'f' => Value::Bool(self.bool()?),
            b'n' => {
                self.literal("null")?;
                Value::Null
            }
            _ => self.number()?,
        })
    }

    /// An object. Of a name that comes twice, the last value in the first place.
    pub fn map(&mut self, levels: usize) -> Read<Map<'a>> {
        let inner = levels.checked_sub(1).ok_or(Unread)?;
        let mut map = Map::default();
        self.object(|reader, name| {
            if map.is_empty() {
                map.reserve(4);
            }
            let value = reader.value(inner)?;
            map.insert(name, value);
            Ok(())
        })?;
        Ok(map)
    }

    pub fn list(&mut self, levels: usize) -> Read<Vec<Value<'a>>> {
        let inner = levels.checked_sub(1).ok_or(Unread)?;
        let mut list = Vec::new();
        self.array(|reader| {
            list.push(reader.value(inner)?);
            Ok(())
        })?;
        Ok(list)
    }

    /// An object, entry by entry: `entry` gets each name and must read the value.
    pub fn object(&mut self, mut entry: impl FnMut(&mut Self, Cow<'a, str>) -> Read<()>) -> Read<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.expect(b':')?;
            entry(self, name)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break self.at += 1,
                _ => return Err(Unread),
            }
        }
        Ok(())
    }

    /// An array, item by item: `item` must read each.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break self.at += 1,
                _ => return Err(Unread),
            }
        }
        Ok(())
    }

    pub fn bool(&mut self) -> Read<bool> {
        let is = self.peek()? == b't';
        self.literal(if is { "true" } else { "false" })?;
        Ok(is)
    }

    /// Takes a null if there is one.
    pub fn null(&mut self) -> Read<bool> {
        let is = self.peek()? == b'n';
        if is {
            self.literal("null")?;
        }
        Ok(is)
    }

    #[inline]
    pub fn string(&mut self) -> Read<Cow<'a, str>> {
        self.expect(b'"')?;
        let from = self.at;
        self.at = next_special(self.text.as_bytes(), from);
        if self.byte_at(self.at) == Some(b'"') {
            let text = self.text.get(from..self.at).ok_or(Unread)?;
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        self.escaped(from).map(Cow::Owned)
    }

    /// The rest of a string whose first escape is at `at`.
    fn escaped(&mut self, from: usize) -> Read<String> {
        let mut text = String::from(self.text.get(from..self.at).ok_or(Unread)?);
        loop {
            match self.byte_at(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    let rest = self.text.as_bytes().get(self.at..).ok_or(Unread)?;
                    let (meant, length) = escape(rest).ok_or(Unread)?;
                    text.push(meant);
                    self.at += length;
                }
                _ => return Err(Unread), // a control character, or the end
            }
            let from = self.at;
            self.at = next_special(self.text.as_bytes(), from);
            text.push_str(self.text.get(from..self.at).ok_or(Unread)?);
        }
    }

    /// A whole number beyond 64 bits is a float, as `bounded` of `agents/formats/json.py` makes it.
    pub fn number(&mut self) -> Read<Value<'a>> {
        self.skip_space();
        let from = self.at;
        if self.byte_at(self.at) == Some(b'-') {
            self.at += 1;
        }
        let whole_from = self.at;
        let mut whole = 0i64;
        self.at = self.digits(|digit| whole = whole.wrapping_mul(10).wrapping_add(i64::from(digit)))?;
        let digits = self.at - whole_from;
        if digits > 1 && self.byte_at(whole_from) == Some(b'0') {
            return Err(Unread);
        }
        let mut is_whole = true;
        if self.byte_at(self.at) == Some(b'.') {
            self.at += 1;
            self.at = self.digits(|_| ())?;
            is_whole = false;
        }
        if matches!(self.byte_at(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte_at(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.at = self.digits(|_| ())?;
            is_whole = false;
        }
        if is_whole && digits <= 18 {
            return Ok(Value::Int(if whole_from > from { -whole } else { whole }));
        }
        let text = self.text.get(from..self.at).ok_or(Unread)?;
        if is_whole && let Ok(number) = text.parse() {
            return Ok(Value::Int(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(Unread),
        }
    }

    /// Where the digits from `at` on end: at least one.
    #[inline]
    fn digits(&self, mut take: impl FnMut(u8)) -> Read<usize> {
        let mut at = self.at;
        while let Some(byte) = self.byte_at(at)
            && byte.is_ascii_digit()
        {
            take(byte - b'0');
            at += 1;
        }
        if at == self.at { Err(Unread) } else { Ok(at) }
    }

    fn literal(&mut self, text: &str) -> Read<()> {
        let end = self.at + text.len();
        if self.text.as_bytes().get(self.at..end) != Some(text.as_bytes()) {
            return Err(Unread);
        }
        self.at = end;
        Ok(())
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.peek()? != byte {
            return Err(Unread);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.byte_at(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn byte_at(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
}
