//! A tree as the types of `file`, with every mistake in it and not only the first.
//!
//! serde stops at a mistake. So each one is noted and cut out of the tree, the smallest entry or element that holds
//! it, and the rest is read again, until it reads or [`MAX_PROBLEMS`] were found. Scalars are read as what they are
//! asked for: `port: 8080` as text, and an expanded variable as a number.

mod mistake;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use super::placed::PLACED;
use super::problem::{Problems, Span};
use super::tree::{Entry, Map, Node, Value};
use mistake::{Kind, Mistake, ReadError, one_of};

/// Mistakes after which the rest of a file is not looked at.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// Begins the keys that `file::shape` adds and messages don't mention.
pub(crate) const SORTED: char = '$';

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
        forgive_slip(&mut root, &error.0);
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

/// A key that was misspelt is not missing as well.
fn forgive_slip(root: &mut Node, mistake: &Mistake) {
    let Kind::UnknownKey { key, known } = &mistake.kind else { return };
    let meant = crate::route::nearest::name(key, known.iter().copied());
    let parent = mistake.path.get(1..).and_then(|path| node_at(root, path));
    if let (Some(meant), Some(Node { value: Value::Map(map), .. })) = (meant, parent) {
        map.lost.push(meant.to_owned());
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'de> {
    node: &'de Node,
}

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

/// Hands a `Placed` its place, four numbers, and then its value.
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
