//! How often an atom may come.

use std::iter::Peekable;
use std::str::Chars;

/// At least, at most.
pub type Times = (u32, Option<u32>);

/// What stands after `{`: `2}`, `2,}` or `2,3}`.
pub fn bounds(rest: &mut Peekable<Chars<'_>>) -> Option<Times> {
    let least = number(rest)?;
    match rest.next()? {
        '}' => Some((least, Some(least))),
        ',' => {
            let most = number(rest);
            (rest.next()? == '}').then_some((least, most))
        }
        _ => None,
    }
}

fn number(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut found: Option<u32> = None;
    while let Some(digit) = rest.peek().and_then(|each| each.to_digit(10)) {
        found = Some(found.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        rest.next();
    }
    found
}
