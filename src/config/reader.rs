//! A tree as the types of `file`, with every mistake in it and not only the first.
//!
//! serde stops at a mistake. So each one is noted and cut out of the tree, the smallest entry or element that holds
//! it, and the rest is read again, until it reads or [`MAX_PROBLEMS`] were found. Scalars are read as what they are
//! asked for: `port: 8080` as text, and an expanded variable as a number.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::problem::{Problems, Span, did_you_mean};

use super::tree::{Entry, Map, Node, Scalar, Value};

/// Mistakes after which the rest of a file is not looked at.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// How much of a value a message quotes.
const MAX_QUOTED_CHARS: usize = 60;

/// Begins the keys that `file::shape` adds and messages don't mention.
pub(crate) const SORTED: char = '$';

/// A value that knows where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Placed<T> {
    /// A value that stands in no file.
    pub(crate) fn unplaced(value: T) -> Self {
        Self { value, span: Span::START }
    }
}

impl<T: Serialize> Serialize for Placed<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// A mapping from names that users choose, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub Vec<(Placed<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// What can be read of `root`; `None` if nothing can.
pub(crate) fn read<T: DeserializeOwned>(mut root: Node, problems: &mut Problems) -> Option<T> {
    while problems.len() < MAX_PROBLEMS {
        let error = match T::deserialize(Reader { node: &root }) {
            Ok(value) => return Some(value),
            Err(error) => error.at_node(&root),
        };
        let known = error.0.missing.is_some_and(|field| lost(&root, &error.0.path).contains(&field.to_owned()));
        if !known {
            let (message, help) = error.describe();
            problems.push_with_help(error.0.span.unwrap_or(Span::START), message, help);
        }
        if !cut(&mut root, &error.0.path) {
            return None;
        }
    }
    problems.push(Span::START, format!("the file has {MAX_PROBLEMS} mistakes or more; the rest was not looked at"));
    None
}

/// The node at a path, which an error has gathered from the inside out.
fn node_at<'de>(root: &'de mut Node, path: &[usize]) -> Option<&'de mut Node> {
    path.iter().rev().try_fold(root, |node, index| match &mut node.value {
        Value::List(list) => list.get_mut(*index),
        Value::Map(map) => map.entries.get_mut(*index).map(|entry| &mut entry.value),
        Value::Null | Value::Scalar(_) => None,
    })
}

fn lost<'de>(root: &'de Node, path: &[usize]) -> &'de [String] {
    let node = path.iter().rev().try_fold(root, |node, index| match &node.value {
        Value::List(list) => list.get(*index),
        Value::Map(map) => map.entries.get(*index).map(|entry| &entry.value),
        Value::Null | Value::Scalar(_) => None,
    });
    match node.map(|node| &node.value) {
        Some(Value::Map(map)) => &map.lost,
        _ => &[],
    }
}

/// Takes the node at `path` out of the tree; false if that is the root.
fn cut(root: &mut Node, path: &[usize]) -> bool {
    let Some((index, parents)) = path.split_first() else { return false };
    match node_at(root, parents).map(|parent| &mut parent.value) {
        Some(Value::List(list)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        Some(Value::Map(map)) if *index < map.entries.len() => {
            let entry = map.entries.remove(*index);
            map.lost.push(entry.key);
            true
        }
        _ => false,
    }
}

/// One mistake on its way up.
#[derive(Debug)]
pub(crate) struct ReadError(Box<Mistake>);

#[derive(Debug)]
struct Mistake {
    kind: Kind,
    /// The field that a struct lacks.
    missing: Option<&'static str>,
    span: Option<Span>,
    /// The key whose value it is about.
    key: Option<String>,
    /// What stands there, as messages quote it.
    found: Option<String>,
    /// Indices of entries and elements, from the inside out.
    path: Vec<usize>,
}

#[derive(Debug)]
enum Kind {
    Custom(String),
    /// Something else stands there than this.
    Expected(String),
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        known: &'static [&'static str],
    },
    Missing(&'static str),
}

impl ReadError {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Mistake { kind, missing: None, span: None, key: None, found: None, path: Vec::new() }))
    }

    /// Where it stands, unless something further inside has said so.
    fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    fn at_node(mut self, node: &Node) -> Self {
        if self.0.found.is_none() && self.0.path.is_empty() {
            self.0.found = Some(quote(node));
        }
        self.at(node.span)
    }

    fn within(mut self, index: usize) -> Self {
        self.0.path.push(index);
        self
    }

    fn under(mut self, entry: &Entry) -> Self {
        if self.0.missing.is_some() {
            // What is missing has no place; the key that it is missing under does.
            self.0.span.get_or_insert(entry.span);
        }
        if !entry.key.starts_with(SORTED) {
            self.0.key.get_or_insert_with(|| entry.key.clone());
        }
        self.at_node(&entry.value)
    }

    /// Message and help.
    fn describe(&self) -> (String, Option<String>) {
        let found = self.0.found.as_deref().unwrap_or("nothing");
        let of_key = self.0.key.as_ref().map(|key| format!(" for `{key}`")).unwrap_or_default();
        match &self.0.kind {
            Kind::Custom(message) => (message.clone(), None),
            Kind::Expected(expected) => (format!("found {found}{of_key}, expected {expected}"), None),
            Kind::UnknownWord { known } => {
                let word = found.trim_matches('`');
                let message = format!("found {found}{of_key}, expected {}", one_of(known));
                (message, did_you_mean(word, known.iter().copied()))
            }
            Kind::UnknownKey { key, known } => {
                let message = match &self.0.key {
                    Some(parent) => format!("unknown key `{key}` under `{parent}`, expected {}", one_of(known)),
                    None => format!("unknown key `{key}`, expected {}", one_of(known)),
                };
                (message, did_you_mean(key, known.iter().copied()))
            }
            Kind::Missing(field) => match &self.0.key {
                Some(key) => (format!("the key `{field}` is missing under `{key}`"), None),
                None => (format!("the key `{field}` is missing"), None),
            },
        }
    }
}

fn one_of(known: &[&str]) -> String {
    match known {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// A node as messages show it.
pub(crate) fn quote(node: &Node) -> String {
    match &node.value {
        Value::Null => "no value".to_owned(),
        Value::Scalar(scalar) => quote_scalar(scalar),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

fn quote_scalar(scalar: &Scalar) -> String {
    let text = scalar.written.as_deref().unwrap_or(&scalar.text);
    let mut quoted: String =
        text.chars().take(MAX_QUOTED_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe().0)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Custom(message.to_string()))
    }

    // What was found is known better here than by those who raise these: see `at_node`.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownWord { known })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { key: field.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Self::new(Kind::Missing(field));
        error.0.missing = Some(field);
        error
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'de> {
    node: &'de Node,
}

/// The name by which [`Placed`] asks for a place.
const PLACED: &str = "$placed";

impl<'de> Reader<'de> {
    fn expected(self, expected: &dyn Expected) -> ReadError {
        ReadError::new(Kind::Expected(expected.to_string()))
    }

    fn scalar(self, expected: &dyn Expected) -> Result<&'de str, ReadError> {
        match &self.node.value {
            Value::Scalar(scalar) => Ok(&scalar.text),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.expected(expected)),
        }
    }

    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::List(list) => visitor.visit_seq(Elements { list, index: 0 }),
            Value::Null | Value::Scalar(_) | Value::Map(_) => Err(self.expected(&"a list")),
        }
    }

    fn map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Map(map) => visitor.visit_map(Entries { map, index: 0 }),
            Value::Null | Value::Scalar(_) | Value::List(_) => Err(self.expected(&"a mapping")),
        }
    }
}

macro_rules! read_parsed {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.scalar(&visitor)?.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(self.expected(&visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    read_parsed! {
        deserialize_bool visit_bool bool;
        deserialize_i8 visit_i64 i64;
        deserialize_i16 visit_i64 i64;
        deserialize_i32 visit_i64 i64;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u64 u64;
        deserialize_u16 visit_u64 u64;
        deserialize_u32 visit_u64 u64;
        deserialize_u64 visit_u64 u64;
        deserialize_f32 visit_f64 f64;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
            Value::List(_) => self.list(visitor),
            Value::Map(_) => self.map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_borrowed_str(self.scalar(&"text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    /// A key without a value is a mistake: it may have been meant to switch something on.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == PLACED {
            return visitor.visit_seq(PlaceAccess { span: self.node.span, step: 0, value: self });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_enum(Word(self.scalar(&one_of(words).as_str())?))
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The elements of a list.
struct Elements<'de> {
    list: &'de [Node],
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.list.get(self.index) else { return Ok(None) };
        let value = seed.deserialize(Reader { node }).map_err(|error| error.at_node(node).within(self.index))?;
        self.index += 1;
        Ok(Some(value))
    }
}

/// The entries of a mapping.
struct Entries<'de> {
    map: &'de Map,
    index: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some(entry) = self.map.entries.get(self.index) else { return Ok(None) };
        seed.deserialize(KeyReader { entry }).map(Some).map_err(|error| error.at(entry.span).within(self.index))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let entry = self.map.entries.get(self.index).ok_or_else(|| de::Error::custom("a key lacks its value"))?;
        let reader = Reader { node: &entry.value };
        let value = seed.deserialize(reader).map_err(|error| error.under(entry).within(self.index))?;
        self.index += 1;
        Ok(value)
    }
}

/// Reads the key of an entry.
#[derive(Clone, Copy)]
struct KeyReader<'de> {
    entry: &'de Entry,
}

impl<'de> Deserializer<'de> for KeyReader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_borrowed_str(&self.entry.key)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == PLACED {
            return visitor.visit_seq(PlaceAccess { span: self.entry.span, step: 0, value: self });
        }
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A scalar as the variant of an enum.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let word: StrDeserializer<'_, ReadError> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, ReadError> {
        Err(de::Error::custom("expected a word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(de::Error::custom("expected a word"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, ReadError> {
        Err(de::Error::custom("expected a word"))
    }
}

/// Hands a [`Placed`] its place, four numbers, and then its value.
struct PlaceAccess<R> {
    span: Span,
    step: u8,
    value: R,
}

impl<'de, R: Deserializer<'de, Error = ReadError> + Copy> SeqAccess<'de> for PlaceAccess<R> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        self.step += 1;
        match self.step {
            1 => seed.deserialize(self.span.line.into_deserializer()).map(Some),
            2 => seed.deserialize(self.span.column.into_deserializer()).map(Some),
            3 => seed.deserialize(self.span.start.into_deserializer()).map(Some),
            4 => seed.deserialize(self.span.len.into_deserializer()).map(Some),
            5 => seed.deserialize(self.value).map(Some),
            _ => Ok(None),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(PLACED, PlacedVisitor(PhantomData))
    }
}

struct PlacedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PlacedVisitor<T> {
    type Value = Placed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Placed<T>, A::Error> {
        let incomplete = || de::Error::custom("a value lacks its place");
        let line = seq.next_element()?.ok_or_else(incomplete)?;
        let column = seq.next_element()?.ok_or_else(incomplete)?;
        let start = seq.next_element()?.ok_or_else(incomplete)?;
        let len = seq.next_element()?.ok_or_else(incomplete)?;
        let value = seq.next_element()?.ok_or_else(incomplete)?;
        Ok(Placed { value, span: Span { line, column, start, len } })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Named(entries))
    }
}
