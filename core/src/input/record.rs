//! What a record says (`agents/formats/records.py`): a checked event or profile update.

use std::borrow::Cow;

use crate::value::in_order::InOrder;
use crate::value::number::Number;
use crate::value::{Map, Value, owned};

/// By name, in the order in which they came; of a name that comes twice, the last value in the first place.
pub type Named<'a, V> = InOrder<Cow<'a, str>, V>;

/// One native record. Its ids and names have their lengths, and its numbers fit.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    pub user_id: Cow<'a, str>,
    pub project: Cow<'a, str>,
    pub id: Option<Cow<'a, str>>,
    /// The record's own time, otherwise its record timestamp.
    pub time_ms: i64,
    /// It has a time of its own.
    pub has_time: bool,
    pub identities: Named<'a, Cow<'a, str>>,
    /// `set`, `set_once`, `add` or `append` are not empty, so that the size of the attributes is checked, also
    /// where the record is an event, which doesn't apply them.
    pub has_attributes: bool,
    pub says: Says<'a>,
}

#[derive(Clone, Debug)]
pub enum Says<'a> {
    Event { name: Cow<'a, str>, properties: Map<'a> },
    Update(Box<Update<'a>>),
}

/// A change of attributes (`ProfileUpdate`), applied in the order `unset_all`, `set`, `set_once`, `add`,
/// `append`, `unset`.
#[derive(Clone, Debug, Default)]
pub struct Update<'a> {
    pub set: Map<'a>,
    pub set_once: Map<'a>,
    pub unset: Vec<Cow<'a, str>>,
    pub add: Named<'a, Number>,
    pub append: Named<'a, Vec<Value<'a>>>,
    pub unset_all: bool,
}

impl Update<'_> {
    /// It changes no attribute.
    pub fn is_empty(&self) -> bool {
        !self.has_attributes() && self.unset.is_empty() && !self.unset_all
    }

    pub fn has_attributes(&self) -> bool {
        !(self.set.is_empty() && self.set_once.is_empty() && self.add.is_empty() && self.append.is_empty())
    }
}

impl Record<'_> {
    /// The same record with bytes of its own.
    pub fn into_owned(self) -> Record<'static> {
        Record {
            user_id: own(self.user_id),
            project: own(self.project),
            id: self.id.map(own),
            identities: self.identities.into_iter().map(|(name, each)| (own(name), own(each))).collect(),
            says: match self.says {
                Says::Event { name, properties } => {
                    Says::Event { name: own(name), properties: owned(properties) }
                }
                Says::Update(update) => Says::Update(Box::new(update.into_owned())),
            },
            time_ms: self.time_ms,
            has_time: self.has_time,
            has_attributes: self.has_attributes,
        }
    }
}

impl Update<'_> {
    fn into_owned(self) -> Update<'static> {
        let items = |each: Vec<Value<'_>>| each.into_iter().map(Value::into_owned).collect();
        Update {
            set: owned(self.set),
            set_once: owned(self.set_once),
            unset: self.unset.into_iter().map(own).collect(),
            add: self.add.into_iter().map(|(name, each)| (own(name), each)).collect(),
            append: self.append.into_iter().map(|(name, each)| (own(name), items(each))).collect(),
            unset_all: self.unset_all,
        }
    }
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
