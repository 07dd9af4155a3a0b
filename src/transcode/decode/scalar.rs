//! Scalars out of JSON tokens.

use crate::schema::{EnumId, Kind};
use crate::transcode::json::{self, Fault, NotInteger, Read};

use super::{Pass, UnknownFields, text};

/// Whether a value was written, or passed over as an enum name that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    Ignored,
}

impl Pass<'_> {
    /// Takes a scalar and appends its value, without its tag.
    #[inline]
    pub(super) fn scalar(&mut self, kind: Kind) -> Read<Written> {
        match kind {
            Kind::String => self.string()?,
            Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64 => {
                let bits = self.integer(kind)?;
                text::append_number(kind, bits, &mut self.out);
            }
            Kind::Bool => {
                let value = self.json.boolean()?;
                self.out.push(value.into());
            }
            Kind::Double => {
                let value = self.double()?;
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Float => {
                let value = self.float()?;
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Bytes => self.quoted("bytes in base64", text::append_base64)?,
            Kind::Enum(id) => return self.enumeration(id),
            Kind::Message(_) | Kind::Group(_) => return Err(self.json.unexpected("a scalar")),
        }
        Ok(Written::Yes)
    }

    /// A string with its length before it.
    #[inline]
    pub(super) fn string(&mut self) -> Read {
        let string = self.json.string("a string")?;
        self.append_text(string)
    }

    /// Appends a string with its length before it.
    #[inline]
    pub(super) fn append_text(&mut self, string: json::Text<'_>) -> Read {
        if string.escaped {
            return self.append_escaped(string);
        }
        text::append_bytes(string.raw, &mut self.out);
        Ok(())
    }

    fn append_escaped(&mut self, string: json::Text<'_>) -> Read {
        // Escapes only ever shrink: the raw length is a good guess, and the slot is the wider one if it is wrong.
        let slot = self.open_slot_for(string.raw.len());
        string.append(&mut self.out)?;
        self.close_slot(slot);
        Ok(())
    }

    #[inline]
    fn integer(&mut self, kind: Kind) -> Read<u64> {
        match self.json.peek() {
            Some(b'"') => self.quoted(text::article(kind), |text, _| match json::plain_integer(text) {
                Some(integer) => text::bits(kind, integer).ok_or_else(|| text::out_of_range(kind, text)),
                None => text::integer(kind, text),
            }),
            Some(b'-' | b'0'..=b'9') => {
                let at = self.json.at();
                let plain = self.json.plain_integer().and_then(|integer| text::bits(kind, integer));
                plain.map_or_else(|| self.odd_integer(kind, at), Ok)
            }
            _ => Err(self.json.unexpected(text::article(kind))),
        }
    }

    /// An integer with a point or an exponent, a very long one, or one that is out of range.
    #[cold]
    fn odd_integer(&mut self, kind: Kind, at: usize) -> Read<u64> {
        self.json.rewind(at, self.json.depth());
        let number = self.json.number()?;
        text::integer(kind, number).map_err(|problem| Fault::new(at, problem))
    }

    fn double(&mut self) -> Read<f64> {
        match self.json.peek() {
            Some(b'"') => self.quoted("a double", |text, _| text::double(text)),
            Some(b'-' | b'0'..=b'9') => {
                let at = self.json.at();
                let number = self.json.number()?;
                json::double(number).ok_or_else(|| Fault::new(at, text::out_of_range(Kind::Double, number)))
            }
            _ => Err(self.json.unexpected("a double")),
        }
    }

    fn float(&mut self) -> Read<f32> {
        match self.json.peek() {
            Some(b'"') => self.quoted("a float", |text, _| text::float(text)),
            Some(b'-' | b'0'..=b'9') => {
                let at = self.json.at();
                let number = self.json.number()?;
                json::float(number).ok_or_else(|| Fault::new(at, text::out_of_range(Kind::Float, number)))
            }
            _ => Err(self.json.unexpected("a float")),
        }
    }

    fn enumeration(&mut self, id: EnumId) -> Read<Written> {
        let enumeration = self.plan.enumeration(id);
        let number = match self.json.peek() {
            Some(b'"') => {
                let at = self.json.at();
                let found = self.quoted("an enum value", |text, _| {
                    Ok(enumeration.find_name(text).ok_or_else(|| text::unknown_enum(text)))
                })?;
                match (found, self.options.unknown_fields) {
                    (Ok(number), _) => number,
                    (Err(_), UnknownFields::Ignore) => return Ok(Written::Ignored),
                    (Err(problem), UnknownFields::Reject) => return Err(Fault::new(at, problem)),
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                let at = self.json.at();
                let number = self.json.number()?;
                let value = json::integer(number).map(|integer| text::bits(Kind::Enum(id), integer));
                let value = match value {
                    Ok(bits) => bits.and_then(|bits| i32::try_from(bits.cast_signed()).ok()),
                    Err(NotInteger::Fraction | NotInteger::Range) => None,
                };
                let value = value.filter(|number| !enumeration.closed || enumeration.quoted(*number).is_some());
                value.ok_or_else(|| Fault::new(at, text::unknown_enum(number)))?
            }
            Some(b'n') if enumeration.null_value => {
                self.json.null()?;
                0
            }
            _ => return Err(self.json.unexpected("an enum value")),
        };
        text::append_enum(number, &mut self.out);
        Ok(Written::Yes)
    }
}
