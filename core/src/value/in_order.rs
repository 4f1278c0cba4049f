//! Values by name in the order in which they came, as Python's dicts have them. Most have a few entries, which lie
//! in one piece of memory and are looked through; many have an index beside them.

use std::hash::BuildHasher;
use std::ops::Deref;
use std::slice;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// With more entries there is an index.
const FEW: usize = 16;

/// A new name comes last, a replaced value stays in its place.
#[derive(Clone, Debug)]
pub struct InOrder<K, V> {
    entries: Vec<(K, V)>,
    index: Option<Box<Index>>,
}

/// Places of the entries by the hashes of their names.
#[derive(Clone, Debug, Default)]
struct Index {
    hasher: RandomState,
    places: HashTable<u32>,
}

impl<K, V> Default for InOrder<K, V> {
    fn default() -> InOrder<K, V> {
        InOrder { entries: Vec::new(), index: None }
    }
}

impl<K, V> InOrder<K, V> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
    }

    /// Bytes of the entries themselves, whatever they hold.
    pub fn room_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(K, V)>()
    }

    pub fn iter(&self) -> Iter<'_, K, V> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    pub fn get_index(&self, at: usize) -> Option<(&K, &V)> {
        self.entries.get(at).map(|(name, value)| (name, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|each| &each.0)
    }
}

impl<K: Deref<Target = str>, V> InOrder<K, V> {
    pub fn get(&self, name: &str) -> Option<&V> {
        self.place(name).map(|at| &self.entries[at].1)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.place(name).map(|at| &mut self.entries[at].1)
    }

    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    pub fn insert(&mut self, name: K, value: V) {
        match self.place(&name) {
            Some(at) => self.entries[at].1 = value,
            None => {
                self.entries.push((name, value));
                match &mut self.index {
                    Some(index) => index.add(&self.entries, self.entries.len() - 1),
                    None if self.entries.len() > FEW => self.look_up(),
                    None => {}
                }
            }
        }
    }

    /// The others keep their order.
    pub fn shift_remove(&mut self, name: &str) -> Option<V> {
        let at = self.place(name)?;
        let (name, value) = self.entries.remove(at);
        if let Some(index) = &mut self.index {
            index.remove(&name, at as u32);
        }
        Some(value)
    }

    fn place(&self, name: &str) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|each| *each.0 == *name),
            Some(index) => {
                let is_it = |at: &u32| *self.entries[*at as usize].0 == *name;
                index.places.find(index.hasher.hash_one(name), is_it).map(|at| *at as usize)
            }
        }
    }

    fn look_up(&mut self) {
        let mut index = Box::<Index>::default();
        for at in 0..self.entries.len() {
            index.add(&self.entries, at);
        }
        self.index = Some(index);
    }
}

impl Index {
    /// An entry went, and those after it moved up.
    fn remove(&mut self, name: &str, at: u32) {
        if let Ok(entry) = self.places.find_entry(self.hasher.hash_one(name), |each| *each == at) {
            entry.remove();
        }
        self.places.iter_mut().filter(|each| **each > at).for_each(|each| *each -= 1);
    }

    /// An entry whose name is not there yet.
    fn add<K: Deref<Target = str>, V>(&mut self, entries: &[(K, V)], at: usize) {
        let Index { hasher, places } = self;
        let hash_of = |at: &u32| hasher.hash_one(&*entries[*at as usize].0);
        let at = at as u32; // records and rows have far fewer names
        places.insert_unique(hash_of(&at), at, hash_of);
    }
}

type Iter<'m, K, V> = std::iter::Map<slice::Iter<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

impl<'m, K, V> IntoIterator for &'m InOrder<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Iter<'m, K, V> {
        self.iter()
    }
}

impl<K, V> IntoIterator for InOrder<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> std::vec::IntoIter<(K, V)> {
        self.entries.into_iter()
    }
}

impl<K: Deref<Target = str>, V> Extend<(K, V)> for InOrder<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl<K: Deref<Target = str>, V> FromIterator<(K, V)> for InOrder<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> InOrder<K, V> {
        let mut found = InOrder::default();
        found.extend(entries);
        found
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_as_a_dict(steps in proptest::collection::vec((0u8..30, any::<u8>(), 0u8..4), 0..200)) {
            let (mut map, mut dict) = (InOrder::<Box<str>, u8>::default(), IndexMap::<Box<str>, u8>::new());
            for (name, value, kind) in steps {
                let name: Box<str> = name.to_string().into();
                if kind == 0 {
                    prop_assert_eq!(map.shift_remove(&name), dict.shift_remove(&name));
                } else {
                    map.insert(name.clone(), value);
                    dict.insert(name.clone(), value);
                }
                prop_assert_eq!(map.get(&name), dict.get(&name));
                prop_assert!(map.iter().eq(dict.iter()));
            }
        }
    }
}
