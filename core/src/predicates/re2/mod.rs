//! `matches`: an RE2 expression is found in a text (`rules/predicates/operators.py`, compile_pattern).
//!
//! Python searches with RE2. Here the expression is read as RE2 reads it (https://github.com/google/re2/wiki/Syntax)
//! and written anew for the crate `regex`, with nothing left to what the two understand differently: flags stand
//! at each atom, classes are lists of ranges, assertions are spelled out. Whether a match is found says nothing of
//! groups and of greedy or lazy, so both are dropped.
//!
//! Refused (then the Python engine runs) is what depends on the version of Unicode (`\p{..}`, ignoring the case
//! of other letters than ASCII's), what looks into bytes (`\C`, `\B`), and what is rare (octal escapes, `\Q..\E`,
//! repeated assertions). `tests/core/test_expressions.py` compares the rest with RE2.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use classes::{named_class, write_ranges};
use times::{Times, bounds};

use crate::spec::UnknownRule;

mod classes;
#[cfg(test)]
mod tests;
mod times;

#[derive(Clone, Debug)]
pub struct Pattern(regex::Regex);

impl Pattern {
    pub fn compile(pattern: &str) -> Result<Pattern, UnknownRule> {
        let refused = || UnknownRule(format!("regular expression {pattern}"));
        let written = translated(pattern).ok_or_else(refused)?;
        regex::Regex::new(&written).map(Pattern).map_err(|_| refused())
    }

    pub fn is_found_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// Groups within groups; each takes some of the stack.
const MAX_DEPTH: usize = 100;
/// RE2 lets nothing be repeated more often.
const MAX_REPEATS: u32 = 1000;

/// The expression for `regex`; None: it is refused.
fn translated(pattern: &str) -> Option<String> {
    let mut reader = Reader { rest: pattern.chars().peekable(), out: String::new(), depth: 0 };
    reader.alternatives(Flags::default())?;
    reader.rest.next().is_none().then_some(reader.out)
}

#[derive(Clone, Copy, Default)]
struct Flags {
    ignores_case: bool,
    by_lines: bool,
    dot_takes_line_ends: bool,
}

/// What an atom was, for what may follow.
#[derive(PartialEq)]
enum Atom {
    Takes,
    Asserts,
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    depth: usize,
}

impl Reader<'_> {
    /// Up to the end of the group, or of all.
    fn alternatives(&mut self, mut flags: Flags) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        loop {
            match self.rest.peek() {
                None | Some(')') => break,
                Some('|') => {
                    self.rest.next();
                    self.out.push('|');
                }
                Some(_) => self.repeated(&mut flags)?,
            }
        }
        self.depth -= 1;
        Some(())
    }

    /// An atom with what says how often.
    fn repeated(&mut self, flags: &mut Flags) -> Option<()> {
        let from = self.out.len();
        let Some(atom) = self.atom(flags)? else { return Some(()) };
        let Some((least, most)) = self.times()? else { return Some(()) };
        if atom == Atom::Asserts {
            return None;
        }
        if self.rest.peek() == Some(&'?') {
            self.rest.next(); // lazy
        }
        if matches!(self.rest.peek(), Some('*' | '+' | '?')) {
            return None;
        }
        self.out.insert_str(from, "(?:");
        match most {
            Some(most) => write!(self.out, "){{{least},{most}}}").ok(),
            None => write!(self.out, "){{{least},}}").ok(),
        }
    }

    /// None inside: flags only.
    fn atom(&mut self, flags: &mut Flags) -> Option<Option<Atom>> {
        Some(Some(match self.rest.next()? {
            '(' => return self.group(flags),
            '[' => self.class(*flags)?,
            '\\' => return self.escaped(*flags).map(Some),
            '.' if flags.dot_takes_line_ends => self.write("(?s:.)", Atom::Takes),
            '.' => self.write(r"[^\n]", Atom::Takes),
            '^' if flags.by_lines => self.write("(?m:^)", Atom::Asserts),
            '^' => self.write(r"\A", Atom::Asserts),
            '$' if flags.by_lines => self.write("(?m:$)", Atom::Asserts),
            '$' => self.write(r"\z", Atom::Asserts),
            '*' | '+' | '?' | ')' | '|' => return None,
            '{' => {
                if bounds(&mut self.rest.clone()).is_some() {
                    return None; // of nothing
                }
                self.literal('{', *flags)?
            }
            character => self.literal(character, *flags)?,
        }))
    }

    fn write(&mut self, text: &str, atom: Atom) -> Atom {
        self.out.push_str(text);
        atom
    }

    fn literal(&mut self, character: char, flags: Flags) -> Option<Atom> {
        self.ranges(&[(character, character)], false, flags)
    }

    /// `[...]`, its ranges written as numbers.
    fn ranges(&mut self, ranges: &[(char, char)], negated: bool, flags: Flags) -> Option<Atom> {
        if flags.ignores_case && !ranges.iter().all(|(_, end)| end.is_ascii()) {
            return None;
        }
        self.out.push_str(if flags.ignores_case { "(?i:[" } else { "(?-i:[" });
        self.out.push_str(if negated { "^" } else { "" });
        write_ranges(&mut self.out, ranges)?;
        self.out.push_str("])");
        Some(Atom::Takes)
    }

    fn group(&mut self, flags: &mut Flags) -> Option<Option<Atom>> {
        let mut inside = *flags;
        if self.rest.peek() == Some(&'?') {
            self.rest.next();
            match self.rest.peek()? {
                'P' | '<' => self.name()?,
                _ => {
                    if self.flags(&mut inside)? {
                        *flags = inside;
                        return Some(None);
                    }
                }
            }
        }
        self.out.push_str("(?:");
        self.alternatives(inside)?;
        self.out.push(')');
        (self.rest.next() == Some(')')).then_some(Some(Atom::Takes))
    }

    /// `P<name>` or `<name>`; what looks ahead or back is no RE2.
    fn name(&mut self) -> Option<()> {
        if self.rest.peek() == Some(&'P') {
            self.rest.next();
        }
        if self.rest.next() != Some('<') {
            return None;
        }
        loop {
            match self.rest.next()? {
                '>' => return Some(()),
                each if each.is_ascii_alphanumeric() || each == '_' => {}
                _ => return None,
            }
        }
    }

    /// Whether they stand for the rest of the group around them: `(?i)`, not `(?i:`.
    fn flags(&mut self, flags: &mut Flags) -> Option<bool> {
        let mut on = true;
        loop {
            match self.rest.next()? {
                'i' => flags.ignores_case = on,
                'm' => flags.by_lines = on,
                's' => flags.dot_takes_line_ends = on,
                'U' => {} // which of greedy and lazy is which
                '-' if on => on = false,
                ':' => return Some(false),
                ')' => return Some(true),
                _ => return None,
            }
        }
    }

    fn escaped(&mut self, flags: Flags) -> Option<Atom> {
        if let Some((ranges, negated)) = self.rest.peek().and_then(|name| named_class(*name)) {
            self.rest.next();
            return self.ranges(ranges, negated, flags);
        }
        match self.rest.peek()? {
            'A' => self.rest.next().map(|_| self.write(r"\A", Atom::Asserts)),
            'z' => self.rest.next().map(|_| self.write(r"\z", Atom::Asserts)),
            'b' => self.rest.next().map(|_| self.write(r"(?-u:\b)", Atom::Asserts)),
            _ => {
                let character = self.escape()?;
                self.literal(character, flags)
            }
        }
    }

    /// The character that stands after a backslash.
    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.hexadecimal(),
            each if each.is_ascii_punctuation() && each != '_' => each,
            _ => return None,
        })
    }

    /// `41` or `{41}`.
    fn hexadecimal(&mut self) -> Option<char> {
        let first = self.rest.next()?;
        if first != '{' {
            return char::from_u32(first.to_digit(16)? * 16 + self.rest.next()?.to_digit(16)?);
        }
        let mut code = self.rest.next()?.to_digit(16)?;
        loop {
            match self.rest.next()? {
                '}' => return char::from_u32(code),
                each => code = code.checked_mul(16)?.checked_add(each.to_digit(16)?)?,
            }
        }
    }

    /// How often the atom before may come: at least, at most. None inside: nothing is said.
    fn times(&mut self) -> Option<Option<Times>> {
        let times = match self.rest.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let mut ahead = self.rest.clone();
                ahead.next();
                let Some(times) = bounds(&mut ahead) else { return Some(None) }; // a brace
                self.rest = ahead;
                return self.only(times).map(Some);
            }
            _ => return Some(None),
        };
        self.rest.next();
        self.only(times).map(Some)
    }

    /// Within what RE2 allows, with none after it.
    fn only(&self, (least, most): Times) -> Option<Times> {
        let fits = least <= MAX_REPEATS && most.is_none_or(|most| (least..=MAX_REPEATS).contains(&most));
        let mut ahead = self.rest.clone();
        let again = ahead.next() == Some('{') && bounds(&mut ahead).is_some();
        (fits && !again).then_some((least, most))
    }
}
