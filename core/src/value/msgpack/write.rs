//! The writer.

/// Appends msgpack to a buffer.
pub struct Writer<'o>(pub &'o mut Vec<u8>);

impl Writer<'_> {
    #[inline]
    pub fn nil(&mut self) {
        self.0.push(0xc0);
    }

    #[inline]
    pub fn bool(&mut self, is: bool) {
        self.0.push(if is { 0xc3 } else { 0xc2 });
    }

    #[inline]
    pub fn int(&mut self, number: i64) {
        if number >= -32 {
            if number >= 0 {
                self.uint(number as u64);
            } else {
                self.0.push(number as u8);
            }
        } else if number >= i64::from(i8::MIN) {
            self.0.extend_from_slice(&[0xd0, number as u8]);
        } else if number >= i64::from(i16::MIN) {
            self.tagged(0xd1, (number as i16).to_be_bytes());
        } else if number >= i64::from(i32::MIN) {
            self.tagged(0xd2, (number as i32).to_be_bytes());
        } else {
            self.tagged(0xd3, number.to_be_bytes());
        }
    }

    #[inline]
    pub fn uint(&mut self, number: u64) {
        if number < 0x80 {
            self.0.push(number as u8);
        } else if number <= 0xff {
            self.0.extend_from_slice(&[0xcc, number as u8]);
        } else if number <= 0xffff {
            self.tagged(0xcd, (number as u16).to_be_bytes());
        } else if number <= 0xffff_ffff {
            self.tagged(0xce, (number as u32).to_be_bytes());
        } else {
            self.tagged(0xcf, number.to_be_bytes());
        }
    }

    #[inline]
    pub fn float(&mut self, number: f64) {
        self.tagged(0xcb, number.to_be_bytes());
    }

    #[inline]
    pub fn str(&mut self, text: &str) {
        self.str_header(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Of a text of so many bytes, which the caller appends: UTF-8.
    #[inline]
    pub fn str_header(&mut self, bytes: usize) {
        match bytes {
            0..32 => self.0.push(0xa0 | bytes as u8),
            32..0x100 => self.0.extend_from_slice(&[0xd9, bytes as u8]),
            _ => self.length(0xda, bytes),
        }
    }

    #[inline]
    pub fn bin(&mut self, bytes: &[u8]) {
        match bytes.len() {
            length @ 0..0x100 => self.0.extend_from_slice(&[0xc4, length as u8]),
            length => self.length(0xc5, length),
        }
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    pub fn array_header(&mut self, items: usize) {
        match items {
            0..16 => self.0.push(0x90 | items as u8),
            _ => self.length(0xdc, items),
        }
    }

    #[inline]
    pub fn map_header(&mut self, entries: usize) {
        match entries {
            0..16 => self.0.push(0x80 | entries as u8),
            _ => self.length(0xde, entries),
        }
    }

    /// A text, or nil.
    #[inline]
    pub fn optional_str(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.str(text),
            None => self.nil(),
        }
    }

    /// A whole number, or nil.
    #[inline]
    pub fn optional_int(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.int(number),
            None => self.nil(),
        }
    }

    #[inline]
    fn tagged<const N: usize>(&mut self, tag: u8, bytes: [u8; N]) {
        self.0.push(tag);
        self.0.extend_from_slice(&bytes);
    }

    /// With 16 bits under a tag, or with 32 bits under the next one. Nothing in memory has 4 GiB: rows are
    /// bounded by what the changelog takes.
    fn length(&mut self, tag: u8, length: usize) {
        match u16::try_from(length) {
            Ok(length) => self.tagged(tag, length.to_be_bytes()),
            Err(_) => self.tagged(tag + 1, (length as u32).to_be_bytes()),
        }
    }
}
