//! Profile updates: what they do to a user's attributes (`rules/state/profile_update.py`).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::Row;
use crate::input::Update;
use crate::predicates::paths;
use crate::spec::Path;
use crate::value::number::{Number, ValueKey, bounded_sum, key_of, same_value};
use crate::value::{Map, Value};

/// Apply an update at `now_ms`; the names whose value is another than before, in Python's order.
///
/// What one update sets and takes back has not changed. Notes when attributes, and `watched` paths in them,
/// changed.
pub fn change_attributes(
    row: &mut Row,
    update: &Update<'_>,
    now_ms: i64,
    watched: &HashMap<String, Vec<Path>, foldhash::fast::RandomState>,
) -> Vec<Box<str>> {
    let attributes = &mut row.attributes;
    let named = update.set.keys().chain(update.set_once.keys()).chain(update.add.keys());
    let named = named.chain(update.append.keys()).chain(&update.unset);
    let mut before: indexmap::IndexMap<Box<str>, Option<Value<'static>>, foldhash::fast::RandomState> =
        indexmap::IndexMap::default();
    for name in named {
        before.entry(Box::from(&**name)).or_insert_with(|| attributes.get(name).cloned());
    }
    if update.unset_all {
        let absent: Vec<_> = before.into_iter().filter(|each| each.1.is_none()).collect();
        let all = std::mem::take(attributes).into_iter();
        before = all.map(|(name, value)| (Box::from(&*name), Some(value))).collect();
        before.extend(absent);
    }
    for (name, value) in &update.set {
        put(attributes, name, value.clone().into_owned());
    }
    for (name, value) in &update.set_once {
        if !attributes.contains_key(name) {
            put(attributes, name, value.clone().into_owned());
        }
    }
    for (name, amount) in &update.add {
        let current = attributes.get(name).and_then(Number::of).unwrap_or(Number::Int(0));
        put(attributes, name, bounded_sum(current, *amount).value());
    }
    for (name, items) in &update.append {
        let appended = appended(attributes.get(name), items);
        put(attributes, name, appended);
    }
    for name in &update.unset {
        attributes.shift_remove(name);
    }
    let mut changed: Vec<Box<str>> = Vec::new();
    for (name, value) in &before {
        match (value, attributes.get_mut(name)) {
            (None, None) => {}
            (Some(value), Some(now)) if same_value(value, now) => {
                *now = value.clone(); // as it is stored: 1 stays 1 where 1.0 was set
            }
            _ => changed.push(name.clone()),
        }
    }
    let paths: BTreeSet<&Path> = changed.iter().filter_map(|name| watched.get(&**name)).flatten().collect();
    if !paths.is_empty() {
        let mut whole = attributes.clone();
        for (name, value) in &before {
            match value {
                Some(value) => {
                    whole.insert(Cow::Owned(name.to_string()), value.clone());
                }
                None => {
                    whole.shift_remove(name);
                }
            }
        }
        note_paths(row, &paths, &whole, now_ms);
    }
    for name in &changed {
        row.changed_ms.insert(name.clone(), now_ms);
    }
    changed
}

fn put(attributes: &mut Map<'static>, name: &str, value: Value<'static>) {
    match attributes.get_mut(name) {
        Some(kept) => *kept = value,
        None => {
            attributes.insert(Cow::Owned(name.to_owned()), value);
        }
    }
}

/// Note when the values at paths changed; `before` are the attributes before the update.
fn note_paths(row: &mut Row, paths: &BTreeSet<&Path>, before: &Map<'_>, now_ms: i64) {
    for path in paths {
        let name = path.join(".");
        let was = paths::getter(path).of(before);
        let is = paths::getter(path).of(&row.attributes);
        let is_same = match (was, is) {
            (None, None) => true,
            (Some(was), Some(is)) => same_value(was, is),
            _ => false,
        };
        if !is_same {
            row.changed_paths.insert(name.into_boxed_str(), now_ms);
        } else if was.is_some() && !row.changed_paths.contains_key(name.as_str()) {
            if let Some(since_ms) = attribute_change_ms(row, path) {
                row.changed_paths.insert(name.into_boxed_str(), since_ms);
            }
        }
    }
}

/// When the value at a path last became another, or came to be, or went; None: never.
pub fn last_change_ms(row: &Row, path: &[String]) -> Option<i64> {
    if let [name] = path {
        return row.changed_ms.get(name.as_str()).copied();
    }
    match row.changed_paths.get(path.join(".").as_str()) {
        Some(noted_ms) => Some(*noted_ms),
        None if paths::getter(path).of(&row.attributes).is_some() => attribute_change_ms(row, path),
        None => None,
    }
}

/// When an attribute that may lead to a path last changed; None: none ever did.
pub fn attribute_change_ms(row: &Row, path: &[String]) -> Option<i64> {
    (1..=path.len()).filter_map(|size| row.changed_ms.get(path[..size].join(".").as_str()).copied()).max()
}

/// A list with the items that it lacks, at its end.
fn appended(value: Option<&Value<'static>>, items: &[Value<'_>]) -> Value<'static> {
    let mut found = match value {
        Some(Value::List(found)) => found.clone(),
        _ => Vec::new(),
    };
    let mut known: HashSet<ValueKey> = found.iter().map(key_of).collect();
    for item in items {
        if known.insert(key_of(item)) {
            found.push(item.clone().into_owned());
        }
    }
    Value::List(found)
}
