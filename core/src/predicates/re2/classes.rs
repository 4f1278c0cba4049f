//! Classes of characters: `[...]`, `\d`, `[:alpha:]`.

use std::fmt::Write;

use super::{Atom, Flags, Reader};

type Range = (char, char);
const DIGIT: &[Range] = &[('0', '9')];
const WORD: &[Range] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: &[Range] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];

impl Reader<'_> {
    /// After `[`.
    pub(super) fn class(&mut self, flags: Flags) -> Option<Atom> {
        let negated = self.rest.peek() == Some(&'^');
        if negated {
            self.rest.next();
        }
        self.out.push_str(if flags.ignores_case { "(?i:[" } else { "(?-i:[" });
        self.out.push_str(if negated { "^" } else { "" });
        let mut first = true;
        while first || self.rest.peek()? != &']' {
            first = false;
            self.class_item(flags)?;
        }
        self.rest.next();
        self.out.push_str("])");
        Some(Atom::Takes)
    }

    fn class_item(&mut self, flags: Flags) -> Option<()> {
        let mut ahead = self.rest.clone();
        let negated_and_ranges = match (ahead.next()?, ahead.next()) {
            ('[', Some(':')) => {
                self.rest.nth(1)?;
                Some(self.posix_class()?)
            }
            ('\\', Some(name)) if named_class(name).is_some() => {
                self.rest.nth(1)?;
                named_class(name)
            }
            _ => None,
        };
        if let Some((ranges, negated)) = negated_and_ranges {
            self.out.push_str(if negated { "[^" } else { "[" });
            write_ranges(&mut self.out, ranges)?;
            self.out.push(']');
            return Some(());
        }
        let begin = self.class_character()?;
        let mut end = begin;
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('-') && ahead.next().is_some_and(|each| each != ']') {
            self.rest.next();
            end = self.class_character()?;
        }
        if end < begin || (flags.ignores_case && !end.is_ascii()) {
            return None;
        }
        write_ranges(&mut self.out, &[(begin, end)])
    }

    fn class_character(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' => self.escape(),
            each => Some(each),
        }
    }

    /// After `[:`.
    fn posix_class(&mut self) -> Option<(&'static [Range], bool)> {
        let negated = self.rest.peek() == Some(&'^');
        if negated {
            self.rest.next();
        }
        let mut name = String::new();
        loop {
            match self.rest.next()? {
                ':' if self.rest.next()? == ']' => break,
                each if each.is_ascii_lowercase() => name.push(each),
                _ => return None,
            }
        }
        Some((posix(&name)?, negated))
    }
}

/// Ranges as numbers, for the inside of a class.
pub fn write_ranges(out: &mut String, ranges: &[Range]) -> Option<()> {
    for (begin, end) in ranges {
        write!(out, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(*begin), u32::from(*end)).ok()?;
    }
    Some(())
}

/// `\d`, `\S` ...: ASCII only; whether the class is all but these.
pub fn named_class(name: char) -> Option<(&'static [Range], bool)> {
    Some(match name {
        'd' => (DIGIT, false),
        'D' => (DIGIT, true),
        'w' => (WORD, false),
        'W' => (WORD, true),
        's' => (SPACE, false),
        'S' => (SPACE, true),
        _ => return None,
    })
}

fn posix(name: &str) -> Option<&'static [Range]> {
    Some(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => DIGIT,
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORD,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    })
}
