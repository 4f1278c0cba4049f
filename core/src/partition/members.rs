//! The index of members of one partition: what steps changed that isn't stored yet (`tables/member_index.py`).

use hashbrown::HashMap;

use super::slots::Key;

/// (audience key, row key): the row's user is in the audience.
pub type Member = (u32, Key);
type Hasher = foldhash::fast::RandomState;

#[derive(Default)]
pub struct Members {
    /// By audience key, how many members there are after the last stage.
    pub sizes: HashMap<u32, i64, Hasher>,
    /// Per audience and row key, the last unstored stage that changed the entry, and whether it is there then.
    unstored: HashMap<u32, HashMap<Key, (u64, bool), Hasher>, Hasher>,
}

/// Append the entries that a row gets and loses. `before` and `after`: the audiences it is in.
pub fn moved(key: &Key, before: &[u32], after: &[u32], added: &mut Vec<Member>, dropped: &mut Vec<Member>) {
    if before == after {
        return;
    }
    let entries = |these: &[u32], those: &[u32], into: &mut Vec<Member>| {
        into.extend(these.iter().filter(|each| !those.contains(each)).map(|each| (*each, key.clone())));
    };
    entries(after, before, added);
    entries(before, after, dropped);
}

impl Members {
    /// With the sizes that the store has.
    pub fn new(sizes: impl IntoIterator<Item = (u32, i64)>) -> Members {
        Members { sizes: sizes.into_iter().collect(), ..Members::default() }
    }

    /// The entries that a step adds and drops; the store doesn't know yet.
    pub fn stage(&mut self, number: u64, added: &[Member], dropped: &[Member]) {
        for (entries, is_there) in [(dropped, false), (added, true)] {
            for (audience, key) in entries {
                *self.sizes.entry(*audience).or_default() += if is_there { 1 } else { -1 };
                self.unstored.entry(*audience).or_default().insert(key.clone(), (number, is_there));
            }
        }
    }

    /// The store has the stage of this number; `changed` are the entries that it added or dropped.
    pub fn stored<'m>(&mut self, number: u64, changed: impl Iterator<Item = &'m Member>) {
        for (audience, key) in changed {
            let Some(keys) = self.unstored.get_mut(audience) else { continue };
            if keys.get(key).is_some_and(|(last, _)| *last == number) {
                keys.remove(key);
                if keys.is_empty() {
                    self.unstored.remove(audience);
                }
            }
        }
    }

    /// How many entries above `after` a page must read from the store beyond its limit.
    pub fn hidden(&self, audience: u32, after: &[u8]) -> usize {
        let Some(keys) = self.unstored.get(&audience) else { return 0 };
        keys.iter().filter(|(key, _)| ***key > *after).count()
    }

    /// Up to `limit` row keys above `after` of members, in key order; `stored` are those of the store.
    pub fn page(&self, audience: u32, after: &[u8], limit: usize, stored: Vec<Key>) -> Vec<Key> {
        let Some(keys) = self.unstored.get(&audience) else {
            let mut stored = stored;
            stored.truncate(limit);
            return stored;
        };
        let mut found: Vec<Key> = stored.into_iter().filter(|key| !keys.contains_key(key)).collect();
        let added = keys.iter().filter(|(key, (_, is_there))| *is_there && ***key > *after);
        found.extend(added.map(|(key, _)| key.clone()));
        found.sort_unstable();
        found.truncate(limit);
        found
    }
}
