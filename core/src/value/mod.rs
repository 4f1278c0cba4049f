//! JSON values as Python has them: whole numbers and floats are told apart, objects keep their order.

use std::borrow::Cow;

pub mod exact;
pub mod in_order;
pub mod json_read;
#[cfg(test)]
mod json_tests;
mod json_text;
pub mod json_write;
pub mod msgpack;
pub mod number;

pub type Map<'a> = in_order::InOrder<Cow<'a, str>, Value<'a>>;

/// A value of an event's property or of an attribute. Whole numbers are 64-bit: readers make floats of others.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Map(Box<Map<'a>>),
}

impl Value<'_> {
    /// The same value with bytes of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(is) => Value::Bool(is),
            Value::Int(number) => Value::Int(number),
            Value::Float(number) => Value::Float(number),
            Value::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Value::Map(map) => Value::Map(Box::new(owned(*map))),
        }
    }
}

/// The same map with bytes of its own.
pub fn owned(map: Map<'_>) -> Map<'static> {
    map.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect()
}
